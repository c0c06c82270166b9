"""The one way into every call.

In this order: name the principal and look whether its CA is still let in; give up when the caller has
(deadline passed or call cancelled); wait for a turn (`gate`), and look for the caller again; parse the
request, do the work, serialize the answer, give the turn back; map the error, count. Calls of the short way
have waited before (`inbox`). A servicer's method is `(Caller, request) -> response`, and knows nothing of
gRPC.

Requests are parsed here instead of by gRPC: nothing is parsed of a call that is refused, threads that wait
do not fight for the interpreter over it, and a malformed one is not answered with an untyped INTERNAL.
gRPC's own limit stands above the configured one, so that a message somewhat too large gets its typed error;
only one beyond `HARD_LIMIT_FACTOR` times the limit is cut off by gRPC itself.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from vault.core.vault import Vault
from vault.errors import (
    CallerError,
    DeadlineExceededError,
    DeniedError,
    InvalidRequestError,
    LimitExceededError,
    OverloadedError,
    Reason,
    UnauthenticatedError,
    VaultError,
)
from vault.model.requests import Caller
from vault.server import columns, metrics, wire
from vault.server.anchors import Anchors
from vault.server.gate import Gate
from vault.server.identity import peer_of
from vault.server.lanes import Lanes
from vault.server.logs import frames_of, log
from vault.server.status import code_for, new_incident, overloaded, status_of, status_of_incident, to_grpc

HARD_LIMIT_FACTOR = 2
_READ: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "BatchTokenize": columns.parse,
    "Detokenize": wire.parse,
}
_NO_DEADLINE_SECONDS = 1e9  # gRPC says "infinite" as a very distant time


class Work(Protocol):
    """A servicer's method."""

    def __call__(self, caller: Caller, request: Any) -> Message | bytes:
        """Answers `request`, or raises a `VaultError`."""
        ...


class Calls:
    """Wraps servicers' methods into gRPC handlers.

    Attributes:
        lanes: Where they wait, but for those that go the short way.
    """

    def __init__(self, vault: Vault, message_bytes: int, anchors: Anchors, lanes: Lanes) -> None:
        self._vault = vault
        self._anchors = anchors
        self._message_bytes = message_bytes
        self.lanes = lanes

    def handler(
        self, method: str, request_type: type[Message], work: Work
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler that answers `method` (its short name) by `work`."""
        tally = metrics.GATHERING.tally(method)
        read: Callable[[bytes], Any] = _READ.get(method, request_type.FromString)
        lane = self.lanes.of(method)

        def in_its_turn(data: bytes, caller: Caller, _context: grpc.ServicerContext) -> bytes:
            if len(data) > self._message_bytes:
                raise self._too_large(data)
            try:
                request = read(data)
            except DecodeError:
                raise InvalidRequestError(
                    "the request is not a well-formed message; texts are UTF-8"
                ) from None
            reply = work(caller, request)
            return reply if isinstance(reply, bytes) else reply.SerializeToString()

        answer: Callable[[Any, Caller, grpc.ServicerContext], bytes] = in_its_turn
        if lane is not None:
            answer = _waiting(lane.gate, in_its_turn)

        def behaviour(request: Any, context: grpc.ServicerContext) -> bytes:  # noqa: RET503
            started = time.perf_counter()
            principal, ok = "", False
            tally.begin()
            try:
                principal = self._principal(method, context)
                reply = answer(request, Caller(principal, _deadline(context)), context)
            except Exception as error:  # noqa: BLE001 - the edge: nothing of it may reach the caller
                status, reason = self._failed(method, principal, started, error)
            else:
                ok = True
                return reply
            finally:
                tally.end(time.perf_counter() - started, ok=ok)
            metrics.CALLS.labels(method, code_for(reason).name, reason.value).inc()
            context.abort_with_status(status)

        if lane is None:
            return grpc.unary_unary_rpc_method_handler(behaviour, bytes, bytes)
        behaviour.experimental_thread_pool = lane.threads  # type: ignore[attr-defined]
        # As a handler of streams it is called before the request was read; on the wire that is no difference.
        return grpc.stream_unary_rpc_method_handler(behaviour)

    def _principal(self, method: str, context: grpc.ServicerContext) -> str:
        try:
            return self._anchors.principal(peer_of(context))
        except UnauthenticatedError as error:
            self._vault.record_refusal("", method, error)
            raise

    def _too_large(self, data: bytes) -> LimitExceededError:
        return LimitExceededError(
            "the message is larger than message_bytes",
            limit="message_bytes",
            allowed=str(self._message_bytes),
            size=str(len(data)),
        )

    def _failed(
        self, method: str, principal: str, started: float, error: Exception
    ) -> tuple[grpc.Status, Reason]:
        if isinstance(error, OverloadedError):
            return overloaded(error), error.reason
        if isinstance(error, VaultError):
            if isinstance(error, DeniedError) and principal:
                self._vault.record_refusal(principal, method, error)
            _log_refusal(method, principal, started, error)
            return to_grpc(status_of(error)), error.reason
        incident = new_incident()
        _log_failure(method, principal, started, error, incident)
        return to_grpc(status_of_incident(incident)), Reason.INTERNAL


def _waiting(
    gate: Gate | None, answer: Callable[[bytes, Caller, grpc.ServicerContext], bytes]
) -> Callable[[Iterator[bytes], Caller, grpc.ServicerContext], bytes]:
    """Reads the request and answers it when it is the call's turn."""

    def at_once(requests: Iterator[bytes], caller: Caller, context: grpc.ServicerContext) -> bytes:
        return answer(_received(requests), caller, context)

    if gate is None:
        return at_once

    def in_turn(requests: Iterator[bytes], caller: Caller, context: grpc.ServicerContext) -> bytes:
        deadline = caller.deadline_monotonic
        gate.check(caller.principal)
        data = _received(requests)
        with gate.turn(caller.principal, len(data), deadline) as waited:
            if waited:
                _require_caller(context, deadline)
            return answer(data, caller, context)

    return in_turn


def _received(requests: Iterator[bytes]) -> bytes:
    """The one request of a call.

    Raises:
        DeadlineExceededError: the caller has gone.
        InvalidRequestError: there is none.
    """
    try:
        data = next(requests, None)
    except grpc.RpcError:
        raise DeadlineExceededError("the caller gave up before the work began") from None
    if data is None:
        raise InvalidRequestError("the call has no request")
    return data


def _log_refusal(method: str, principal: str, started: float, error: VaultError) -> None:
    write = log.info if isinstance(error, CallerError) else log.warning
    write(
        "call refused", method=method, principal=principal, reason=error.reason.value, ms=_ms_since(started)
    )


def _log_failure(method: str, principal: str, started: float, error: Exception, incident: str) -> None:
    log.error(
        "call failed",
        method=method,
        principal=principal,
        incident=incident,
        exception=type(error).__name__,
        frames=frames_of(error),
        ms=_ms_since(started),
    )


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _deadline(context: grpc.ServicerContext) -> float | None:
    """The caller's deadline on the monotonic clock, or None.

    Raises:
        DeadlineExceededError: it has passed, or the caller has gone.
    """
    remaining = context.time_remaining()
    if remaining <= 0 or not context.is_active():
        raise DeadlineExceededError("the caller gave up before the work began")
    return None if remaining > _NO_DEADLINE_SECONDS else time.monotonic() + remaining


def _require_caller(context: grpc.ServicerContext, deadline: float | None) -> None:
    """Looks again, after the wait.

    Raises:
        DeadlineExceededError: the deadline has passed, or the caller has gone.
    """
    if (deadline is not None and time.monotonic() > deadline) or not context.is_active():
        raise DeadlineExceededError("the caller gave up before the work began")
