"""Concurrent reads of single tokens share requests; nobody notices but by the rate."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from customervault import AsyncVault, Value, Vault, VaultError, errors
from customervault._coalesce import GATHER_SECONDS, Gate, single
from customervault._sync.coalescing import Coalescer
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api
from customervault.values import Values

from tests.unit.client.conftest import Authority
from tests.unit.client.scripted_vault import Failure, ScriptedVault

Outcome = str | VaultError
Together = Callable[..., list[Outcome]]


def answer(request: Any) -> api.DetokenizeResponse:
    """`value of TOKEN`, and an error of its own for each token that begins with `bad`."""
    bad = {at for at, token in enumerate(request.tokens) if token.startswith("bad")}
    reply = api.DetokenizeResponse()
    for at, token in enumerate(request.tokens):
        reply.values.append("" if at in bad else f"value of {token}")
        reply.reveals.append(common_pb2.REVEAL_UNSPECIFIED if at in bad else common_pb2.REVEAL_PLAIN)
        if at in bad:
            reply.errors.append(Failure(grpc.StatusCode.NOT_FOUND, "TOKEN_UNKNOWN").item(at))
    return reply


def outcome(read: Callable[[], Value]) -> Outcome:
    try:
        value = read()
    except VaultError as error:
        return error
    return value.error if value.error is not None else value.get()


@pytest.fixture(params=["threads", "asyncio"])
def together(
    request: pytest.FixtureRequest, server: ScriptedVault, authority: Authority
) -> Iterator[Together]:
    """Reads tokens one a call, all calls at the same time; answers or errors in the order of the tokens."""
    closing: list[Vault] = []

    def by_threads(tokens: Sequence[Any], purpose: str, settings: dict[str, Any]) -> list[Outcome]:
        vault = Vault(**settings)
        closing.append(vault)
        begin = threading.Barrier(len(tokens))

        def read(token: str) -> Outcome:
            begin.wait()
            return outcome(lambda: vault.detokenize(token, purpose=purpose)[0])

        with ThreadPoolExecutor(len(tokens)) as pool:
            return list(pool.map(read, tokens))

    def by_tasks(tokens: Sequence[Any], purpose: str, settings: dict[str, Any]) -> list[Outcome]:
        async def read(vault: AsyncVault, token: str) -> Outcome:
            try:
                value = (await vault.detokenize(token, purpose=purpose))[0]
            except VaultError as error:
                return error
            return outcome(lambda: value)

        async def main() -> list[Outcome]:
            async with AsyncVault(**settings) as vault:
                return await asyncio.gather(*(read(vault, token) for token in tokens))

        return asyncio.run(main())

    def run(tokens: Sequence[Any], purpose: str = "support", **settings: Any) -> list[Outcome]:
        settings = _given(server.address, authority.ca, authority, settings)
        return (by_threads if request.param == "threads" else by_tasks)(tokens, purpose, settings)

    yield run
    for vault in closing:
        vault.close()


def _given(address: str, ca: Path, authority: Authority, settings: dict[str, Any]) -> dict[str, Any]:
    own = {"certificate": authority.client.certificate, "key": authority.client.key}
    return {"address": address, "ca": ca, **own, **settings}


def test_reads_at_the_same_time_share_requests(server: ScriptedVault, together: Together) -> None:
    def slowly(request: Any) -> api.DetokenizeResponse:
        time.sleep(0.02)
        return answer(request)

    server.on("Detokenize", slowly)
    tokens = [f"cv1_{n}" for n in range(60)]
    assert together(tokens) == [f"value of {token}" for token in tokens]
    requests = server.requests("Detokenize")
    assert sorted(token for request in requests for token in request.tokens) == sorted(tokens)
    assert len(requests) < 15
    assert {request.purpose for request in requests} == {"support"}


def test_it_can_be_switched_off(server: ScriptedVault, together: Together) -> None:
    server.on("Detokenize", answer)
    together([f"cv1_{n}" for n in range(20)], coalesce=False)
    assert len(server.requests("Detokenize")) == 20


def test_each_read_has_its_own_error(server: ScriptedVault, together: Together) -> None:
    server.on("Detokenize", answer)
    tokens = ["bad1" if n % 7 == 3 else f"cv1_{n}" for n in range(30)]
    for token, got in zip(tokens, together(tokens), strict=True):
        if token == "bad1":
            assert isinstance(got, errors.TokenUnknownError)
        else:
            assert got == f"value of {token}"


def test_a_batch_that_is_refused_for_one_of_its_reads_is_sent_again_one_by_one(
    server: ScriptedVault, together: Together
) -> None:
    def picky(request: Any) -> Any:
        if "poison" in request.tokens:
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
        return answer(request)

    server.on("Detokenize", picky)
    tokens = ["poison", *(f"cv1_{n}" for n in range(20))]
    poisoned, *others = together(tokens)
    assert isinstance(poisoned, errors.LimitExceededError)
    assert others == [f"value of {token}" for token in tokens[1:]]


def test_a_failure_of_the_call_reaches_every_read_as_an_error_of_its_own(
    server: ScriptedVault, together: Together
) -> None:
    server.on("Detokenize", lambda _: Failure(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE"))
    failures = together([f"cv1_{n}" for n in range(20)], max_attempts=1)
    assert {type(failure) for failure in failures} == {errors.AuditUnavailableError}
    assert len({id(failure) for failure in failures}) == 20
    assert len(server.requests("Detokenize")) < 20


def test_batches_keep_to_their_size(server: ScriptedVault, together: Together) -> None:
    server.on("Detokenize", answer)
    tokens = [f"cv1_{n}" for n in range(40)]
    assert together(tokens, max_batch=8) == [f"value of {token}" for token in tokens]
    assert max(len(request.tokens) for request in server.requests("Detokenize")) <= 8


def test_what_cannot_be_a_token_travels_alone(server: ScriptedVault, together: Together) -> None:
    server.on("Detokenize", answer)
    tokens = ["not a token", "x" * 4000, *(f"cv1_{n}" for n in range(10))]
    assert together(tokens) == [f"value of {token}" for token in tokens]
    for request in server.requests("Detokenize"):
        assert len(request.tokens) == 1 or not {"not a token", "x" * 4000} & set(request.tokens)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [("cv1_0", "cv1_0"), (["cv1_0"], "cv1_0"), (["a", "b"], None), ([], None), ("", None), ("a b", None),
     ("cv1_\n", None), ("ü", None), ("x" * 129, None), ([1], None)],
)  # fmt: skip
def test_which_calls_may_share(tokens: Any, expected: str | None) -> None:
    assert single(tokens) == expected


def test_a_lone_read_does_not_wait() -> None:
    sent: list[float] = []

    def send(tokens: Sequence[str], kind: Any, deadline: float) -> Values:
        sent.append(time.monotonic())
        return Values(list(tokens), ["plain"] * len(tokens), {})

    coalescer = Coalescer(send, most=10, parallel=2)
    waits = []
    for _ in range(50):
        asked = time.monotonic()
        coalescer.read("t", ("support", "best"), asked + 5)
        waits.append(sent[-1] - asked)
    assert sorted(waits)[25] < GATHER_SECONDS / 2


def test_a_batch_runs_under_the_earliest_deadline() -> None:
    deadlines: list[tuple[int, float]] = []
    release = threading.Event()

    def send(tokens: Sequence[str], kind: Any, deadline: float) -> Values:
        deadlines.append((len(tokens), deadline))
        if len(deadlines) == 1:
            release.wait(5)
        return Values(list(tokens), ["plain"] * len(tokens), {})

    coalescer = Coalescer(send, most=10, parallel=1)
    now = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(coalescer.read, "a", ("support", "best"), now + 9)
        while not deadlines:
            time.sleep(0.001)
        others = [pool.submit(coalescer.read, "b", ("support", "best"), now + n) for n in (8, 7, 6)]
        while len(coalescer._gates[("support", "best")].waiting) < 3:
            time.sleep(0.001)
        release.set()
        assert [future.result(5).plain_list() for future in [first, *others]] == [["a"], *[["b"]] * 3]
    assert deadlines == [(1, now + 9), (3, now + 6)]


def test_surrogates_of_different_domains_never_share_a_request(
    server: ScriptedVault, authority: Authority
) -> None:
    server.on("Detokenize", answer)
    settings = _given(server.address, authority.ca, authority, {})

    async def main() -> None:
        async with AsyncVault(purpose="support", **settings) as vault:
            await asyncio.gather(*(vault.detokenize("tok", domain=f"d{n % 2}") for n in range(20)))

    asyncio.run(main())
    by_domain = [(request.domain, len(request.tokens)) for request in server.requests("Detokenize")]
    totals = {name: sum(count for domain, count in by_domain if domain == name) for name in ("d0", "d1")}
    assert totals == {"d0": 10, "d1": 10}


def test_only_reads_of_one_purpose_and_reveal_share() -> None:
    kinds: list[tuple[int, Any]] = []
    release = threading.Event()

    def send(tokens: Sequence[str], kind: Any, deadline: float) -> Values:
        kinds.append((len(tokens), kind))
        release.wait(5)
        return Values(list(tokens), ["plain"] * len(tokens), {})

    coalescer = Coalescer(send, most=10, parallel=1)
    later = time.monotonic() + 5
    asked: list[Any] = [("support", "best"), ("support", "masked"), ("billing", "best")]
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(coalescer.read, "a", kind, later) for kind in asked]
        while len(kinds) < 3:
            time.sleep(0.001)
        release.set()
        assert all(future.result(5).ok for future in futures)
    assert sorted(kinds) == sorted((1, kind) for kind in asked)


def test_a_thread_that_is_interrupted_leaves_the_others_their_answers() -> None:
    calls = 0
    entered, release = threading.Event(), threading.Event()

    def send(tokens: Sequence[str], kind: Any, deadline: float) -> Values:
        nonlocal calls
        calls += 1
        if calls == 1:
            entered.set()
            release.wait(5)
        if calls == 2 and len(tokens) > 1:
            raise KeyboardInterrupt
        return Values(list(tokens), ["plain"] * len(tokens), {})

    coalescer = Coalescer(send, most=10, parallel=1)
    kind: Any = ("support", "best")
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(coalescer.read, "a", kind, time.monotonic() + 5)
        entered.wait(5)
        others = [pool.submit(coalescer.read, "b", kind, time.monotonic() + 5) for _ in range(3)]
        while len(coalescer._gates[kind].waiting) < 3:
            time.sleep(0.001)
        release.set()
        assert first.result(5).ok
        raised = [type(future.exception(5)) for future in others]
    assert sorted(map(str, raised)) == sorted(map(str, [KeyboardInterrupt, type(None), type(None)]))


def test_a_task_that_is_cancelled_leaves_the_others_their_answers(
    server: ScriptedVault, authority: Authority
) -> None:
    server.on("Detokenize", answer)

    async def main() -> list[Any]:
        async with AsyncVault(**_given(server.address, authority.ca, authority, {})) as vault:
            tasks = [asyncio.ensure_future(vault.detokenize(f"cv1_{n}", purpose="p")) for n in range(10)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [values.plain_list() for values in others] == [[f"value of cv1_{n}"] for n in range(1, 10)]


class _Waiting:
    def __init__(self, gathered: float) -> None:
        self.gathered = gathered


@pytest.mark.parametrize(
    ("in_flight", "waiting", "now", "leaves"),
    [(0, 0, 9.0, False), (0, 1, 0.0, True), (1, 1, 0.5, False), (1, 1, 1.0, True), (2, 3, 9.0, False),
     (1, 3, 0.5, True)],
)  # fmt: skip
def test_when_a_batch_leaves(in_flight: int, waiting: int, now: float, leaves: bool) -> None:
    gate = Gate(3, 2, in_flight, [_Waiting(1.0) for _ in range(waiting)])
    assert gate.may_leave(now) is leaves
