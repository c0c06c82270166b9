"""Who goes next, by a clock that only the test moves."""

import pytest

from vault.server.line import CALL_WEIGHT, TOKEN_BYTES, Line, Place, Refusal, weight_of

BATCH = 1000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, calls: int = 100, weight: int = 100_000) -> Line[None]:
    return Line(calls=calls, weight=weight, clock=clock)


def arrive(line: Line[None], principal: str, items: int = 1) -> Place[None]:
    place = line.arrive(principal, CALL_WEIGHT + items, None)
    assert isinstance(place, Place)
    return place


def flood(line: Line[None], principal: str, items: int = 1) -> int:
    """How many calls of a principal may wait that sends without end."""
    joined = 0
    while isinstance(line.arrive(principal, CALL_WEIGHT + items, None), Place):
        joined += 1
    return joined


def serve(line: Line[None], count: int) -> list[str]:
    """The principals of the next calls, each done before the next begins."""
    served = []
    for _ in range(count):
        place = line.take()
        assert place is not None
        served.append(place.principal)
        line.done(place)
    return served


def test_calls_of_one_principal_keep_their_order(clock: Clock) -> None:
    line = make(clock)
    places = [arrive(line, "a") for _ in range(5)]
    taken = []
    for _ in places:
        place = line.take()
        assert place is not None
        taken.append(place)
        line.done(place)
    assert taken == places


def test_a_principal_alone_may_fill_two_thirds_and_another_still_finds_room(clock: Clock) -> None:
    line = make(clock, calls=99)
    assert flood(line, "a") == pytest.approx(66, abs=1)
    assert line.arrive("a", CALL_WEIGHT + 1, None) is Refusal.SHARE
    assert flood(line, "b") >= 20
    assert isinstance(line.arrive("c", CALL_WEIGHT + 1, None), Place)


def test_shares_count_items_too(clock: Clock) -> None:
    line = make(clock, calls=1000, weight=30 * (BATCH + CALL_WEIGHT))
    assert flood(line, "a", BATCH) <= 21
    assert flood(line, "b", BATCH) >= 5


def test_a_share_grows_again_when_the_others_have_gone(clock: Clock) -> None:
    line = make(clock, calls=99)
    flood(line, "a")
    flood(line, "b")
    assert flood(line, "a") == 0
    while (place := line.take()) is not None:
        line.done(place)
    arrive(line, "c")
    assert flood(line, "a") == pytest.approx(66, abs=1)


def test_the_line_is_bounded_however_many_come(clock: Clock) -> None:
    line = make(clock, calls=50)
    for number in range(500):
        line.arrive(f"p{number}", CALL_WEIGHT + 1, None)
    assert line.waiting_calls <= 50
    assert line.arrive("late", CALL_WEIGHT + 1, None) is Refusal.FULL


def test_nobody_is_refused_while_the_line_is_not_crowded(clock: Clock) -> None:
    line, crowded = make(clock, calls=30, weight=9_000), set()
    for number in range(500):
        name, items = f"p{number % 3}", (1, 700)[number % 7 == 0]
        refused = {each: line.refuses(each) for each in ("p0", "p1", "p2", "new")}
        crowded.add(line.is_crowded)
        assert line.is_crowded or not any(refused.values())
        if number % 5 == 4:
            serve(line, number % 4)
        else:
            line.arrive(name, CALL_WEIGHT + items, None)
    assert crowded == {False, True}


def test_one_who_is_refused_alone_finds_the_line_crowded(clock: Clock) -> None:
    line = make(clock)
    while line.refuses("a") is None:
        assert not line.is_crowded  # of one principal it is exact
        arrive(line, "a")
    assert line.is_crowded


def test_a_call_heavier_than_the_line_waits_if_nobody_else_does(clock: Clock) -> None:
    line = make(clock, weight=500)
    huge = arrive(line, "a", 10_000)
    assert line.arrive("b", CALL_WEIGHT + 1, None) is Refusal.FULL
    assert line.take() is huge
    line.done(huge)
    assert isinstance(line.arrive("b", CALL_WEIGHT + 1, None), Place)


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
    assert line.take() is small


def test_bulk_has_its_turn_after_small_calls_of_its_own_weight(clock: Clock) -> None:
    line = make(clock, calls=1000)
    bulk = arrive(line, "bulk", BATCH)
    passed = 0
    for _ in range(200):
        arrive(line, "crm", 1)
    while True:
        place = line.take()
        assert place is not None
        line.done(place)
        if place is bulk:
            break
        passed += place.weight
    assert bulk.weight <= passed < bulk.weight + 2 * CALL_WEIGHT


def test_who_leaves_is_not_served_and_frees_its_place(clock: Clock) -> None:
    line = make(clock, calls=3)
    first, second, third = (arrive(line, name) for name in "abc")
    assert line.arrive("d", CALL_WEIGHT + 1, None) is Refusal.FULL
    line.leave(second)
    fourth = arrive(line, "d")
    assert line.waiting_calls == 3
    assert serve(line, 3) == [first.principal, third.principal, fourth.principal]
    assert line.waiting_calls == line.waiting_weight == 0


def test_the_wait_is_told_by_what_work_has_taken_of_late(clock: Clock) -> None:
    line = make(clock, weight=10**9)
    for _ in range(100):
        arrive(line, "a", 50)
        place = line.take()
        assert place is not None
        clock.now += 0.1
        line.done(place)
    for _ in range(10):
        arrive(line, "a", 50)
    assert line.wait_seconds() == pytest.approx(1.0, rel=0.01)


def test_a_place_knows_since_when_it_waits_and_works(clock: Clock) -> None:
    line = make(clock)
    place = arrive(line, "a")
    clock.now = 3.0
    assert line.take() is place
    assert (place.arrived, place.begun, place.waiting) == (0.0, 3.0, False)
    assert line.take() is None


def test_a_call_weighs_by_the_size_of_its_request() -> None:
    assert weight_of(0) == CALL_WEIGHT
    assert weight_of(BATCH * TOKEN_BYTES) == CALL_WEIGHT + BATCH
