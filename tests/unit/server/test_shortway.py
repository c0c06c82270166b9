"""The short way, over real connections, beside a method that goes gRPC's own way."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from vault.server import insides, shortway
from vault.server.inbox import Inbox
from vault.server.line import Line
from vault.server.shortway import ShortWay

SECONDS = 20.0
LIMIT = 6


class Served:
    """A server with the methods `Short` and `Long`, both of which do `work`."""

    def __init__(self, threads: int = 2, waiting: int = 100) -> None:
        self.work: Callable[[bytes], bytes] = lambda request: request
        self.server = grpc.server(futures.ThreadPoolExecutor(2), maximum_concurrent_rpcs=LIMIT)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            lambda request, _context: self.work(request),
            request_deserializer=bytes,
            response_serializer=bytes,
        )
        self.server.add_registered_method_handlers("test.Test", {"Short": handler, "Long": handler})
        port = self.server.add_insecure_port("127.0.0.1:0")
        inbox: Inbox[Any] = Inbox("short", calls=waiting, items=100_000, principal_of=lambda _: "crm")
        self.way = ShortWay(self.server, ["/test.Test/Short"], threads, inbox)
        self.way.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def method(self, name: str = "Short") -> Any:
        return self.channel.unary_unary(f"/test.Test/{name}")

    def call(self, request: bytes, name: str = "Short") -> bytes:
        answer: bytes = self.method(name)(request, timeout=SECONDS)
        return answer

    def close(self) -> None:
        self.channel.close()
        self.server.stop(None).wait()


class Held:
    """Work that is not done before it may be; `b"free"` is done at once."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.begun: list[bytes] = []
        self.go_on = threading.Event()
        self._before = before

    def __call__(self, request: bytes) -> bytes:
        self.begun.append(request)
        if request != b"free":
            self._before()
            assert self.go_on.wait(SECONDS)
        return request

    def wait_for(self, count: int) -> None:
        give_up = time.monotonic() + SECONDS
        while len(self.begun) < count:
            assert time.monotonic() < give_up
            time.sleep(0.005)


def wait_until_over(served: Served) -> None:
    give_up = time.monotonic() + SECONDS
    while served.server._state.rpc_states:  # type: ignore[attr-defined]
        assert time.monotonic() < give_up
        time.sleep(0.005)


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    yield running
    running.close()


@pytest.fixture
def only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread steps in but where it was told to."""
    monkeypatch.setattr(shortway, "PATIENCE_SECONDS", 3600.0)


def test_calls_of_both_ways_are_answered(served: Served) -> None:
    assert [served.call(b"%d" % n) for n in range(50)] == [b"%d" % n for n in range(50)]
    assert served.call(b"other", "Long") == b"other"
    assert served.call(b"", "Short") == b""


def test_many_callers_get_their_own_answers(served: Served) -> None:
    served.work = lambda request: request * 3
    with futures.ThreadPoolExecutor(LIMIT) as pool:
        answers = list(pool.map(served.call, [b"%d" % n for n in range(300)]))
    assert answers == [b"%d" % n * 3 for n in range(300)]


def test_an_error_beyond_all_expectation_is_the_calls_own(served: Served) -> None:
    def fail(_: bytes) -> bytes:
        raise KeyError("canary")

    served.work = fail
    with pytest.raises(grpc.RpcError) as refused:
        served.call(b"")
    assert refused.value.code() is grpc.StatusCode.UNKNOWN
    assert "canary" not in str(refused.value)
    served.work = bytes
    assert served.call(b"next") == b"next"


def test_a_thread_that_steps_aside_lets_others_be_answered(served: Served, only_told: None) -> None:
    held = served.work = Held(served.way.step_aside)
    first = served.method().future(b"first", timeout=SECONDS)
    held.wait_for(1)
    assert served.call(b"free") == b"free"
    held.go_on.set()
    assert first.result() == b"first"
    assert served.call(b"free") == b"free"


def test_a_thread_that_does_not_lead_has_nothing_to_step_aside_from(served: Served, only_told: None) -> None:
    served.way.step_aside()
    assert served.call(b"free") == b"free"


def test_a_long_call_does_not_keep_others_waiting(served: Served) -> None:
    held = served.work = Held()
    first = served.method().future(b"first", timeout=SECONDS)
    held.wait_for(1)
    assert served.call(b"free") == b"free"
    assert served.call(b"free", "Long") == b"free"
    held.go_on.set()
    assert first.result() == b"first"


def test_calls_beyond_the_limit_are_refused_with_a_reason(served: Served) -> None:
    held = served.work = Held()
    under_way = [served.method().future(b"held", timeout=SECONDS) for _ in range(LIMIT + 4)]
    held.wait_for(2)
    refused = _refused(under_way)
    held.go_on.set()
    assert len(refused) == 4
    for each in refused:
        status = rpc_status.from_call(each)
        assert each.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert status is not None
        assert b"OVERLOADED" in status.SerializeToString()
    assert [each.result() for each in under_way if each not in refused] == [b"held"] * LIMIT
    assert served.call(b"free") == b"free"


def _refused(calls: list[Any]) -> list[Any]:
    """Those that have ended; waits until there are four."""
    give_up = time.monotonic() + SECONDS
    while len(ended := [each for each in calls if each.done()]) < 4:
        assert time.monotonic() < give_up
        time.sleep(0.005)
    return ended


def test_calls_that_the_inbox_refuses_are_over_and_the_others_answered() -> None:
    served = Served(waiting=1)  # besides the one that needs no place
    held = served.work = Held()
    under_way = [served.method().future(b"held", timeout=SECONDS) for _ in range(2)]
    held.wait_for(2)
    under_way += [served.method().future(b"held", timeout=SECONDS) for _ in range(4)]
    time.sleep(0.5)  # until they have come in, to be taken together
    held.go_on.set()
    codes = [each.code() for each in under_way]
    assert set(codes[2:]) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes[:2] == [grpc.StatusCode.OK] * 2
    assert held.begun.count(b"held") == codes.count(grpc.StatusCode.OK)
    assert served.call(b"free") == b"free"
    give_up = time.monotonic() + SECONDS
    while served.server._state.active_rpc_count:  # type: ignore[attr-defined]
        assert time.monotonic() < give_up
        time.sleep(0.005)
    served.close()


def test_a_call_that_is_cancelled_while_it_waits_gets_no_answer(served: Served) -> None:
    held = served.work = Held()
    busy = [served.method().future(b"busy", timeout=SECONDS) for _ in range(2)]
    held.wait_for(2)
    late = served.method().future(b"late", timeout=SECONDS)
    late.cancel()
    held.go_on.set()
    assert [each.result() for each in busy] == [b"busy", b"busy"]
    assert late.cancelled()
    assert served.call(b"free") == b"free"


def test_what_is_over_is_freed_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    arrive = Line.arrive

    def count(line: Line[Any], *arguments: Any) -> Any:
        waited.append(1)
        return arrive(line, *arguments)

    monkeypatch.setattr(Line, "arrive", count)
    gc.collect()
    gc.disable()
    try:
        with futures.ThreadPoolExecutor(LIMIT) as pool:
            list(pool.map(served.call, [bytes(10_000)] * 200))
        wait_until_over(served)
        left = [each for each in gc.get_objects() if isinstance(each, shortway._Call)]
        assert len(left) < 5  # a thread may have one in its variables
    finally:
        gc.enable()
    assert waited


def test_work_that_fails_after_its_caller_has_gone_harms_no_other_call(served: Served) -> None:
    held = Held()

    def fail(request: bytes) -> bytes:
        held(request)
        if request == b"bad":
            raise OSError
        return request

    served.work = fail
    for count in range(1, 6):
        held.go_on.clear()
        bad = served.method().future(b"bad", timeout=SECONDS)
        held.wait_for(2 * count - 1)
        bad.cancel()
        assert (
            served.call(b"free") == b"free"
        )  # by another thread, which has seen by now that the caller left
        held.go_on.set()
    assert [served.call(b"free") for _ in range(5)] == [b"free"] * 5
    wait_until_over(served)


def test_a_thread_that_fails_lets_others_lead(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, failures = served.way._handle, iter([True])

    def fail_once(event: Any) -> bool:
        going_on = handle(event)
        if next(failures, False):
            raise KeyError
        return going_on

    monkeypatch.setattr(served.way, "_handle", fail_once)
    assert [served.call(b"free") for _ in range(5)] == [b"free"] * 5


def test_a_call_without_a_message_is_refused(served: Served) -> None:
    send: Any = served.channel.stream_unary("/test.Test/Short")
    with pytest.raises(grpc.RpcError) as refused:
        send(iter(()), timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert served.call(b"next") == b"next"


def test_a_server_that_stops_finishes_what_was_begun(served: Served) -> None:
    held = served.work = Held()
    first = served.method().future(b"first", timeout=SECONDS)
    held.wait_for(1)
    stopped = served.server.stop(SECONDS)
    with pytest.raises(grpc.RpcError):
        served.call(b"late")
    held.go_on.set()
    assert first.result() == b"first"
    assert stopped.wait(SECONDS)


def test_with_another_grpc_all_calls_go_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insides, "is_known", lambda: False)
    served = Served()
    threads = {each.name for each in threading.enumerate()}
    assert served.call(b"first") == b"first"
    assert not any(name.startswith("serve_") for name in threads)
    served.close()
