"""Replaces every process after a failed commit, one after the other.

After a failed fsync the kernel may have dropped the dirty pages and marked them clean, so no process
may go on with the maps it has: each must reopen the stores, and recovery then finishes from the ledger
what was acknowledged there. `run/writes-stopped` is the sign; it goes when the last one has reopened,
unless it was made anew meanwhile.
"""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from vault.server.logs import log
from vault.server.slots import Slot, State


class Replacing:
    """Where a round of replacements stands. `step` is called often and never waits."""

    def __init__(self, flag: Path, slots: Sequence[Slot], end_seconds: float) -> None:
        self._flag = flag
        self._slots = slots
        self._end_seconds = end_seconds
        self._waiting: list[Slot] = []
        self._seen = 0
        self._asked_pid = 0
        self._asked_at = 0.0

    def asked(self, pid: int) -> bool:
        """Whether this process was asked to end."""
        return pid != 0 and pid == self._asked_pid

    def step(self) -> None:
        """Begins a round, asks the next process to end, or ends the round."""
        if not self._waiting:
            self._seen = self._made_at()
            if not self._seen:
                return
            log.error("writes stopped, replacing every process")
            self._waiting = list(self._slots)
            self._ask()
        slot = self._waiting[0]
        if slot.pid == self._asked_pid != 0:
            if time.monotonic() - self._asked_at > self._end_seconds:
                slot.signal(signal.SIGKILL)
        elif slot.state is State.READY:
            self._waiting.pop(0)
            self._ask()

    def _ask(self) -> None:
        if self._waiting:
            self._asked_pid, self._asked_at = self._waiting[0].pid, time.monotonic()
            self._waiting[0].signal(signal.SIGTERM)
            return
        self._asked_pid = 0
        if self._made_at() == self._seen:
            self._flag.unlink(missing_ok=True)
            log.info("every process replaced, writes go on")

    def _made_at(self) -> int:
        try:
            return self._flag.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
