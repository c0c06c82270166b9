"""Replaces every process after a failed commit, one after the other, and has the stores checked.

After a failed fsync the kernel may have dropped the dirty pages and marked them clean, so no process
may go on with the maps it has: each must reopen the stores. `run/writes-stopped` is the sign, and keeps every
process from writing. Once the last one has reopened, the keeper checks the stores; when they are sound
the sign goes, and the next write first finishes from the ledger what was acknowledged there. When they
are not, it stays, and so do reads: somebody has to look (`cvault check`).
"""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vault.server.logs import log
from vault.server.slots import Slot, State


class Replacing:
    """Where a round of replacements stands. `step` is called often and never waits.

    Args:
        flag: the file that is the sign.
        slots: what to replace, the keeper last.
        end_seconds: how long a process may take to end.
        ask: asks the keeper to check the stores; `checked` takes its answer.
    """

    def __init__(
        self, flag: Path, slots: Sequence[Slot], end_seconds: float, ask: Callable[[], None]
    ) -> None:
        self._flag = flag
        self._slots = slots
        self._end_seconds = end_seconds
        self._ask = ask
        self._waiting: list[Slot] = []
        self._seen = 0
        self._unsound = 0
        self._asked_pid = 0
        self._asked_at = 0.0
        self.checking = False

    def asked_to_end(self, pid: int) -> bool:
        """Whether this process was asked to end."""
        return pid != 0 and pid == self._asked_pid

    def step(self) -> None:
        """Begins a round, asks the next process to end, or has the stores checked."""
        if self.checking:
            return
        if not self._waiting:
            self._seen = self._made_at()
            if self._seen in (0, self._unsound):
                return
            log.error("writes stopped, replacing every process")
            self._waiting = list(self._slots)
            self._end_next()
        slot = self._waiting[0]
        if slot.pid == self._asked_pid != 0:
            if time.monotonic() - self._asked_at > self._end_seconds:
                slot.signal(signal.SIGKILL)
        elif slot.state is State.READY:
            self._waiting.pop(0)
            self._end_next()

    def checked(self, errors: int) -> None:
        """Ends the round: writes go on, unless the check found errors."""
        self.checking = False
        if errors:
            self._unsound = self._seen
            log.error("stores are not sound, writes stay stopped", items=errors)
        else:
            self._flag.unlink(missing_ok=True)
            log.info("stores are sound, writes go on")

    def _end_next(self) -> None:
        if self._waiting:
            self._asked_pid, self._asked_at = self._waiting[0].pid, time.monotonic()
            self._waiting[0].signal(signal.SIGTERM)
        else:
            self._asked_pid = 0
            self.checking = True
            self._ask()

    def _made_at(self) -> int:
        try:
            return self._flag.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
