"""Threads that read single tokens at the same time share batches.

No thread of its own: the first of those who wait sends the batch for all of them. It is woken by the
batch before it, by a full batch, or by the end of the gathering time.
"""

import threading
import time
from collections.abc import Callable, Sequence

from customervault._coalesce import GATHER_SECONDS, Gate, Kind, concerns_all, own_copy
from customervault.errors import DeadlineExceededError, VaultError
from customervault.values import Values

Send = Callable[[Sequence[str], Kind, float], Values]

# A batch ends at its deadline by itself; nobody waits for longer, whatever became of its thread.
_GRACE_SECONDS = 1.0


class _Read:
    """One caller's read. Its lock is held until there is something to do for its thread."""

    __slots__ = ("alone", "deadline", "error", "gathered", "token", "values", "wake")

    def __init__(self, token: str, deadline: float) -> None:
        self.token = token
        self.deadline = deadline
        self.gathered = time.monotonic() + GATHER_SECONDS
        self.values: Values | None = None
        self.error: BaseException | None = None
        self.alone = False
        self.wake = threading.Lock()
        self.wake.acquire()

    @property
    def settled(self) -> bool:
        return self.alone or self.values is not None or self.error is not None


class Coalescer:
    """Safe to use from several threads."""

    def __init__(self, send: Send, *, most: int, parallel: int) -> None:
        """Says how batches are sent.

        Args:
            send: Sends tokens under a deadline and answers in their order.
            most: Tokens in a batch.
            parallel: Batches of one kind in flight, beyond which reads wait for one to come back.
        """
        self._send = send
        self._most = most
        self._parallel = parallel
        self._lock = threading.Lock()
        self._gates: dict[Kind, Gate[_Read]] = {}

    def read(self, token: str, kind: Kind, deadline: float) -> Values:
        """Reads one token.

        Raises:
            VaultError: The call failed. A refused token stands in the container.
        """
        mine = _Read(token, deadline)
        batch: list[_Read] = []
        with self._lock:
            gate = self._gates.setdefault(kind, Gate(self._most, self._parallel))
            gate.waiting.append(mine)
            if len(gate.waiting) == 1 and gate.in_flight == 0:
                batch = gate.take()
            elif len(gate.waiting) >= self._most:
                _wake(gate.waiting[0])
        batch = batch or self._wait(mine, gate)
        if batch:
            self._run(batch, kind, gate)
        if mine.alone:
            return self._send([mine.token], kind, mine.deadline)
        if mine.error is not None:
            raise mine.error
        assert mine.values is not None  # noqa: S101 - whoever runs a batch settles all of it
        return mine.values

    def _wait(self, mine: _Read, gate: Gate[_Read]) -> list[_Read]:
        """Until `mine` is settled (nothing to do), or it falls to this thread to send a batch."""
        latest = mine.deadline + _GRACE_SECONDS
        try:
            while True:
                with self._lock:
                    now = time.monotonic()
                    if mine.settled:
                        return []
                    _check_time(now, latest)
                    first = bool(gate.waiting) and gate.waiting[0] is mine
                    if first and gate.may_leave(now):
                        return gate.take()
                    until = mine.gathered if first and gate.in_flight < self._parallel else latest
                mine.wake.acquire(timeout=min(max(0.0, until - now), threading.TIMEOUT_MAX))
        except BaseException:
            self._withdraw(mine, gate)
            raise

    def _run(self, batch: list[_Read], kind: Kind, gate: Gate[_Read]) -> None:
        try:
            self._wake_first(gate)  # another is the first now, and has its gathering time to keep
            values = self._send([read.token for read in batch], kind, min(read.deadline for read in batch))
            for at, read in enumerate(batch):
                read.values = values[at : at + 1]
        except VaultError as error:
            for read in batch:
                if len(batch) > 1 and not concerns_all(error):
                    read.alone = True
                else:
                    read.error = own_copy(error)
        except BaseException:
            for read in batch:
                read.alone = True  # this thread was interrupted, and the others were not
            raise
        finally:
            with self._lock:
                gate.in_flight -= 1
            self._wake_first(gate)
            for read in batch:
                _wake(read)

    def _withdraw(self, mine: _Read, gate: Gate[_Read]) -> None:
        with self._lock:
            if mine in gate.waiting:
                gate.waiting.remove(mine)
        self._wake_first(gate)

    def _wake_first(self, gate: Gate[_Read]) -> None:
        with self._lock:
            if gate.waiting:
                _wake(gate.waiting[0])


def _check_time(now: float, latest: float) -> None:
    if now >= latest:
        raise DeadlineExceededError("the time for the call ran out")


def _wake(read: _Read) -> None:
    try:
        read.wake.release()
    except RuntimeError:  # it was woken before and has not looked yet
        return
