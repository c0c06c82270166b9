"""Where calls of the short way wait for the thread that leads: no threads wait, calls do.

Rules:
- As long as little waits, nobody asks whose calls they are: `FEW` small ones, which go in the order in which
  they came, and one large one, which as many small ones may pass. More than that forms a `Line`, with shares
  and turns by principal. Those that came before it go first, and while there is a line, whoever comes joins
  it.
- A call that may not wait is refused: where it can be known by then, before its request is read; else before
  it is parsed.
- A call that is cancelled while it waits in the line gives up its place.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from vault.errors import OverloadedError, UnauthenticatedError
from vault.server import metrics
from vault.server.line import SMALL_WEIGHT, Line, Place, Refusal, weight_of
from vault.server.refusals import Refusals

FEW: Final = 32
_NOBODY: Final = ""  # all those together who do not say who they are; they are refused when it is their turn

Properties = Mapping[str, Sequence[bytes]]


class Arrived(Protocol):
    """A call, of which this much has to be known.

    Attributes:
        place: Its place, while it waits in the line. The inbox sets it, and takes it away again: a call and a
            place that knew each other for longer would be freed only when Python looks for cycles.
    """

    place: Place[Any] | None

    def auth_context(self) -> Properties:
        """The properties of the caller's connection."""
        ...


Call = TypeVar("Call", bound=Arrived)


class Inbox(Generic[Call]):
    """Calls that have come in. Any thread may use it.

    Args:
        name: For metrics.
        calls: How many may wait.
        items: What may wait.
        principal_of: Names a caller by the properties of its connection, or raises `UnauthenticatedError`.
    """

    def __init__(
        self, name: str, *, calls: int, items: int, principal_of: Callable[[Properties], str]
    ) -> None:
        self._line: Line[Call] = Line(calls=calls, weight=items, clock=time.monotonic)
        self._lock = threading.Lock()
        self._first: deque[Call] = deque()
        self._large: deque[Call] = deque()  # one
        self._passed = 0  # small calls that have passed it
        self._few = max(1, min(FEW, calls // 4))
        self._principal_of = principal_of
        self._refusals = Refusals(name)
        self._waited = metrics.waits(name)
        metrics.watch_line(name, self._line)

    def __bool__(self) -> bool:
        return bool(self._first or self._large) or self._line.waiting_calls > 0

    def check(self, call: Call) -> None:
        """Refuses a call before its request is read.

        Raises:
            OverloadedError: it could not wait; the error says when to come again.
        """
        if self._line.is_crowded:
            principal = self._name_of(call)
            with self._lock:
                refusal = self._line.refuses(principal)
                if refusal is not None:
                    raise self._refused(refusal, principal)

    def put(self, call: Call, message_bytes: int) -> None:
        """Lets a call wait whose request is so long.

        Raises:
            OverloadedError: as `check`.
        """
        line, weight = self._line, weight_of(message_bytes)
        if not line.waiting_calls:
            small = weight <= SMALL_WEIGHT
            if len(self._first) < self._few if small else not (self._large or self._first):
                (self._first if small else self._large).append(call)
                return
        principal = self._name_of(call)
        with self._lock:
            place = line.arrive(principal, weight, call)
            if isinstance(place, Refusal):
                raise self._refused(place, principal)
            call.place = place

    def take(self) -> tuple[Call, Place[Call] | None] | None:
        """Whose turn it is, if anybody waits, and its place, where it had one."""
        first = self._next_first()
        if first is not None:
            return first, None
        with self._lock:
            place = self._line.take()
            if place is None:
                return None
            place.owner.place = None
        self._waited.observe(place.begun - place.arrived)
        return place.owner, place

    def done(self, place: Place[Call]) -> None:
        """The call of this place was answered."""
        with self._lock:
            self._line.done(place)

    def leave(self, call: Call) -> bool:
        """Its caller has gone; whether it was still waiting in the line."""
        with self._lock:
            place = call.place
            if place is None:
                return False
            call.place = None
            self._line.leave(place)
            self._refusals.late(place.principal)
            return True

    def full(self, call: Call) -> OverloadedError:
        """For a call that comes beyond what the server holds."""
        return self._refused(Refusal.FULL, self._name_of(call))

    def _next_first(self) -> Call | None:
        try:
            if self._first and (not self._large or self._passed < FEW):
                self._passed = self._passed + 1 if self._large else 0
                return self._first.popleft()
            self._passed = 0
            return self._large.popleft()
        except IndexError:  # nothing, or another thread was quicker
            return None

    def _name_of(self, call: Call) -> str:
        try:
            return self._principal_of(call.auth_context())
        except UnauthenticatedError:
            return _NOBODY

    def _refused(self, refusal: Refusal, principal: str) -> OverloadedError:
        return self._refusals.error(refusal, principal, self._line.wait_seconds())
