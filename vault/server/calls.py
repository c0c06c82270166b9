"""The one way into every call.

In this order: parse the request, name the principal, look whether its CA is still let in, give up when the
caller has (deadline passed or call cancelled), do the work, map the error, count. A servicer's method is
`(Caller, request) -> response` and knows nothing of gRPC.

Requests are parsed here instead of by gRPC's default, which answers a malformed one with an untyped
INTERNAL. gRPC's own limit stands above the configured one, so that a message somewhat too large gets its
typed error; only one beyond `HARD_LIMIT_FACTOR` times the limit is cut off by gRPC itself.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from vault.core.vault import Vault
from vault.errors import (
    CallerError,
    DeadlineExceededError,
    DeniedError,
    InvalidRequestError,
    LimitExceededError,
    Reason,
    UnauthenticatedError,
    VaultError,
)
from vault.model.requests import Caller
from vault.server import metrics, wire
from vault.server.anchors import Anchors
from vault.server.identity import peer_of
from vault.server.logs import frames_of, log
from vault.server.status import code_for, new_incident, status_of, status_of_incident, to_grpc

HARD_LIMIT_FACTOR = 2
_NO_DEADLINE_SECONDS = 1e9  # gRPC says "infinite" as a very distant time


class Work(Protocol):
    """A servicer's method."""

    def __call__(self, caller: Caller, request: Any) -> Message | bytes:
        """Answers `request`, or raises a `VaultError`."""
        ...


class Calls:
    """Wraps servicers' methods into gRPC handlers."""

    def __init__(self, vault: Vault, message_bytes: int, anchors: Anchors) -> None:
        self._vault = vault
        self._anchors = anchors
        self._message_bytes = message_bytes

    def handler(
        self, method: str, request_type: type[Message], work: Work
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """A unary handler that answers `method` (its short name) by `work`."""
        tally = metrics.GATHERING.tally(method)

        def behaviour(request: Any, context: grpc.ServicerContext) -> Message | bytes:  # noqa: RET503
            started = time.perf_counter()
            principal, ok = "", False
            tally.begin()
            try:
                principal = self._principal(method, context)
                response = work(Caller(principal, _deadline(context)), _well_formed(request))
            except VaultError as error:
                status, reason = status_of(error), error.reason
                if isinstance(error, DeniedError) and principal:
                    self._vault.record_refusal(principal, method, error)
                _log_refusal(method, principal, started, error)
            except Exception as error:  # noqa: BLE001 - the edge: nothing of it may reach the caller
                incident = new_incident()
                status, reason = status_of_incident(incident), Reason.INTERNAL
                _log_failure(method, principal, started, error, incident)
            else:
                ok = True
                return response
            finally:
                tally.end(time.perf_counter() - started, ok=ok)
            metrics.CALLS.labels(method, code_for(reason).name, reason.value).inc()
            context.abort_with_status(to_grpc(status))

        read: Callable[[bytes], Any] = wire.parse if method == "Detokenize" else request_type.FromString
        return grpc.unary_unary_rpc_method_handler(
            behaviour, request_deserializer=self._parser(read), response_serializer=wire.serialize
        )

    def _principal(self, method: str, context: grpc.ServicerContext) -> str:
        try:
            return self._anchors.principal(peer_of(context))
        except UnauthenticatedError as error:
            self._vault.record_refusal("", method, error)
            raise

    def _parser(self, read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        limit = self._message_bytes

        def parse(data: bytes) -> Any:
            if len(data) > limit:
                return LimitExceededError(
                    "the message is larger than message_bytes",
                    limit="message_bytes",
                    allowed=str(limit),
                    size=str(len(data)),
                )
            try:
                return read(data)
            except DecodeError:
                return InvalidRequestError("the request is not a well-formed message; texts are UTF-8")

        return parse


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


def _well_formed(request: Any) -> Any:
    if isinstance(request, VaultError):
        raise request
    return request


def _deadline(context: grpc.ServicerContext) -> float | None:
    """The caller's deadline on the monotonic clock, or None.

    Raises:
        DeadlineExceededError: it has passed, or the caller has gone.
    """
    remaining = context.time_remaining()
    if remaining <= 0 or not context.is_active():
        raise DeadlineExceededError("the caller gave up before the work began")
    return None if remaining > _NO_DEADLINE_SECONDS else time.monotonic() + remaining
