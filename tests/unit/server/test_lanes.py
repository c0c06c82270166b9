"""Which calls queue together, and the door before them, over real connections."""

import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from customervault.v1 import token_service_pb2 as pb
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from vault.config import Limits, ServerSettings, Settings
from vault.server import gate, metrics
from vault.server.anchors import Anchors
from vault.server.calls import Calls
from vault.server.lanes import READS, URGENT, Lane, LaneName, Lanes, lane_of
from vault.server.services import _FILES

METHODS = {
    method.name
    for file, _ in _FILES
    for service in file.services_by_name.values()
    for method in service.methods
}


def test_every_method_that_is_named_is_one_of_the_api() -> None:
    assert READS | URGENT <= METHODS
    assert not READS & URGENT


@pytest.mark.parametrize(
    ("method", "lane"),
    [
        ("Detokenize", LaneName.READ),
        ("BatchTokenize", LaneName.ORDINARY),
        ("ExportCustomer", LaneName.ORDINARY),
        ("BatchShredCustomers", LaneName.URGENT),
        ("WithdrawConsent", LaneName.URGENT),
        ("SuspendPrincipal", LaneName.URGENT),
        ("SomethingNew", LaneName.ORDINARY),
    ],
)
def test_what_ends_something_does_not_queue_with_the_rest(method: str, lane: LaneName) -> None:
    assert lane_of(method) is lane


def test_methods_of_the_short_way_have_no_lane() -> None:
    by_threads, short = Lanes(Settings()), Lanes(Settings(), READS)
    lane = by_threads.of("Detokenize")
    assert lane is not None
    assert lane.name is LaneName.READ
    assert short.of("Detokenize") is None
    assert short.of("BatchTokenize") is not None


class Busy:
    """A server of two methods, of which each call waits until `go`."""

    def __init__(self, authority: Any, pair: Any, cas: Path) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.lanes = Lanes(Settings(server=ServerSettings(threads=1), limits=Limits(waiting_calls=2)))
        calls = Calls(None, 1000, Anchors([cas]), self.lanes)  # type: ignore[arg-type]
        self._server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=[self.lanes])
        for name in ("InspectToken", "ShredCustomer"):
            handler = calls.handler(name, pb.InspectTokenRequest, self._work)
            self._server.add_registered_method_handlers("test.Test", {name: handler})
            self.lanes.watch(f"/test.Test/{name}")
        server = grpc.ssl_server_credentials([(pair.key, pair.certificate)], authority.pem, True)
        port = self._server.add_secure_port("127.0.0.1:0", server)
        self._server.start()
        client = authority.issue("crm")
        credentials = grpc.ssl_channel_credentials(authority.pem, client.key, client.certificate)
        self.channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials)

    def _work(self, *_: object) -> pb.InspectTokenResponse:
        self.begun.release()
        self.go.wait(10)
        return pb.InspectTokenResponse()

    def call(self, method: str = "InspectToken", **options: Any) -> Any:
        return self.channel.unary_unary(f"/test.Test/{method}").future(b"", timeout=10, **options)

    def fill(self) -> list[Any]:
        """One call at work and as many waiting as may."""
        sent = [self.call()]
        assert self.begun.acquire(timeout=10)
        gate_of = self.lane().gate
        assert gate_of is not None
        for waiting in (1, 2):
            sent.append(self.call())
            while gate_of._line.waiting_calls < waiting:
                assert not sent[-1].done()
        return sent

    def lane(self) -> Lane:
        lane = self.lanes.of("InspectToken")
        assert lane is not None
        return lane

    def close(self) -> None:
        self.go.set()
        self.channel.close()
        self._server.stop(None).wait()
        self.lanes.close()


@pytest.fixture
def busy(authority: Any, server_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    monkeypatch.setattr(gate, "_ALONE_SECONDS", 3600.0)
    path = tmp_path / "ca.crt"
    path.write_bytes(authority.pem)
    running = Busy(authority, server_pair, path)
    yield running
    running.close()


def reason_of(call: Any) -> str:
    status = rpc_status.from_call(call.exception(10))
    info = ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


def refused(why: str) -> float:
    metrics.GATHERING.write()
    return REGISTRY.get_sample_value("cvault_refused_total", {"line": "ordinary", "why": why}) or 0.0


def test_what_may_not_wait_is_refused_and_what_waits_is_answered(busy: Busy) -> None:
    sent, before = busy.fill(), refused("full")
    assert [reason_of(busy.call()) for _ in range(5)] == ["OVERLOADED"] * 5
    assert refused("full") == before + 5
    busy.go.set()
    assert [call.exception(10) for call in sent] == [None] * 3


def test_urgent_calls_are_taken_while_the_others_lane_is_full(busy: Busy) -> None:
    busy.fill()
    shred = busy.call("ShredCustomer")
    assert busy.begun.acquire(timeout=10)
    assert reason_of(busy.call()) == "OVERLOADED"
    busy.go.set()
    assert shred.exception(10) is None


def test_the_door_refuses_who_floods_alone_but_asks_second_attempts_who_they_are(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_ALONE_SECONDS", 0.0)
    busy.fill()
    door, full = refused("door"), refused("full")
    assert [reason_of(busy.call()) for _ in range(16)] == ["OVERLOADED"] * 16
    assert (refused("door") - door, refused("full") - full) == (14, 2)
    assert reason_of(busy.call(metadata=(("cvault-attempt", "2"),))) == "OVERLOADED"
    assert refused("full") - full == 3
    assert busy.lane().threads.present <= 4
