"""The commit thread of one process: groups what waits into one transaction and acknowledges after it.

Rules:
- A job plans first and writes last: it raises before its first write or not at all. A job that
  breaks this makes the group abort, and each job is then run alone.
- Nothing is acknowledged before the commit returned. A failed commit fails every job of its group.
- Erasures run in groups of their own, which may use the space that data writes must leave. A job that
  changes the epoch runs in a group by itself.
- Every group first finishes what the ledger says is unfinished (`recovery`).
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from vault.core.turn import Turn
from vault.errors import DeadlineExceededError, OverloadedError, StorageStoppedError, VaultError
from vault.store.session import WriteSession
from vault.store.store import Store

Result = TypeVar("Result")
Job = Callable[[WriteSession], Result]
GROUP_LIMIT = 64  # jobs; a job may itself be a batch
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """Where a committed group's seconds went: the wait for the write lock, its jobs, the durable commit."""

    waited: float
    worked: float
    synced: float


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    erase: bool
    alone: bool
    deadline: float | None
    done: threading.Event = field(default_factory=threading.Event)
    result: object = None
    error: BaseException | None = None

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        self.result, self.error = result, error
        self.done.set()


class Committer:
    """Runs write jobs, one group after the other.

    Attributes:
        observe: is told the times of every group that was committed, in the commit thread.
        before_wait: is called by a thread that is about to wait for its job.
    """

    def __init__(
        self,
        store: Store,
        recover: Callable[[WriteSession], None],
        max_waiting: int,
        turn: Turn | None = None,
    ) -> None:
        self.observe: Callable[[GroupTimes], None] = lambda _: None
        self.before_wait: Callable[[], None] = lambda: None
        self._store = store
        self._turn = turn or Turn()
        self._recover = recover
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(max_waiting)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(
        self, job: Job[Result], *, erase: bool = False, alone: bool = False, deadline: float | None = None
    ) -> Result:
        """Runs `job` in a write session and returns its result once that is durable.

        Args:
            job: plans and writes; see the module's rules.
            erase: the job only removes; it may use the space kept for erasures.
            alone: no other job shares its session.
            deadline: `time.monotonic()` seconds after which the job is not begun.

        Raises:
            OverloadedError: too many writes are waiting.
            DeadlineExceededError: the deadline passed before the job began.
            StorageFullError, StorageStoppedError: the commit failed; nothing was acknowledged.
        """
        if self._closed:
            raise OverloadedError("the vault is shutting down")
        waiting = _Waiting(job, erase, alone, deadline)
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise OverloadedError("too many writes are waiting in this process") from None
        self.before_wait()
        while not waiting.done.wait(_POLL_SECONDS):
            if not self._thread.is_alive():
                raise StorageStoppedError("the commit thread has ended")
        if waiting.error is not None:
            raise waiting.error
        return cast(Result, waiting.result)

    def settle(self) -> None:
        """Returns when the groups begun before are over, and what a crash left is finished.

        Raises:
            As `submit`.
        """
        self.submit(lambda _: None, erase=True, alone=True)

    def close(self) -> None:
        """Finishes what is waiting and ends the thread."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            group = [self._queue.get()]
            while len(group) < GROUP_LIMIT:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            ended = None in group
            jobs = [waiting for waiting in group if waiting is not None and _in_time(waiting)]
            for erase in (True, False):
                self._commit([each for each in jobs if each.erase == erase and not each.alone])
            for each in jobs:
                if each.alone:
                    self._commit([each])

    def _commit(self, group: list[_Waiting]) -> None:
        if not group:
            return
        try:
            outcomes = self._attempt(group)
        except _BrokenJobError:
            for waiting in group:
                self._commit_alone(waiting)
            return
        except Exception as error:  # noqa: BLE001 - each waiting caller gets it, and the thread lives on
            outcomes = [(None, error)] * len(group)
        for waiting, (result, failure) in zip(group, outcomes, strict=True):
            waiting.finish(result, failure)

    def _commit_alone(self, waiting: _Waiting) -> None:
        try:
            ((result, error),) = self._attempt([waiting])
        except _BrokenJobError as broken:
            result, error = None, broken.__cause__
        except Exception as failure:  # noqa: BLE001 - the waiting caller gets it, and the thread lives on
            result, error = None, failure
        waiting.finish(result, error)

    def _attempt(self, group: list[_Waiting]) -> list[tuple[object, BaseException | None]]:
        outcomes: list[tuple[object, BaseException | None]] = []
        began = time.perf_counter()
        with self._store.write(purpose="erase" if group[0].erase else "data") as session:
            with self._turn.urgent():
                self._recover(session)
                outcomes += [_run_job(waiting, session) for waiting in group]
            worked = time.perf_counter()
            session.commit()
        ended, locked = time.perf_counter(), session.locked_at
        self.observe(GroupTimes(locked - began, worked - locked, ended - worked))
        return outcomes


def _run_job(waiting: _Waiting, session: WriteSession) -> tuple[object, BaseException | None]:
    before = session.writes
    try:
        return waiting.job(session), None
    except VaultError as error:
        if session.writes != before:
            raise _BrokenJobError from error
        return None, error
    except Exception as error:
        raise _BrokenJobError from error


class _BrokenJobError(Exception):
    """A job failed after it had begun to write, or in a way nobody expected."""


def _in_time(waiting: _Waiting) -> bool:
    if waiting.deadline is not None and time.monotonic() > waiting.deadline:
        waiting.finish(error=DeadlineExceededError("the deadline passed before the write began"))
        return False
    return True
