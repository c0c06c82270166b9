"""How work that can wait is spread over time, so that reads beside it do not wait for it.

A round of sealing takes tenths of a second of one core when much was read. Done at once, on a core that
serves reads as well, it makes each of them wait. So it is done in bites with rests between; and since the
kernel lets a thread of low priority go on for milliseconds while another waits for its core, the bites
themselves are cut: after each cut whoever waits goes first.
"""

import os
import time
from collections.abc import Callable
from typing import Final

BITE_SECONDS: Final = 0.002
CUT_SECONDS: Final = 0.0001
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

    def __init__(
        self,
        wait: Callable[[float], object],
        used: Callable[[], float] = time.thread_time,
        give_way: Callable[[], object] = os.sched_yield,
    ) -> None:
        """Begins with the least share.

        Args:
            wait: rests for so many seconds, or ends early, as when all is to end.
            used: seconds of CPU that this thread has used.
            give_way: lets those go first who wait for this core.
        """
        self.share = LEAST_SHARE
        self._wait = wait
        self._used = used
        self._give_way = give_way
        self._rested_at: float | None = None
        self._cut_at = 0.0

    def __call__(self) -> None:
        """Rests or gives way, if it is time."""
        used = self._used()
        if self._rested_at is None:  # the thread that made this may be another
            self._rested_at = self._cut_at = used
        bite = used - self._rested_at
        if bite >= BITE_SECONDS:
            self._wait(bite / self.share - bite)
            self._rested_at = self._cut_at = self._used()
        elif used - self._cut_at >= CUT_SECONDS:
            self._give_way()
            self._cut_at = used

    def round_took(self, seconds: float, interval_seconds: float) -> None:
        """Learns how long a round took, rests included."""
        if seconds > _LATE * interval_seconds:
            self.share = min(1.0, self.share * 2)
        elif seconds < _EARLY * interval_seconds:
            self.share = max(LEAST_SHARE, self.share / 2)
