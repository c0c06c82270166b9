"""Calls in an inbox: first those that came before anybody had to be asked, then the line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import REGISTRY

from vault.errors import OverloadedError, UnauthenticatedError
from vault.server import metrics
from vault.server.inbox import FEW, Inbox, Properties
from vault.server.line import TOKEN_BYTES, Place

BULK = 1000 * TOKEN_BYTES
SMALL = TOKEN_BYTES
CALLS = 4 * FEW


@dataclass(eq=False, slots=True)
class Call:
    principal: str
    number: int = 0
    place: Place[Any] | None = None

    def auth_context(self) -> Properties:
        return {"name": [self.principal.encode()]}


class Names:
    """Names callers, and knows whom it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, properties: Properties) -> str:
        name = properties["name"][0].decode()
        self.asked.append(name)
        if name == "stranger":
            raise UnauthenticatedError("not let in")
        return name


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def inbox(names: Names) -> Inbox[Call]:
    return Inbox("inbox", calls=CALLS, items=100_000, principal_of=names)


def put(inbox: Inbox[Call], principal: str, size: int = SMALL, count: int = 1) -> list[Call]:
    calls = [Call(principal, number) for number in range(count)]
    for call in calls:
        inbox.put(call, size)
    return calls


def take_all(inbox: Inbox[Call]) -> list[Call]:
    taken = []
    while (found := inbox.take()) is not None:
        call, place = found
        taken.append(call)
        if place is not None:
            inbox.done(place)
    return taken


def refused(action: Callable[[], object]) -> OverloadedError:
    with pytest.raises(OverloadedError) as caught:
        action()
    return caught.value


def refusals(why: str) -> float:
    metrics.GATHERING.write()
    return REGISTRY.get_sample_value("cvault_refused_total", {"line": "inbox", "why": why}) or 0.0


def test_nobody_is_asked_whose_call_it_is_while_little_waits(inbox: Inbox[Call], names: Names) -> None:
    assert not inbox
    for size in (SMALL, BULK):
        (call,) = put(inbox, "crm", size)
        inbox.check(call)
        assert inbox
        assert take_all(inbox) == [call]
    few = put(inbox, "crm", count=FEW)
    assert take_all(inbox) == few
    assert inbox.take() is None
    assert names.asked == []


def test_those_before_the_line_go_first_and_then_principals_by_turns(inbox: Inbox[Call]) -> None:
    before = put(inbox, "flood", count=FEW)
    flood = put(inbox, "flood", count=10)
    (other,) = put(inbox, "other")
    taken = take_all(inbox)
    assert taken[:FEW] == before
    assert taken.index(other) < FEW + 2
    assert [call for call in taken[FEW:] if call != other] == flood


def test_while_there_is_a_line_whoever_comes_joins_it(inbox: Inbox[Call]) -> None:
    put(inbox, "flood", count=FEW + 5)
    for _ in range(FEW):
        assert inbox.take() is not None
    (late,) = put(inbox, "flood")
    assert take_all(inbox)[-1] == late


def test_small_calls_pass_bulk_that_waits(inbox: Inbox[Call]) -> None:
    at_the_head, bulk = put(inbox, "batches", BULK, count=2)
    (small,) = put(inbox, "crm")
    assert take_all(inbox) == [at_the_head, small, bulk]


def test_who_has_its_share_waiting_is_refused_before_and_after_its_request_is_read(
    inbox: Inbox[Call],
) -> None:
    put(inbox, "flood", count=FEW)
    call = Call("flood")
    before = refusals("share")
    error = refused(lambda: put(inbox, "flood", count=CALLS))
    assert 0.02 <= error.retry_after_seconds <= 2.0
    assert error.details == {"waiting": "inbox"}
    refused(lambda: inbox.check(call))
    assert refusals("share") == before + 2
    inbox.check(Call("other"))
    put(inbox, "other")


def test_the_inbox_is_bounded_however_many_come(inbox: Inbox[Call]) -> None:
    waiting = 0
    for number in range(10 * CALLS):
        try:
            put(inbox, f"p{number}")
        except OverloadedError:
            continue
        waiting += 1
    assert CALLS <= waiting <= CALLS + FEW
    before = refusals("full")
    refused(lambda: inbox.check(Call("late")))
    inbox.full(Call("late"))
    assert refusals("full") == before + 2


def test_those_who_do_not_say_who_they_are_share_one_share(inbox: Inbox[Call]) -> None:
    put(inbox, "crm", count=FEW)
    refused(lambda: put(inbox, "stranger", count=CALLS))
    refused(lambda: inbox.check(Call("stranger")))
    inbox.check(Call("crm"))


def test_who_leaves_the_line_is_not_served_and_only_leaves_once(inbox: Inbox[Call]) -> None:
    before, late = put(inbox, "crm", count=FEW), refusals("late")
    gone, stays = Call("crm", 100), Call("crm", 101)
    inbox.put(gone, SMALL)
    inbox.put(stays, SMALL)
    assert inbox.leave(gone)
    assert not inbox.leave(gone)
    assert not inbox.leave(before[0])  # which stands before the line
    assert take_all(inbox) == [*before, stays]
    assert refusals("late") == late + 1


def test_a_call_knows_its_place_only_while_it_waits_there(inbox: Inbox[Call]) -> None:
    calls = put(inbox, "crm", count=FEW + 3)
    assert [call.place is not None for call in calls] == [False] * FEW + [True] * 3
    inbox.leave(calls[-1])
    take_all(inbox)
    assert not any(call.place for call in calls)
