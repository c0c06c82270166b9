"""Chooses a connection for each call, by what its last calls took.

The vault spreads connections over its workers, not calls, and may put most of them on one. So each
call goes where the expected wait is least: calls under way there, plus one, times the recent latency
(an exponentially weighted mean that fades while a connection is not used). This is the "peak EWMA"
of other load balancers, over all connections instead of two drawn at random.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WEIGHT_OF_NEWEST = 0.3
_HALF_LIFE_SECONDS = 1.0
_FAILURE_SECONDS = 1.0  # what a failed call counts as, so that its retry tries another connection


class Balance:
    """Thread-safe; one for the connections of a client."""

    def __init__(self, connections: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way = [0] * connections
        self._latency = [0.0] * connections
        self._seen = [0.0] * connections
        self._next = 0

    @contextmanager
    def connection(self) -> Iterator[int]:
        """The number of the connection for one call, which is timed until the context ends."""
        with self._lock:
            chosen = self._choose()
            self._under_way[chosen] += 1
        started = self._clock()
        failed = True
        try:
            yield chosen
            failed = False
        finally:
            ended = self._clock()
            took = ended - started + (_FAILURE_SECONDS if failed else 0.0)
            with self._lock:
                self._under_way[chosen] -= 1
                before = self._latency[chosen]
                self._latency[chosen] = before + _WEIGHT_OF_NEWEST * (took - before) if before else took
                self._seen[chosen] = ended

    def _choose(self) -> int:
        count, now = len(self._under_way), self._clock()
        turns = [(self._next + step) % count for step in range(count)]
        chosen = min(turns, key=lambda index: (self._cost(index, now), self._under_way[index]))
        self._next = (chosen + 1) % count
        return chosen

    def _cost(self, index: int, now: float) -> float:
        idle = 0.0 if self._under_way[index] else now - self._seen[index]
        return float((self._under_way[index] + 1) * self._latency[index] * 0.5 ** (idle / _HALF_LIFE_SECONDS))
