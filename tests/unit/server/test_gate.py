"""Threads at a gate. Who goes next is `test_line`; here it is that they wait, go on and give back."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from prometheus_client import REGISTRY

from vault.errors import DeadlineExceededError, OverloadedError
from vault.server import metrics
from vault.server.gate import Gate
from vault.server.line import TOKEN_BYTES

BULK = 1000 * TOKEN_BYTES
SMALL = TOKEN_BYTES


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def gate() -> Gate:
    return Gate("test", turns=1, calls=6, items=50_000)


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def waiting(gate: Gate) -> int:
    return gate._line.waiting_calls


def queue(
    gate: Gate, threads: ThreadPoolExecutor, work: Callable[[], None], principal: str = "crm"
) -> "Future[None]":
    """One more call that waits, and does `work` in its turn."""
    before = waiting(gate)

    def run() -> None:
        with gate.turn(principal, SMALL, None):
            work()

    future = threads.submit(run)
    until(lambda: waiting(gate) == before + 1)
    return future


def refusals(why: str) -> float:
    metrics.GATHERING.write()
    return REGISTRY.get_sample_value("cvault_refused_total", {"line": "test", "why": why}) or 0.0


def test_one_works_at_a_time_and_all_get_their_turn(gate: Gate, threads: ThreadPoolExecutor) -> None:
    at_work, most, done = [], [], []

    def work() -> None:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.001)
        at_work.pop()
        done.append(1)

    with gate.turn("a", SMALL, None) as waited:
        assert not waited
        futures = [queue(gate, threads, work, f"p{number}") for number in range(5)]
    for future in futures:
        future.result(10)
    assert (max(most), len(done), waiting(gate)) == (1, 5, 0)


def test_who_may_not_wait_is_told_when_to_come_again(gate: Gate, threads: ThreadPoolExecutor) -> None:
    before = refusals("share")
    with gate.turn("a", SMALL, None):
        futures = [queue(gate, threads, lambda: None) for _ in range(5)]
        for refused in (lambda: gate.check("crm"), lambda: gate.turn("crm", SMALL, None)):
            with pytest.raises(OverloadedError) as caught:
                refused()
            assert 0.02 <= caught.value.retry_after_seconds <= 2.0
            assert caught.value.details == {"waiting": "test"}
        gate.check("other")
    for future in futures:
        future.result(10)
    assert refusals("share") == before + 2


def test_a_turn_is_given_back_however_it_ends(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError), gate.turn("a", SMALL, None):
        raise ZeroDivisionError
    with gate.turn("a", SMALL, time.monotonic() + 1) as waited:
        assert not waited


def test_who_waits_beyond_its_deadline_does_nothing_and_frees_its_place(
    gate: Gate, threads: ThreadPoolExecutor
) -> None:
    begun: list[str] = []

    def late() -> None:
        with gate.turn("crm", SMALL, time.monotonic() + 0.05):
            begun.append("late")

    with gate.turn("a", SMALL, None):
        with pytest.raises(DeadlineExceededError):
            threads.submit(late).result(10)
        assert waiting(gate) == 0
    queue_free = threads.submit(lambda: gate.turn("crm", SMALL, None).__exit__(None, None, None))
    queue_free.result(10)
    assert begun == []


def test_many_threads_lose_no_turn(threads: ThreadPoolExecutor) -> None:
    gate = Gate("test", turns=1, calls=100, items=10**6)
    inside = threading.Lock()
    done: list[int] = []

    def work(number: int) -> None:
        size = BULK if number % 5 == 0 else SMALL
        with gate.turn(f"p{number % 3}", size, None):
            assert inside.acquire(blocking=False)
            done.append(number)
            inside.release()

    for future in [threads.submit(work, number) for number in range(2000)]:
        future.result(30)
    assert sorted(done) == list(range(2000))
    assert waiting(gate) == 0
