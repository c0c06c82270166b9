"""The other side of the client: a real gRPC server with mutual TLS that answers as a test scripts it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from customervault.v1 import (
    approval_service_pb2,
    audit_service_pb2,
    common_pb2,
    consent_service_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
    search_service_pb2,
    token_service_pb2,
)
from google.longrunning import operations_proto_pb2
from google.protobuf import any_pb2, duration_pb2, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

_FILES = (
    approval_service_pb2,
    audit_service_pb2,
    consent_service_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
    search_service_pb2,
    token_service_pb2,
    health_pb2,
    operations_proto_pb2,
)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@dataclass(frozen=True)
class Failure:
    """An answer that is an error, of a call or of one item."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "scripted"
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    domain: str = "customervault"

    def status(self) -> status_pb2.Status:
        details = []
        if self.reason:
            details.append(
                error_details_pb2.ErrorInfo(reason=self.reason, domain=self.domain, metadata=self.metadata)
            )
        if self.retry_after_seconds is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after_seconds * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    def item(self, index: int) -> common_pb2.ItemError:
        return common_pb2.ItemError(index=index, status=self.status())


Answer = Message | Failure
Handler = Callable[[Any], Answer]


@dataclass(frozen=True)
class Received:
    """One call as the server saw it."""

    method: str
    request: Any
    peer: str
    time: float
    remaining_seconds: float


class ScriptedVault(grpc.GenericRpcHandler):
    """Answers by method name, for example `Detokenize`; anything unscripted is UNIMPLEMENTED."""

    def __init__(self, credentials: grpc.ServerCredentials, address: str = "127.0.0.1:0") -> None:
        self.received: list[Received] = []
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_secure_port(address, credentials)}"
        self._server.start()

    def on(self, method: str, handler: Handler) -> None:
        """Answer each call by what `handler` makes of its request."""
        self._handlers[method] = handler

    def script(self, method: str, *answers: Answer) -> None:
        """Answer calls one after the other; the last answer repeats."""
        left = list(answers)

        def answer(_request: Message) -> Answer:
            with self._lock:
                return left.pop(0) if len(left) > 1 else left[0]

        self.on(method, answer)

    def requests(self, method: str) -> list[Any]:
        """Requests of one method, in the order of arrival."""
        return [seen.request for seen in self.received if seen.method == method]

    def stop(self) -> None:
        self._server.stop(None).wait()

    def service(self, handler_call_details: Any) -> "grpc.RpcMethodHandler[Any, Any] | None":
        descriptor = METHODS.get(handler_call_details.method)
        name = handler_call_details.method.rpartition("/")[2]
        if descriptor is None or name not in self._handlers:
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(name, request, context),
            request_deserializer=message_factory.GetMessageClass(descriptor.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(descriptor.output_type).SerializeToString,
        )

    def _answer(self, name: str, request: Message, context: Any) -> Message:
        with self._lock:
            self.received.append(
                Received(name, request, context.peer(), time.monotonic(), context.time_remaining())
            )
        answer = self._handlers[name](request)
        if isinstance(answer, Failure):
            context.abort_with_status(rpc_status.to_status(answer.status()))
        assert isinstance(answer, Message)
        return answer
