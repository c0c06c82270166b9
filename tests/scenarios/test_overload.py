"""A worker that is asked for more than it can do: who is refused, who is not, and that nothing is lost."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from customervault import errors
from customervault.v1 import token_service_pb2 as api
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from tests.scenarios.support.deployment import SMALL, Deployment, found_vault
from tests.scenarios.support.policies import ADMIN, AGENT, CRM, ERASER, PRIVACY
from tests.scenarios.support.server import Server, serving

SETTINGS = f"""{SMALL}
[server]
workers = 1
metrics_listen = "127.0.0.1:0"
[limits]
waiting_reads = 12
"""
CUSTOMERS = 100
FLOOD = 30  # calls under way: more than may wait, fewer than close the door to everybody


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return found_vault(tmp_path / "vault", settings=SETTINGS)


@pytest.fixture
def server(deployment: Deployment, tmp_path: Path) -> Iterator[Server]:
    with serving(deployment, tmp_path) as running:
        yield running


@pytest.fixture
def tokens(server: Server) -> list[str]:
    with server.connect(CRM) as crm:
        return [crm.tokenize(f"c-{n}", {"name": f"N {n}"}).token("name") for n in range(CUSTOMERS)]


def request(tokens: Sequence[str]) -> bytes:
    return api.DetokenizeRequest(tokens=tokens, purpose="support").SerializeToString()


class Flood:
    """So many batches of a principal under way all the time; what became of them."""

    def __init__(self, server: Server, tokens: Sequence[str], rest_seconds: float = 0.02) -> None:
        """After a refusal, `rest_seconds` pass before the next try."""
        self.codes: Counter[grpc.StatusCode] = Counter()
        self.refusals: list[grpc.RpcError] = []
        self._rest_seconds = rest_seconds
        self._over = threading.Event()
        self._request = request((list(tokens) * 10)[:1000])
        self._channels = [server.channel(CRM) for _ in range(3)]
        self._threads = [
            threading.Thread(target=self._run, args=(self._channels[number % 3],)) for number in range(FLOOD)
        ]

    def _run(self, channel: grpc.Channel) -> None:
        read = channel.unary_unary("/customervault.v1.TokenService/Detokenize")
        while not self._over.is_set():
            try:
                reply = api.DetokenizeResponse.FromString(read(self._request, timeout=30))
            except grpc.RpcError as refusal:
                self.codes[refusal.code()] += 1
                self.refusals.append(refusal)
                time.sleep(self._rest_seconds)
            else:
                assert not reply.errors
                self.codes[grpc.StatusCode.OK] += 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            give_up = time.monotonic() + 20
            while not self.refusals:
                assert time.monotonic() < give_up
                time.sleep(0.01)
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()
            for channel in self._channels:
                channel.close()


def counted(metrics: str, name: str, **labels: str) -> float:
    wanted = [line for line in metrics.splitlines() if line.startswith(name + "{")]
    return sum(
        float(line.rpartition(" ")[2])
        for line in wanted
        if all(re.search(f'{label}="{value}"', line) for label, value in labels.items())
    )


def test_a_flood_is_refused_with_a_hint_and_the_other_principal_gets_through(
    server: Server, tokens: list[str]
) -> None:
    flood = Flood(server, tokens)
    with flood.under_way(), server.connect(AGENT, timeout=20.0) as agent:
        for token in tokens[:50]:
            assert agent.detokenize(token, purpose="support")[0].error is None
    assert flood.codes[grpc.StatusCode.OK] > 0
    assert set(flood.codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    status = rpc_status.from_call(flood.refusals[0])
    info, retry = ErrorInfo(), RetryInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain) == ("OVERLOADED", "customervault")
    assert 20 <= retry.retry_delay.ToMilliseconds() <= 2000
    expected, refused, give_up = flood.codes[grpc.StatusCode.RESOURCE_EXHAUSTED], 0.0, time.monotonic() + 10
    while refused != expected:  # written a few times a second
        assert time.monotonic() < give_up
        time.sleep(0.05)
        refused = counted(server.metrics(), "cvault_refused_total", line="read")
    assert counted(server.metrics(), "cvault_refused_total", why="share") > 0
    while counted(server.metrics(), "cvault_waiting_calls", line="read"):  # written a few times a second
        time.sleep(0.05)
    assert "calls refused for load" in server.log()


def test_shreds_and_administration_go_on_under_a_flood_of_reads(server: Server, tokens: list[str]) -> None:
    flood = Flood(server, tokens[1:])
    with flood.under_way():
        with server.connect(ERASER, max_attempts=1, timeout=20.0) as eraser:
            assert eraser.shred(external_id="c-0").outcome == "shredded"
        with server.connect(ADMIN, max_attempts=1, timeout=20.0) as admin:
            assert admin.get_policy().version >= 1
        with server.connect(AGENT, timeout=20.0) as agent:
            assert isinstance(agent.detokenize(tokens[0], purpose="support")[0].error, errors.ShreddedError)
    with server.connect(CRM) as crm:
        assert crm.detokenize(tokens[1:], purpose="support").plain_list() == [
            f"N {n}" for n in range(1, CUSTOMERS)
        ]


def test_the_sdk_gets_its_answers_by_waiting_as_it_is_told(server: Server, tokens: list[str]) -> None:
    flood = Flood(server, tokens, rest_seconds=0.15)  # so that places come free beside it
    with flood.under_way(), server.connect(CRM, max_attempts=20, timeout=30.0) as crm:
        values = [crm.detokenize(tokens, purpose="support").plain_list() for _ in range(5)]
    assert values == [[f"N {n}" for n in range(CUSTOMERS)]] * 5


def test_callers_that_have_gone_are_not_worked_for(server: Server, tokens: list[str]) -> None:
    with server.channel(CRM) as channel, server.connect(AGENT) as agent:
        read = channel.unary_unary("/customervault.v1.TokenService/Detokenize")
        read(request(tokens[:1]), timeout=10)
        with server.stopped():
            late = [read.future(request(tokens), timeout=0.3) for _ in range(20)]
            for call in late:
                assert call.exception(10) is not None
                assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        agent.detokenize(tokens[0], purpose="support")
    with server.connect(
        CRM, max_attempts=20, timeout=30.0
    ) as crm:  # those that have gone may still fill its share
        crm.detokenize(tokens[:2], purpose="support")
    with server.connect(PRIVACY) as privacy:
        accesses = [each for each in privacy.list_access(principal=CRM) if each.action == "Detokenize"]
    # One may have been begun before it was read from its connection that the caller had gone.
    assert sorted(each.values_plain for each in accesses) in ([1, 2], [1, 2, len(tokens)])
