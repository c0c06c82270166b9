"""Who goes next, by a clock that only the test moves."""

import pytest

from vault.server.line import CALL_WEIGHT, LOAN_WEIGHT, Line, Place, Refusal

BATCH = 1000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Busy(Line):
    """A line whose turns are all taken until `free`, so that who arrives has to wait."""

    def __init__(self, clock: Clock, turns: int, calls: int, weight: int) -> None:
        super().__init__(turns=turns, calls=calls, weight=weight, clock=clock)
        self._before = [arrive(self, "before") for _ in range(turns)]

    def free(self) -> None:
        for place in self._before:
            self.done(place)
        self._before = []


def make(clock: Clock, turns: int = 1, calls: int = 100, weight: int = 100_000) -> Busy:
    return Busy(clock, turns, calls, weight)


def arrive(line: Line, principal: str, items: int = 1) -> Place:
    place = line.arrive(principal, items)
    assert isinstance(place, Place)
    return place


def flood(line: Line, principal: str, items: int = 1) -> int:
    """How many calls of a principal may wait that sends without end."""
    joined = 0
    while isinstance(line.arrive(principal, items), Place):
        joined += 1
    return joined


def serve(line: Busy, count: int) -> list[str]:
    """The principals of the next calls, each done before the next begins."""
    line.free()
    served = []
    for _ in range(count):
        place = line.take()
        assert place is not None
        served.append(place.principal)
        line.done(place)
    return served


def test_a_free_turn_is_taken_at_once_and_no_other_until_it_is_given_back(clock: Clock) -> None:
    line = Line(turns=1, calls=100, weight=100_000, clock=clock)
    first, second = arrive(line, "a"), arrive(line, "a")
    assert (first.waiting, second.waiting) == (False, True)
    assert line.take() is None
    line.done(first)
    assert line.take() is second


def test_nobody_gets_a_free_turn_before_those_who_wait(clock: Clock) -> None:
    line = make(clock)
    first = arrive(line, "a")
    line.free()
    second = arrive(line, "b")
    assert second.waiting
    assert line.take() is first


def test_calls_of_one_principal_keep_their_order(clock: Clock) -> None:
    line = make(clock)
    places = [arrive(line, "a") for _ in range(5)]
    taken = []
    line.free()
    for _ in places:
        place = line.take()
        assert place is not None
        taken.append(place)
        line.done(place)
    assert taken == places


def test_a_principal_alone_may_fill_two_thirds_and_another_still_finds_room(clock: Clock) -> None:
    line = make(clock, calls=99)
    assert flood(line, "a") == pytest.approx(66, abs=1)
    assert line.arrive("a", 1) is Refusal.SHARE
    assert flood(line, "b") >= 20
    assert isinstance(line.arrive("c", 1), Place)


def test_shares_count_items_too(clock: Clock) -> None:
    line = make(clock, calls=1000, weight=30 * (BATCH + CALL_WEIGHT))
    assert flood(line, "a", BATCH) <= 21
    assert flood(line, "b", BATCH) >= 5


def test_a_share_grows_again_when_the_others_have_gone(clock: Clock) -> None:
    line = make(clock, calls=99)
    flood(line, "a")
    flood(line, "b")
    assert flood(line, "a") == 0
    line.free()
    while (place := line.take()) is not None:
        line.done(place)
    arrive(line, "c")
    assert flood(line, "a") == pytest.approx(66, abs=1)


def test_the_line_is_bounded_however_many_come(clock: Clock) -> None:
    line = make(clock, calls=50)
    for number in range(500):
        line.arrive(f"p{number}", 1)
    assert line.waiting_calls <= 50
    assert line.arrive("late", 1) is Refusal.FULL


def test_a_call_heavier_than_the_line_waits_if_nobody_else_does(clock: Clock) -> None:
    line = make(clock, weight=500)
    huge = arrive(line, "a", 10_000)
    assert line.arrive("b", 1) is Refusal.FULL
    line.free()
    assert line.take() is huge
    line.done(huge)
    assert isinstance(line.arrive("b", 1), Place)


def test_who_sends_little_does_not_wait_behind_who_sends_much(clock: Clock) -> None:
    line = make(clock)
    for _ in range(40):
        arrive(line, "flood", 1)
    arrive(line, "other", 1)
    assert "other" in serve(line, 2)


def test_equal_demands_are_served_by_weight_not_by_calls(clock: Clock) -> None:
    line = make(clock, calls=1000, weight=10**6)
    for _ in range(10):
        arrive(line, "large", 1000)
    for _ in range(40):
        arrive(line, "medium", 212)  # weighs a quarter
    served = serve(line, 25)
    assert served.count("large") == pytest.approx(5, abs=1)
    assert served.count("medium") == pytest.approx(20, abs=1)


def test_small_calls_go_before_bulk_that_came_first_even_of_the_same_principal(clock: Clock) -> None:
    line = make(clock)
    arrive(line, "a", BATCH)
    small = arrive(line, "a", 1)
    line.free()
    assert line.take() is small


def test_bulk_has_its_turn_after_small_calls_of_its_own_weight(clock: Clock) -> None:
    line = make(clock, calls=1000)
    bulk = arrive(line, "bulk", BATCH)
    passed = 0
    for _ in range(200):
        arrive(line, "crm", 1)
    line.free()
    while True:
        place = line.take()
        assert place is not None
        line.done(place)
        if place is bulk:
            break
        passed += place.weight
    assert bulk.weight <= passed < bulk.weight + 2 * CALL_WEIGHT


def test_a_pause_lends_the_turn_to_small_calls_only_and_only_so_long(clock: Clock) -> None:
    line = make(clock)
    bulk, other = arrive(line, "bulk", BATCH), arrive(line, "other", BATCH)
    line.free()
    assert line.take() is bulk
    assert not line.pause(bulk)
    for _ in range(20):
        arrive(line, "crm", 1)
    assert line.pause(bulk)
    lent = 0
    while (place := line.take()) is not bulk:
        assert place is not None
        assert place.principal == "crm"
        lent += place.weight
        line.done(place)
    assert LOAN_WEIGHT <= lent < LOAN_WEIGHT + 2 * CALL_WEIGHT
    assert line.take() is None
    line.done(bulk)
    assert other.waiting


def test_a_pause_ends_when_nobody_small_waits(clock: Clock) -> None:
    line = make(clock)
    bulk = arrive(line, "bulk", BATCH)
    line.free()
    assert line.take() is bulk
    small = arrive(line, "crm", 1)
    assert line.pause(bulk)
    assert line.take() is small
    assert line.take() is None
    line.done(small)
    assert line.take() is bulk


def test_who_leaves_is_not_served_and_frees_its_place(clock: Clock) -> None:
    line = make(clock, calls=3)
    first, second, third = (arrive(line, name) for name in "abc")
    assert line.arrive("d", 1) is Refusal.FULL
    line.leave(second)
    fourth = arrive(line, "d")
    assert [line.waiting_calls, line.waiting_small] == [3, 3]
    assert serve(line, 3) == [first.principal, third.principal, fourth.principal]
    assert line.waiting_calls == line.waiting_weight == line.waiting_small == 0


def test_several_turns_are_given_at_the_same_time(clock: Clock) -> None:
    line = make(clock, turns=3)
    for _ in range(5):
        arrive(line, "a")
    line.free()
    taken = [line.take() for _ in range(4)]
    assert [place is None for place in taken] == [False, False, False, True]


def test_the_wait_is_told_by_what_work_has_taken_of_late(clock: Clock) -> None:
    line = Line(turns=1, calls=100, weight=10**9, clock=clock)
    for _ in range(100):
        place = arrive(line, "a", 50)
        clock.now += 0.1
        line.done(place)
    for _ in range(11):
        arrive(line, "a", 50)
    assert line.wait_seconds() == pytest.approx(1.0, rel=0.01)


def test_a_pause_does_not_count_as_work(clock: Clock) -> None:
    line = Line(turns=1, calls=100, weight=10**9, clock=clock)
    for _ in range(100):
        bulk = arrive(line, "a", 950)
        small = arrive(line, "b", 50)
        assert line.pause(bulk)
        assert line.take() is small
        clock.now += 0.1
        line.done(small)
        assert line.take() is bulk
        clock.now += 1.0
        line.done(bulk)
    arrive(line, "a", 950)
    arrive(line, "a", 950)
    assert line.wait_seconds() == pytest.approx(1.0, rel=0.01)
