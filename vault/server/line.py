"""Who waits for a turn in one process, and who goes next. Pure: no threads, and the clock is given.

Rules:
- A call weighs `CALL_WEIGHT` and its own items, so that a flood of single reads counts as well.
- What waits is bounded in calls and in weight. A principal may join while it has less than twice what is
  still free (dynamic thresholds: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
  packet switches", 1998): alone it gets two thirds, two get two fifths each, and there is always room for one
  more.
- Among principals the turn goes by weight (start-time fair queueing: Goyal, Vin and Cheng, 1996), so one that
  sends much waits behind its own calls, not the others behind it. Without contention nobody is held back.
- Small calls go before bulk ones. While bulk waits, small ones may pass it with as much weight as it has
  itself; then it has its turn. So where both want everything they share by halves.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

CALL_WEIGHT: Final = 50  # what a call costs besides its items, in items
SMALL_WEIGHT: Final = CALL_WEIGHT + 128  # up to here a call is small
TOKEN_BYTES: Final = 38  # of one token in a request: what counts as an item before anything is parsed
_ALPHA: Final = 2  # what a principal may have waiting, in multiples of what is free
_FIRST_GUESS_SECONDS: Final = 1e-5  # a unit of weight, until it has been measured
_NEWEST: Final = 0.1  # weight of the newest measurement

Owner = TypeVar("Owner")


class Refusal(StrEnum):
    """Why a call may not wait."""

    FULL = "full"
    SHARE = "share"


@dataclass(slots=True, eq=False)
class Place(Generic[Owner]):
    """One call, waiting or at work since `begun`, by the clock. `owner` is what its bringer knows it by."""

    principal: str
    weight: int
    owner: Owner
    arrived: float
    waiting: bool = True
    begun: float = 0.0

    @property
    def small(self) -> bool:
        """Whether it goes before bulk."""
        return self.weight <= SMALL_WEIGHT


def weight_of(message_bytes: int) -> int:
    """What a call weighs whose request is so long."""
    return CALL_WEIGHT + message_bytes // TOKEN_BYTES


class Line(Generic[Owner]):
    """Not thread-safe: its owner serializes all calls, but may read the attributes for a guess.

    Attributes:
        waiting_calls: How many wait.
        waiting_weight: What they weigh together.
    """

    def __init__(self, *, calls: int, weight: int, clock: Callable[[], float]) -> None:
        """An empty line.

        Args:
            calls: How many may wait.
            weight: What may wait, in items.
            clock: Seconds that only grow.
        """
        self.waiting_calls = self.waiting_weight = 0
        self._most_calls = calls
        self._most_weight = weight
        self._clock = clock
        self._calls: Counter[str] = Counter()
        self._weights: Counter[str] = Counter()
        self._small: _Queue[Owner] = _Queue()
        self._bulk: _Queue[Owner] = _Queue()
        self._passed = 0  # weight of small calls that have passed the bulk call at the head
        self._seconds = _FIRST_GUESS_SECONDS

    def arrive(self, principal: str, weight: int, owner: Owner) -> Place[Owner] | Refusal:
        """A place at the end of the principal's own queue."""
        refusal = self.refuses(principal)
        if refusal is None and self.waiting_calls and self.waiting_weight + weight > self._most_weight:
            refusal = Refusal.FULL
        if refusal is not None:
            return refusal
        place = Place(principal, weight, owner, self._clock())
        self._count(place, 1)
        (self._small if place.small else self._bulk).put(place)
        return place

    def refuses(self, principal: str) -> Refusal | None:
        """Why the next call of a principal may not wait, whatever it weighs."""
        free_calls = self._most_calls - self.waiting_calls
        free_weight = self._most_weight - self.waiting_weight
        if free_calls < 1 or free_weight < 0:
            return Refusal.FULL
        if self._weights[principal] > _ALPHA * free_weight or self._calls[principal] > _ALPHA * free_calls:
            return Refusal.SHARE
        return None

    @property
    def is_crowded(self) -> bool:
        """Whether there could be a principal whose next call may not wait: as if all were of one."""
        return self.waiting_calls > _ALPHA * (
            self._most_calls - self.waiting_calls
        ) or self.waiting_weight > _ALPHA * (self._most_weight - self.waiting_weight)

    def take(self) -> Place[Owner] | None:
        """Whose turn it is, from now on at work."""
        place = self._next()
        if place is not None:
            self._count(place, -1)
            place.waiting = False
            place.begun = self._clock()
        return place

    def leave(self, place: Place[Owner]) -> None:
        """Gives up waiting."""
        place.waiting = False
        self._count(place, -1)

    def done(self, place: Place[Owner]) -> None:
        """Ends the work on a call, and learns from it how long work takes."""
        took = (self._clock() - place.begun) / place.weight
        self._seconds += _NEWEST * (took - self._seconds)

    def wait_seconds(self) -> float:
        """How long it takes one thread to do what waits, at the pace of late."""
        return self.waiting_weight * self._seconds

    def _next(self) -> Place[Owner] | None:
        small, bulk = self._small.head(), self._bulk.head()
        if small is not None and (bulk is None or self._passed < bulk.weight):
            self._passed += small.weight if bulk is not None else 0
            return self._small.pop()
        if bulk is not None:
            self._passed = 0
            return self._bulk.pop()
        return None

    def _count(self, place: Place[Owner], sign: int) -> None:
        self.waiting_calls += sign
        self.waiting_weight += sign * place.weight
        for counter, amount in ((self._calls, 1), (self._weights, place.weight)):
            counter[place.principal] += sign * amount
            if not counter[place.principal]:
                del counter[place.principal]


class _Queue(Generic[Owner]):
    """Start-time fair queueing over the principals."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Place[Owner]]] = []
        self._number = itertools.count()
        self._now = 0.0  # virtual: the start of who went last
        self._ends: dict[str, float] = {}  # virtual, of each principal's last call

    def put(self, place: Place[Owner]) -> None:
        start = max(self._now, self._ends.get(place.principal, 0.0))
        self._ends[place.principal] = start + place.weight
        heapq.heappush(self._heap, (start, next(self._number), place))

    def head(self) -> Place[Owner] | None:
        while self._heap and not self._heap[0][2].waiting:
            heapq.heappop(self._heap)
        if self._heap:
            return self._heap[0][2]
        self._ends.clear()
        return None

    def pop(self) -> Place[Owner]:
        self._now, _, place = heapq.heappop(self._heap)
        return place
