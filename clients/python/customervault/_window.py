"""How many calls a client has under way while the vault is overloaded. Thread-safe; no clock, no sleep.

A call that the vault refuses costs it as much as an empty one, so a client that goes on sending takes away
from what would be answered. Calls that wait here cost the vault nothing.

Rules:
- There is no limit until a call is refused as OVERLOADED.
- Additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the increase and decrease algorithms
  for congestion avoidance", 1989; as TCP's, RFC 5681): a refusal takes the limit to `_DECREASE` of what is
  under way, a limit's worth of answers raises it by one. Calls that were sent before the last decrease tell
  nothing new. Beyond `_MOST` there is no limit any more.
- Calls wait first come, first served, each method by itself: what is not refused never waits.
- A call waits for half of the time that it has, at most: one that is sent late runs out of time at the vault,
  and the next one behind it, too, until nothing is answered any more.
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from customervault.errors import OverloadedError

_DECREASE = 0.7
_MOST = 256.0


class Outcome(Enum):
    """What became of a call; `REFUSED`: the vault said OVERLOADED."""

    ANSWERED = auto()
    REFUSED = auto()
    FAILED = auto()


@dataclass(slots=True, eq=False)
class Place:
    """One call. `number` counts those sent, 0 while it waits."""

    wake: Callable[[], None] | None = None
    number: int = 0

    @property
    def admitted(self) -> bool:
        """Whether it may be sent."""
        return self.number > 0


class Window:
    """The calls of one method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit = math.inf
        self._under_way = 0
        self._sent = 0
        self._decreased_at = 0  # calls sent at the last decrease
        self._waiting: deque[Place] = deque()
        self._closed = False

    def enter(self) -> Place | None:
        """A place for a call that may be sent at once; None where it has to `wait`."""
        with self._lock:
            if self._waiting or self._under_way + 1 > self._limit:
                return None
            return self._admit(Place())

    def wait(self, wake: Callable[[], None]) -> Place:
        """A place at the end of the queue; `wake` is called when it has been admitted, or all is closed.

        `wake` is called by whoever ends a call, and must neither block nor come back here.
        """
        with self._lock:
            place = Place(wake)
            self._waiting.append(place)
            self._go_on()
            return place

    def leave(self, place: Place, outcome: Outcome) -> None:
        """Ends a call, or its waiting, once."""
        with self._lock:
            if not place.admitted:
                if place in self._waiting:
                    self._waiting.remove(place)
                return
            if outcome is Outcome.REFUSED and place.number > self._decreased_at:
                self._limit = max(1.0, _DECREASE * min(self._limit, self._under_way))
                self._decreased_at = self._sent
            elif outcome is Outcome.ANSWERED and self._limit <= _MOST:
                self._limit += 1 / self._limit
                if self._limit > _MOST:
                    self._limit = math.inf
            self._under_way -= 1
            self._go_on()

    def close(self) -> None:
        """Wakes all that wait, and will; none of them is admitted."""
        with self._lock:
            self._closed = True
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and (self._closed or self._under_way + 1 <= self._limit):
            place = self._waiting.popleft()
            if not self._closed:
                self._admit(place)
            if place.wake is not None:
                place.wake()

    def _admit(self, place: Place) -> Place:
        self._under_way += 1
        self._sent += 1
        place.number = self._sent
        return place


class Windows:
    """Those of a client, by method."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def of(self, path: str) -> Window:
        """The window of a method (`/package.Service/Method`)."""
        return self._windows.get(path) or self._windows.setdefault(path, Window())

    def close(self) -> None:
        """Closes all that are in use."""
        for window in list(self._windows.values()):
            window.close()


def longest_wait(remaining_seconds: float) -> float:
    """For how long a call may wait that has so much time left, in seconds."""
    return remaining_seconds / 2


def no_turn() -> OverloadedError:
    """For a call whose time ran out before it was sent."""
    return OverloadedError("the vault is overloaded, and it was not this call's turn in time")
