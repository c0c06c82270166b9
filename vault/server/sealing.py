"""The keeper's thread of the sealed access log: seals at an interval, and works on the index in spare time.

- A round costs some microseconds of one core a record, and is spread over the time between rounds (`pacing`).
- Index and compression are deferred. While records come in numbers these get a two-hundredth of one core, a
  tenth when too much has been left, a fifth when it is quiet.
- A sealer that cannot be opened is tried again: another process may hold it, or the disk may come back. One
  that finds its tree rolled back or changed says so each time, and seals nothing.
- When the vault's signing key has changed, the next round signs with the new one.
"""

import os
import threading
import time

from vault.audit.sealed.pacing import Pace
from vault.audit.sealed.space import Budget
from vault.audit.sealed.upkeep import Upkeep
from vault.core.engine import Engine
from vault.core.sealing import Sealing
from vault.errors import VaultError
from vault.server import metrics
from vault.server.logs import frames_of, log

RETRY_SECONDS = 30.0
RETENTION_SECONDS = 3600.0
SPACE_SECONDS = 300.0
BUSY_LEAVES = 500  # in a round
BACKLOG_BYTES = 1 << 30  # of records that a search has to look through by itself
_NICENESS = 10
_BUSY_SHARE, _BACKLOG_SHARE, _QUIET_SHARE = 0.005, 0.1, 0.2


class SealerThread:
    """Seals until told to stop."""

    def __init__(self, engine: Engine, stopping: threading.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._every_seconds = float(engine.settings.audit.seal_seconds)
        self._pace = Pace(stopping.wait)
        self._sealing = Sealing(engine, self._pace)
        self._budget = Budget(self._sealing.directory, engine.settings.audit.budget_bytes)
        self._retention_at = self._space_at = self._rest_until = 0.0
        self._level = "ok"

    def run(self) -> None:
        """A failure is logged, and does not end the thread. Workers go before it: no read waits for it."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)  # Linux: of this thread alone
        while self._every_seconds and not self._stopping.is_set():
            try:
                self._open()
                self._seal_on()
            except VaultError as error:
                log.error("the access log is not sealed", reason=error.reason.value)
            except Exception as error:  # noqa: BLE001 - the thread has to live on
                log.error("sealing failed", exception=type(error).__name__, frames=frames_of(error))
            finally:
                self._sealing.close()
            self._stopping.wait(RETRY_SECONDS)

    def _open(self) -> None:
        if not self._sealing.is_current:
            self._sealing.close()
            self._sealing = Sealing(self._engine, self._pace)
        self._sealing.sealer.open()

    def _seal_on(self) -> None:
        upkeep = Upkeep(self._sealing.files, self._pace)
        while not self._stopping.is_set():
            began = time.monotonic()
            due = began + self._every_seconds
            if not self._sealing.is_current:
                self._sealing.close()
                self._open()
            sealer = self._sealing.sealer
            added = sealer.seal()
            self._pace.round_took(time.monotonic() - began, self._every_seconds)
            metrics.AUDIT_LEAVES.set(sealer.state.size)
            metrics.AUDIT_COSIGNED.set(sealer.is_cosigned)
            self._look_after()
            self._work(upkeep, added, due)
            self._stopping.wait(max(0.0, due - time.monotonic()))
        self._sealing.sealer.seal()

    def _look_after(self) -> None:
        now = time.monotonic()
        if now >= self._retention_at:
            self._retention_at = now + RETENTION_SECONDS
            if removed := self._sealing.remove_old():
                log.info("old access records removed", leaves=removed)
        if now >= self._space_at:
            self._space_at = now + SPACE_SECONDS
            self._look_at_space(now)

    def _look_at_space(self, now: float) -> None:
        usage = self._budget.measure(now)
        metrics.AUDIT_BYTES.set(usage.bytes)
        metrics.AUDIT_LIMIT_BYTES.set(usage.limit_bytes)
        metrics.AUDIT_FULL_SECONDS.set(-1 if usage.full_seconds is None else usage.full_seconds)
        if usage.level != "ok":
            say = log.error if usage.level == "high" else log.warning
            say("the access log nears its budget", bytes=usage.bytes, limit_bytes=usage.limit_bytes)
        elif self._level != "ok":
            log.info("the access log is within its budget", bytes=usage.bytes)
        self._level = usage.level

    def _work(self, upkeep: Upkeep, added: int, due: float) -> None:
        """Deferred work until the next round, resting after each step."""
        state = self._sealing.sealer.state
        share = _QUIET_SHARE
        if added >= BUSY_LEAVES:
            share = _BUSY_SHARE if upkeep.backlog_bytes(state) < BACKLOG_BYTES else _BACKLOG_SHARE
        while not self._stopping.is_set():
            rest = self._rest_until - time.monotonic()
            if time.monotonic() + max(0.0, rest) >= due or self._stopping.wait(max(0.0, rest)):
                return
            used = time.thread_time()
            if not upkeep.step(state, eager=added < BUSY_LEAVES):
                return
            took = time.thread_time() - used
            self._rest_until = time.monotonic() + took / share - took
