"""How a client holds back while the vault is overloaded: the window by itself, and in both clients."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from customervault import AsyncVault, Vault, errors
from customervault._window import Outcome, Place, Window
from customervault.v1 import token_service_pb2 as api
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.scripted_vault import Failure, ScriptedVault

BUSY = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
UPDATED = api.UpdateValueResponse(outcome=api.FIELD_OUTCOME_UPDATED)


def entered(window: Window, count: int) -> list[Place]:
    places = [window.enter() for _ in range(count)]
    assert None not in places
    return [place for place in places if place is not None]


def test_there_is_no_limit_before_a_refusal() -> None:
    window = Window()
    for place in entered(window, 5000):
        window.leave(place, Outcome.FAILED)
    assert len(entered(window, 5000)) == 5000


def test_a_refusal_narrows_to_less_than_what_was_under_way() -> None:
    window = Window()
    places = entered(window, 10)
    window.leave(places[0], Outcome.REFUSED)
    assert window.enter() is None  # nine are under way, seven may be
    window.leave(places[1], Outcome.FAILED)
    window.leave(places[2], Outcome.FAILED)
    assert window.enter() is None
    window.leave(places[3], Outcome.FAILED)
    assert window.enter() is not None


def test_refusals_of_calls_sent_together_narrow_once() -> None:
    window = Window()
    for place in entered(window, 100):
        window.leave(place, Outcome.REFUSED)
    assert len(entered(window, 70)) == 70
    assert window.enter() is None


def test_even_the_narrowest_window_lets_one_call_through() -> None:
    window = Window()
    for _ in range(50):
        (place,) = entered(window, 1)
        window.leave(place, Outcome.REFUSED)
    assert len(entered(window, 1)) == 1
    assert window.enter() is None


def test_answers_widen_it_by_one_for_each_round_until_there_is_no_limit() -> None:
    window = Window()
    for place in entered(window, 10):
        window.leave(place, Outcome.REFUSED)
    for place in entered(window, 7):
        window.leave(place, Outcome.ANSWERED)
    more = entered(window, 7)
    assert window.enter() is None  # 7.96
    window.leave(more[0], Outcome.ANSWERED)
    assert len(entered(window, 2)) == 2
    assert window.enter() is None
    for place in more[1:]:
        window.leave(place, Outcome.FAILED)
    for _ in range(40_000):
        (place,) = entered(window, 1)
        window.leave(place, Outcome.ANSWERED)
    assert len(entered(window, 2000)) == 2000


def test_waiting_calls_go_in_the_order_in_which_they_came() -> None:
    window = Window()
    first, second = entered(window, 2)
    window.leave(first, Outcome.REFUSED)
    assert window.enter() is None
    woken: list[str] = []
    waiting = [window.wait(lambda name=name: woken.append(name)) for name in "abc"]
    window.leave(waiting[1], Outcome.FAILED)  # gives up
    window.leave(second, Outcome.FAILED)
    assert woken == ["a"]
    assert window.enter() is None
    window.leave(waiting[0], Outcome.FAILED)
    assert woken == ["a", "c"]
    assert [place.admitted for place in waiting] == [True, False, True]


def test_closing_wakes_all_and_admits_none() -> None:
    window = Window()
    first, _ = entered(window, 2)
    window.leave(first, Outcome.REFUSED)
    woken: list[int] = []
    waiting = [window.wait(lambda: woken.append(1)) for _ in range(2)]
    window.close()
    waiting.append(window.wait(lambda: woken.append(1)))
    assert len(woken) == 3
    for place in waiting:
        assert not place.admitted
        window.leave(place, Outcome.FAILED)


@given(st.lists(st.tuples(st.sampled_from(["enter", *Outcome]), st.integers(0, 9)), max_size=300))
def test_all_that_wait_are_admitted_in_the_end(steps: list[tuple[Any, int]]) -> None:
    window = Window()
    places: list[Place] = []
    woken: list[bool] = []
    for step, which in steps:
        if step == "enter":
            places.append(window.enter() or window.wait(lambda: woken.append(True)))
        elif places:
            window.leave(places.pop(which % len(places)), step)
    for _ in range(len(places)):
        admitted = [place for place in places if place.admitted]
        assert admitted
        places.remove(admitted[0])
        window.leave(admitted[0], Outcome.FAILED)
    assert window.enter() is not None


class Narrow:
    """Answers updates, and refuses those that come while three are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self.refused = self.answered = 0

    def __call__(self, _request: Any) -> Any:
        with self._lock:
            if self._under_way >= 3:
                self.refused += 1
                return BUSY
            self._under_way += 1
        time.sleep(0.005)
        with self._lock:
            self._under_way -= 1
            self.answered += 1
        return UPDATED


class Holding:
    """Refuses the first update, and holds the others until released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.holds = threading.Event()
        self._first = iter([BUSY])

    def __call__(self, _request: Any) -> Any:
        refusal = next(self._first, None)
        if refusal is not None:
            return refusal
        self.holds.set()
        assert self.released.wait(20)
        return UPDATED


@pytest.fixture
def narrow(server: ScriptedVault) -> Narrow:
    narrow = Narrow()
    server.on("UpdateValue", narrow)
    return narrow


@pytest.fixture
def holding(server: ScriptedVault) -> Iterator[Holding]:
    holding = Holding()
    server.on("UpdateValue", holding)
    yield holding
    holding.released.set()


def test_threads_that_ask_too_much_wait_instead_of_being_refused(
    narrow: Narrow, settings: dict[str, Any]
) -> None:
    with Vault(**settings, timeout=30.0, max_attempts=20) as vault, ThreadPoolExecutor(7) as threads:
        outcomes = list(threads.map(lambda _: vault.update("cv1_0", "new"), range(140)))
    assert outcomes == ["updated"] * 140
    assert narrow.answered == 140
    assert narrow.refused < 100


def test_tasks_that_ask_too_much_wait_instead_of_being_refused(
    narrow: Narrow, settings: dict[str, Any], loop: asyncio.AbstractEventLoop
) -> None:
    async def scene() -> None:
        async with AsyncVault(**settings, timeout=30.0, max_attempts=20) as vault:

            async def run() -> None:
                for _ in range(20):
                    assert await vault.update("cv1_0", "new") == "updated"

            await asyncio.gather(*[run() for _ in range(7)])

    loop.run_until_complete(scene())
    assert narrow.answered == 140
    assert narrow.refused < 100


def test_a_call_whose_turn_does_not_come_is_overloaded(server: ScriptedVault, connect: Any) -> None:
    server.script("UpdateValue", BUSY)
    vault = connect(timeout=0.5, max_attempts=1)
    with pytest.raises(errors.OverloadedError, match="scripted"):
        vault.update("cv1_0", "new")
    window = vault._windows.of("/customervault.v1.TokenService/UpdateValue")
    place = window.enter()  # as if another call were under way
    assert place is not None
    with pytest.raises(errors.OverloadedError, match="turn"):
        vault.update("cv1_0", "new")
    assert len(server.requests("UpdateValue")) == 1
    window.leave(place, Outcome.FAILED)
    server.script("UpdateValue", UPDATED)
    assert vault.update("cv1_0", "new") == "updated"


def test_closing_ends_the_waiting(holding: Holding, settings: dict[str, Any]) -> None:
    vault = Vault(**settings, timeout=20.0, max_attempts=1)
    with pytest.raises(errors.OverloadedError):
        vault.update("cv1_0", "new")
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(vault.update, "cv1_0", "new") for _ in range(2)]
        assert holding.holds.wait(10)
        vault.close()
        assert [type(each.exception(10)) for each in calls] == [errors.ClosedError] * 2


def test_closing_ends_the_waiting_of_tasks(
    holding: Holding, settings: dict[str, Any], loop: asyncio.AbstractEventLoop
) -> None:
    async def scene() -> None:
        vault = AsyncVault(**settings, timeout=20.0, max_attempts=1)
        with pytest.raises(errors.OverloadedError):
            await vault.update("cv1_0", "new")
        calls = [asyncio.ensure_future(vault.update("cv1_0", "new")) for _ in range(2)]
        assert await asyncio.to_thread(holding.holds.wait, 10)
        await vault.close()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in ended] == [errors.ClosedError] * 2

    loop.run_until_complete(scene())
