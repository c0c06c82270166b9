"""Where threads wait for their turn: a `Line`, and a lock for each that waits.

Rules:
- A call that may not wait is refused at once: most before the request was read, none after it was parsed.
- A call waits at most until its deadline. Who gets the turn looks again whether its caller is still there.
- The thread that gives a turn back wakes the one whose turn it is, and no other.
"""

import threading
import time
from types import TracebackType
from typing import Final

from vault.errors import DeadlineExceededError, OverloadedError
from vault.server import metrics
from vault.server.line import Line, Place, Refusal, weight_of
from vault.server.refusals import Refusals

_ALONE_SECONDS: Final = 1.0


class Gate:
    """Turns for the calls of one kind. Any thread may use it.

    Args:
        name: Of the kind, for metrics.
        turns: Calls at work at the same time.
        calls: How many may wait.
        items: What may wait.
    """

    def __init__(self, name: str, *, turns: int, calls: int, items: int) -> None:
        self._line: Line[threading.Lock] = Line(calls=calls, weight=items, clock=time.monotonic)
        self._turns = self._free = turns
        self._lock = threading.Lock()
        self._refusals = Refusals(name)
        self._waited = metrics.waits(name)
        self._newest = ""  # principal that came last, and since when no other did
        self._alone_since = 0.0
        metrics.watch_line(name, self._line)

    def closed(self) -> bool:
        """Whether the only principal that has come for a second may not wait; a guess, without the lock."""
        line = self._line
        return (
            line.waiting_calls > 0
            and time.monotonic() - self._alone_since > _ALONE_SECONDS
            and line.refuses(self._newest) is not None
        )

    def check(self, principal: str) -> None:
        """Refuses who may not wait, before anything of the request is read.

        Raises:
            OverloadedError: as `turn`.
        """
        if principal != self._newest:
            self._newest, self._alone_since = principal, time.monotonic()
        if not self._line.waiting_calls:
            return
        with self._lock:
            refusal = self._line.refuses(principal)
            if refusal is not None:
                raise self._refused(refusal, principal)

    def turn(self, principal: str, message_bytes: int, deadline: float | None) -> "Turn":
        """Waits for a turn, which lasts as long as the context that is returned.

        Args:
            principal: Whose share it counts against.
            message_bytes: Size of the request, not parsed yet.
            deadline: `time.monotonic()` seconds until which to wait; None: as long as it takes.

        Raises:
            OverloadedError: it may not wait; the error says when to come again.
            DeadlineExceededError: its turn did not come in time.
        """
        weight = weight_of(message_bytes)
        with self._lock:
            if self._free and not self._line.waiting_calls:
                self._free -= 1
                return Turn(self, None)
            go = threading.Lock()
            go.acquire()
            place = self._line.arrive(principal, weight, go)
            if isinstance(place, Refusal):
                raise self._refused(place, principal)
            self._grant()
        self._wait(place, deadline)
        return Turn(self, place)

    def end(self, place: Place[threading.Lock] | None) -> None:
        """Gives a turn back."""
        with self._lock:
            if place is not None:
                self._line.done(place)
            self._free += 1
            self._grant()

    def wait_seconds(self) -> float:
        """How long it takes to do what waits; a guess, without the lock."""
        return self._line.wait_seconds() / self._turns

    def _wait(self, place: Place[threading.Lock], deadline: float | None) -> None:
        begun = time.monotonic()
        timeout = -1.0 if deadline is None else max(0.0, deadline - begun)
        if not place.owner.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
            with self._lock:
                if place.waiting:
                    self._line.leave(place)
                    self._refusals.late(place.principal)
                    raise DeadlineExceededError("the deadline passed before the work began")
        self._waited.observe(time.monotonic() - begun)

    def _grant(self) -> None:
        while self._free and (place := self._line.take()) is not None:
            self._free -= 1
            place.owner.release()

    def _refused(self, refusal: Refusal, principal: str) -> OverloadedError:
        return self._refusals.error(refusal, principal, self.wait_seconds())


class Turn:
    """A turn, given back at the end of the context."""

    __slots__ = ("_gate", "_place")

    def __init__(self, gate: Gate, place: Place[threading.Lock] | None) -> None:
        self._gate = gate
        self._place = place

    def __enter__(self) -> bool:
        """Whether the turn did not come at once."""
        return self._place is not None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gate.end(self._place)
