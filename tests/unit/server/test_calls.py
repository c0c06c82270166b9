"""The wrapper around every call, over real TLS connections and with servicers' methods made to order."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from customervault.v1 import token_service_pb2 as pb
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from vault.config import ServerSettings, Settings
from vault.crypto import certificates
from vault.errors import Reason, StorageFullError, TokenUnknownError, VaultError
from vault.model.requests import Caller
from vault.server import logs
from vault.server.anchors import Anchors
from vault.server.calls import HARD_LIMIT_FACTOR, Calls
from vault.server.inbox import Inbox
from vault.server.lanes import Lanes
from vault.server.shortway import ShortWay

CANARY = "Canary-7f3a@example.org"
MESSAGE_BYTES = 1000
Work = Callable[[Caller, Any], pb.InspectTokenResponse]


class Refusals:
    """Stands for the vault, of which the wrapper needs the record of refusals only."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Reason]] = []

    def record_refusal(self, principal: str, action: str, error: VaultError) -> None:
        self.seen.append((principal, action, error.reason))


class Endpoint:
    """One method behind the wrapper; `work` says what it does."""

    def __init__(self, authority: Any, pair: Any, cas: Path, way: str) -> None:
        self.at_once = {"long": 1, "short": 2}[way]  # calls that can be worked on
        self.work: Work = lambda *_: pb.InspectTokenResponse()
        self.refusals = Refusals()
        self.authority = authority
        short = ["InspectToken"] if way == "short" else []
        self.lanes = Lanes(Settings(server=ServerSettings(threads=1)), short)
        anchors = Anchors([cas], look_seconds=0.0)
        calls = Calls(self.refusals, MESSAGE_BYTES, anchors, self.lanes)  # type: ignore[arg-type]
        handler = calls.handler("InspectToken", pb.InspectTokenRequest, lambda c, r: self.work(c, r))
        self._server = grpc.server(
            futures.ThreadPoolExecutor(1),
            options=[("grpc.max_receive_message_length", HARD_LIMIT_FACTOR * MESSAGE_BYTES)],
            interceptors=[self.lanes],
        )
        self._server.add_registered_method_handlers("test.Test", {"InspectToken": handler})
        self.lanes.watch("/test.Test/InspectToken")
        credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)], authority.pem, True)
        self._port = self._server.add_secure_port("127.0.0.1:0", credentials)
        inbox: Inbox[Any] = Inbox("test", calls=100, items=100_000, principal_of=anchors.principal)
        ShortWay(self._server, [f"/test.Test/{name}" for name in short], self.at_once, inbox).start()
        self.channel = self.connect("crm")

    def connect(self, name: str) -> grpc.Channel:
        client = self.authority.issue(name)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, client.key, client.certificate)
        return grpc.secure_channel(f"127.0.0.1:{self._port}", credentials)

    def call(self, request: bytes = b"", timeout: float | None = 10, channel: Any = None) -> bytes:
        return self.method(channel or self.channel)(request, timeout=timeout)

    @staticmethod
    def method(channel: grpc.Channel) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
        return channel.unary_unary("/test.Test/InspectToken")

    def refusal(self, request: bytes = b"", **options: Any) -> tuple[grpc.StatusCode, ErrorInfo, str]:
        """Code, reason and message of a call that must fail."""
        with pytest.raises(grpc.RpcError) as refused:
            self.call(request, **options)
        status = rpc_status.from_call(refused.value)
        info = ErrorInfo()
        if status is not None:
            assert status.details[0].Unpack(info)
        return refused.value.code(), info, refused.value.details() or ""

    def close(self) -> None:
        self.channel.close()
        self._server.stop(None).wait()
        self.lanes.close()


@pytest.fixture
def cas(authority: Any, tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture(params=["long", "short"])
def endpoint(
    authority: Any, server_pair: Any, cas: Path, request: pytest.FixtureRequest
) -> Iterator[Endpoint]:
    running = Endpoint(authority, server_pair, cas, request.param)
    yield running
    running.close()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(process="test", stream=stream)
    yield stream
    logs.log.stream = None


def raising(error: Exception) -> Work:
    def work(_: Caller, __: object) -> pb.InspectTokenResponse:
        raise error

    return work


def test_work_gets_the_principal_the_deadline_and_the_request(endpoint: Endpoint) -> None:
    seen: list[tuple[Caller, str]] = []

    def work(caller: Caller, request: pb.InspectTokenRequest) -> pb.InspectTokenResponse:
        seen.append((caller, request.token))
        return pb.InspectTokenResponse(domain="crm")

    endpoint.work = work
    request = pb.InspectTokenRequest(token="cv1_ab").SerializeToString()
    answer = endpoint.call(request, timeout=5)
    assert pb.InspectTokenResponse.FromString(answer).domain == "crm"
    endpoint.call(request, timeout=None)
    (first, token), (second, _) = seen
    assert (first.principal, token) == ("crm", "cv1_ab")
    assert first.deadline_monotonic is not None
    assert 0 < first.deadline_monotonic - time.monotonic() <= 5
    assert second.deadline_monotonic is None


def test_expected_errors_arrive_with_reason_and_details(endpoint: Endpoint) -> None:
    endpoint.work = raising(StorageFullError("no space", needed="12"))
    code, info, message = endpoint.refusal()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "customervault",
        "STORAGE_FULL",
        {"needed": "12"},
    )
    assert message == "no space"


def test_unexpected_errors_tell_an_incident_and_nothing_else(endpoint: Endpoint, lines: io.StringIO) -> None:
    endpoint.work = raising(KeyError(CANARY))
    code, info, message = endpoint.refusal()
    assert (code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    incident = info.metadata["incident"]
    assert message == f"internal error; incident {incident}"
    (line,) = lines.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["incident"], entry["exception"]) == ("call failed", incident, "KeyError")
    assert entry["frames"][-1].endswith(" work")
    assert CANARY not in line


@pytest.mark.parametrize(
    "error", [TokenUnknownError("no such token"), StorageFullError("no space")], ids=["caller's", "ours"]
)
def test_refusals_are_logged_by_reason(endpoint: Endpoint, lines: io.StringIO, error: VaultError) -> None:
    endpoint.work = raising(error)
    endpoint.refusal(pb.InspectTokenRequest(token=CANARY).SerializeToString())
    entry = json.loads(lines.getvalue())
    assert (entry["event"], entry["method"], entry["principal"]) == ("call refused", "InspectToken", "crm")
    assert entry["reason"] == error.reason.value
    assert CANARY not in lines.getvalue()


def test_a_large_message_is_told_the_limit_and_its_size(endpoint: Endpoint) -> None:
    request = pb.InspectTokenRequest(token="x" * MESSAGE_BYTES).SerializeToString()
    code, info, _ = endpoint.refusal(request)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    assert dict(info.metadata) == {
        "limit": "message_bytes",
        "allowed": str(MESSAGE_BYTES),
        "size": str(len(request)),
    }


def test_a_far_too_large_message_is_cut_off(endpoint: Endpoint) -> None:
    code, _, _ = endpoint.refusal(b"x" * (HARD_LIMIT_FACTOR * MESSAGE_BYTES + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("request_bytes", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28"], ids=["garbage", "utf-8"])
def test_an_unreadable_message_is_an_invalid_request(endpoint: Endpoint, request_bytes: bytes) -> None:
    code, info, _ = endpoint.refusal(request_bytes)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_nameless_certificate_is_refused_and_recorded(endpoint: Endpoint) -> None:
    worked = threading.Event()
    endpoint.work = lambda *_: worked.set() or pb.InspectTokenResponse()  # type: ignore[func-returns-value]
    with endpoint.connect("") as channel:
        code, info, _ = endpoint.refusal(channel=channel)
    assert (code, info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert endpoint.refusals.seen == [("", "InspectToken", Reason.UNAUTHENTICATED)]
    assert not worked.is_set()


def test_work_whose_caller_gave_up_is_not_begun(endpoint: Endpoint) -> None:
    begun: list[str] = []
    hold = threading.Event()

    def work(_: Caller, request: pb.InspectTokenRequest) -> pb.InspectTokenResponse:
        begun.append(request.token)
        hold.wait(10)
        return pb.InspectTokenResponse()

    endpoint.work = work
    first = [
        endpoint.method(endpoint.channel).future(
            pb.InspectTokenRequest(token="first").SerializeToString(), timeout=10
        )
        for _ in range(endpoint.at_once)
    ]
    while len(begun) < endpoint.at_once:
        time.sleep(0.01)
    code, _, _ = endpoint.refusal(pb.InspectTokenRequest(token="late").SerializeToString(), timeout=0.2)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    hold.set()
    for each in first:
        each.result(timeout=10)
    endpoint.call(pb.InspectTokenRequest(token="last").SerializeToString())
    assert begun == ["first"] * endpoint.at_once + ["last"]


def test_an_open_connection_ends_to_count_with_the_trust_in_its_ca(
    endpoint: Endpoint, cas: Path, other_ca: bytes
) -> None:
    own = cas.read_bytes()
    endpoint.call()
    replace_file(cas, other_ca + own)
    endpoint.call()
    replace_file(cas, other_ca)
    code, info, _ = endpoint.refusal()
    assert (code, info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert endpoint.refusals.seen == [("", "InspectToken", Reason.UNAUTHENTICATED)]
    replace_file(cas, b"not a certificate")  # what was read last stays in force
    assert endpoint.refusal()[0] is grpc.StatusCode.UNAUTHENTICATED
    cas.unlink()
    assert endpoint.refusal()[0] is grpc.StatusCode.UNAUTHENTICATED
    replace_file(cas, own)
    endpoint.call()


def replace_file(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.fixture(scope="module")
def other_ca() -> bytes:
    return certificates.create_ca("another CA", 1).cert_pem
