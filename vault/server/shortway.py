"""The short way of calls that are answered at once: on the thread that takes them from gRPC.

gRPC's synchronous server hands each call to a pool and waits there for its message: several changes of
thread, each with a turn at the interpreter. Here one thread leads: it takes what gRPC has, and answers
itself. That halves what a call costs beside its work.

Rules:
- Only calls of the methods named go this way. All others go gRPC's own, by gRPC's own code.
- What gRPC has ready is taken before the next call is answered, at most `EVENTS_AT_ONCE` events: so calls
  that come meanwhile count as waiting, and are known to be cancelled.
- gRPC reads a piece of one socket each time that it is asked, which need not end in an event. It has nothing
  only if `LOOKS` came back empty, and one more for each `LOOK_SECONDS` that the last call took: a small call
  must not stand unread behind the sockets of large ones, nor a cancellation behind the call.
- Calls wait in an `Inbox`, which refuses those that may not: before their message is read, or parsed.
- A leader that waits steps aside for another thread: where it says so itself (`step_aside`, for a commit), at
  once; else when one call has taken `PATIENCE_SECONDS`, twice that at most. It ends its call, then stands by.
- Nothing of a call is shared between threads but under the server's lock, or by a deque's own.
- What is over is freed at once, not when Python looks for cycles: gRPC keeps its memory of a call for as long
  as Python holds it.

gRPC has no public name for this (`insides`). With a version that was not tested, `start` leaves every call to
gRPC.
"""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from vault.errors import OverloadedError
from vault.server import insides
from vault.server.anchors import CERTIFICATE, CHAIN
from vault.server.identity import COMMON_NAME, DNS, URI
from vault.server.inbox import Inbox, Properties
from vault.server.line import Place
from vault.server.logs import frames_of, log
from vault.server.status import overloaded

EVENTS_AT_ONCE: Final = 32
PATIENCE_SECONDS: Final = 0.02
LOOKS: Final = 2
LOOK_SECONDS: Final = 0.00025
_MORE_LOOKS: Final = 8
_POLL_SECONDS: Final = 1.0
_NO_FLAGS: Final = 0
_TIMEOUT: Final = cygrpc.CompletionType.queue_timeout
_OK: Final = cygrpc.StatusCode.ok
_UNKNOWN: Final = cygrpc.StatusCode.unknown
_UNIMPLEMENTED: Final = cygrpc.StatusCode.unimplemented
_CODES: Final[Mapping[grpc.StatusCode, Any]] = {
    code: getattr(cygrpc.StatusCode, code.name.lower()) for code in grpc.StatusCode
}
_WHO: Final = [(name.encode(), name) for name in (CERTIFICATE, CHAIN, URI, DNS, COMMON_NAME)]
_Finished = tuple["_Call | None", tuple[()]]
"""What gRPC's loop expects of an event's callback: a call that is over, or None."""


class _AbortedError(Exception):
    """The method has ended its call with a status."""

    def __init__(self, status: grpc.Status) -> None:
        super().__init__()
        self.status = status


class _Call:
    """One call, and what its method sees of it: the part of `grpc.ServicerContext` that `calls` uses."""

    __slots__ = ("_due", "_event", "_properties", "_state", "cancelled", "handler", "place", "request")

    def __init__(self, state: Any, event: Any, handler: Any) -> None:
        self._state = state
        self._event = event
        self._due = 0  # batches of operations that are under way
        self._properties: Properties | None = None
        self.handler = handler
        self.place: Place[_Call] | None = None
        self.request: bytes | None = None
        self.cancelled = False

    def auth_context(self) -> Properties:
        """The properties of the caller's connection that say who it is."""
        if self._properties is None:
            found: Mapping[bytes, Sequence[bytes]] = cygrpc.auth_context(self._event.call) or {}
            self._properties = {name: found[key] for key, name in _WHO if key in found}
        return self._properties

    def time_remaining(self) -> float:
        """Seconds until the caller gives up."""
        deadline: float = self._event.call_details.deadline
        return max(deadline - time.time(), 0.0)

    def is_active(self) -> bool:
        """Whether the caller still waits, as far as is known."""
        return not self.cancelled

    def abort_with_status(self, status: grpc.Status) -> None:
        """Ends the call with a status other than OK."""
        raise _AbortedError(status)

    def receive(self, operation: Any, done: Any) -> None:
        """Starts an operation; `done` is called with its event, and ends with `over`."""
        with self._state.lock:
            self._due += 1
        self._event.call.start_server_batch((operation,), done)

    def send(self, operations: Sequence[Any]) -> None:
        """Starts the last batch of operations, unless the caller has gone: then the call may be over."""
        with self._state.lock:
            if self.cancelled:
                return
            self._due += 1
        self._event.call.start_server_batch(operations, self._sent)

    def close(self, *, cancelled: bool) -> None:
        """The caller has its answer, or has given up."""
        with self._state.lock:
            self.cancelled = cancelled

    def over(self) -> _Finished:
        """To be returned when a batch is over."""
        with self._state.lock:
            self._due -= 1
            return (None, ()) if self._due else (self, ())

    def _sent(self, _event: Any) -> _Finished:
        return self.over()


class _Lead:
    """One thread's time at the head; `answering` is the call that it works on."""

    __slots__ = ("answering", "thread")

    def __init__(self) -> None:
        self.answering: _Call | None = None
        self.thread = threading.get_ident()


class ShortWay:
    """Serves a `grpc.Server` whose methods and ports were added and which was not started."""

    def __init__(
        self, server: grpc.Server, methods: Collection[str], threads: int, inbox: "Inbox[Any]"
    ) -> None:
        """Takes the server.

        Args:
            server: with its methods registered.
            methods: full names (`/package.Service/Method`) of unary ones that go the short way.
            threads: that lead or stand by; so many calls may wait at the same time before none is taken.
            inbox: where calls wait for their turn.
        """
        self._server = server
        self._state: Any = server._state  # type: ignore[attr-defined]
        self._handlers = {name: self._state.registered_method_handlers[name] for name in methods}
        self._threads = max(2, threads)
        self._inbox: Inbox[_Call] = inbox
        self._lead: _Lead | None = None
        self._watch = threading.Lock()  # held by the one thread that watches the leader
        self._needed = threading.Event()
        self._ended = False

    def start(self) -> None:
        """Starts the server."""
        if not insides.is_known():
            log.warning("grpc is of an untested version, calls go the long way")
            self._server.start()
            return
        state = self._state
        with state.lock:
            state.server.start()
            state.stage = _server._ServerStage.STARTED
            for name in state.registered_method_handlers:
                _server._request_registered_call(state, name)
            _server._request_call(state)
        for number in range(self._threads):
            threading.Thread(target=self._serve, name=f"serve_{number}", daemon=True).start()

    def step_aside(self) -> None:
        """Lets another thread lead, if this one does: to be called before it waits."""
        lead = self._lead
        if lead is not None and lead.thread == threading.get_ident():
            self._lead = None
            self._needed.set()

    def _serve(self) -> None:
        while not self._ended:
            with self._watch:
                self._stand_by()
                lead = self._lead = _Lead()
            try:
                if not self._ended:
                    self._take_and_answer(lead)
            except Exception as error:  # noqa: BLE001 - the edge: the server has to go on
                log.error("a call was not taken", exception=type(error).__name__, frames=frames_of(error))
                if self._lead is lead:
                    self._lead = None
        self._needed.set()  # the next one that stands by finds the end, too

    def _stand_by(self) -> None:
        """Returns when another leader is needed, or at the end."""
        seen: _Call | None = None
        while (lead := self._lead) is not None and not self._ended:
            answering = lead.answering
            if answering is not None and answering is seen:
                return
            seen = answering
            self._needed.wait(PATIENCE_SECONDS)
        self._needed.clear()

    def _take_and_answer(self, lead: _Lead) -> None:
        """Leads until the server has ended or another thread leads."""
        poll, waiting, taken = self._state.completion_queue.poll, self._inbox, 0
        looks = left = LOOKS
        while self._lead is lead:
            event = poll(0 if waiting else time.time() + _POLL_SECONDS)
            if self._state.server_deallocated:
                _server._begin_shutdown_once(self._state)
            if event.completion_type == _TIMEOUT:
                left -= 1
                taken = taken if left else EVENTS_AT_ONCE
            elif not self._handle(event):
                self._ended = True
                return
            else:
                # Who has taken over by now may wait in `poll`, and not know of a call that came here.
                taken, left = (taken + 1 if self._lead is lead else EVENTS_AT_ONCE), looks
            event = None  # gRPC must not find a call that is over still held when it is asked again
            if taken >= EVENTS_AT_ONCE:
                taken, begun = 0, time.perf_counter()
                self._answer_next(lead)
                looks = left = LOOKS + min(_MORE_LOOKS, int((time.perf_counter() - begun) / LOOK_SECONDS))

    def _handle(self, event: Any) -> bool:
        """Takes an event; whether the server goes on."""
        state, tag = self._state, event.tag
        handler = self._handlers.get(tag) if isinstance(tag, str) else None
        if handler is None:
            return bool(_server._process_event_and_continue(state, event))
        with state.lock:
            state.due.remove(tag)
            if event.success:
                self._accept(_Call(state, event, handler))
            if state.stage is _server._ServerStage.STARTED:
                _server._request_registered_call(state, tag)
                return True
            return not _server._stop_serving(state)

    def _accept(self, call: _Call) -> None:
        """Waits for the call's message, or refuses it where it could not wait. Holds the server's lock."""
        state, inbox = self._state, self._inbox
        state.rpc_states.add(call)

        def closed(event: Any) -> _Finished:
            """The caller has its answer, or has given up."""
            call.close(cancelled=event.batch_operations[0].cancelled())
            if call.cancelled and inbox.leave(call):
                self._no_more_active()
            return call.over()

        def received(event: Any) -> _Finished:
            request = call.request = event.batch_operations[0].message()
            try:
                inbox.put(call, len(request) if request is not None else 0)
            except OverloadedError as error:
                call.request = None
                self._send_status(call, overloaded(error))
                self._no_more_active()
            return call.over()

        limit = state.maximum_concurrent_rpcs
        try:
            if limit is not None and state.active_rpc_count >= limit:
                raise inbox.full(call)
            inbox.check(call)
        except OverloadedError as error:
            self._send_status(call, overloaded(error), alone=True)
            return
        state.active_rpc_count += 1
        call.receive(cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS), closed)
        call.receive(cygrpc.ReceiveMessageOperation(_NO_FLAGS), received)

    def _no_more_active(self) -> None:
        with self._state.lock:
            self._state.active_rpc_count -= 1

    def _answer_next(self, lead: _Lead) -> None:
        taken = self._inbox.take()
        if taken is None:
            return
        call, place = taken
        lead.answering = call
        try:
            self._answer(call)
        except Exception as error:  # noqa: BLE001 - the edge: the server has to go on
            log.error("an answer was not sent", exception=type(error).__name__, frames=frames_of(error))
        finally:
            lead.answering = None
            if place is not None:
                self._inbox.done(place)
            self._no_more_active()

    def _answer(self, call: _Call) -> None:
        handler, request = call.handler, call.request
        call.request = None
        if request is None:  # the caller has gone, or sent nothing, or more than gRPC takes
            _send(call, _UNIMPLEMENTED, b"exactly one request message is required", None)
            return
        try:
            answer = handler.response_serializer(
                handler.unary_unary(handler.request_deserializer(request), call)
            )
        except _AbortedError as aborted:
            self._send_status(call, aborted.status)
            return
        except BaseException:
            _send(call, _UNKNOWN, b"", None)
            raise
        call.send(
            (
                cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),
                cygrpc.SendMessageOperation(answer, _NO_FLAGS),
                cygrpc.SendStatusFromServerOperation(None, _OK, b"", _NO_FLAGS),
            )
        )

    def _send_status(self, call: _Call, status: grpc.Status, *, alone: bool = False) -> None:
        _send(call, _CODES[status.code], status.details.encode(), status.trailing_metadata, alone=alone)


def _send(call: _Call, code: Any, details: bytes, trailing: Any, *, alone: bool = False) -> None:
    """Ends a call; `alone` if nothing was begun for it, so that all of it is one batch of operations."""
    operations: tuple[Any, ...] = (
        cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),
        cygrpc.SendStatusFromServerOperation(trailing, code, details, _NO_FLAGS),
    )
    if alone:
        operations = (*operations, cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))
    call.send(operations)
