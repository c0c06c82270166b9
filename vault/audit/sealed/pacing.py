"""How work that can wait is spread over time, so that reads beside it do not wait for it.

A round of sealing takes tenths of a second of one core when much was read. Done at once, on a core that
serves reads as well, it makes each of them wait; in bites with rests between, none for longer than a bite.
"""

import time
from collections.abc import Callable
from typing import Final

BITE_SECONDS: Final = 0.002
LEAST_SHARE: Final = 0.1
_LATE, _EARLY = 0.8, 0.4  # parts of an interval that a round takes


def at_once() -> None:
    """A pace without rests."""


class Pace:
    """To be called between small pieces of work; rests when a bite is done. For one thread.

    Attributes:
        share: of one core, that the work may take: `LEAST_SHARE` to 1. It doubles when rounds take nearly as
            long as the time between them, and goes back when they are quick.
    """

    def __init__(self, wait: Callable[[float], object], used: Callable[[], float] = time.thread_time) -> None:
        """Begins with the least share.

        Args:
            wait: rests for so many seconds, or ends early, as when all is to end.
            used: seconds of CPU that this thread has used.
        """
        self.share = LEAST_SHARE
        self._wait = wait
        self._used = used
        self._rested_at: float | None = None

    def __call__(self) -> None:
        """Rests, if it is time."""
        if self._rested_at is None:  # the thread that made this may be another
            self._rested_at = self._used()
        bite = self._used() - self._rested_at
        if bite >= BITE_SECONDS:
            self._wait(bite / self.share - bite)
            self._rested_at = self._used()

    def round_took(self, seconds: float, interval_seconds: float) -> None:
        """Learns how long a round took, rests included."""
        if seconds > _LATE * interval_seconds:
            self.share = min(1.0, self.share * 2)
        elif seconds < _EARLY * interval_seconds:
            self.share = max(LEAST_SHARE, self.share / 2)
