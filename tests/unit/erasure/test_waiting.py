import pytest

from tests.unit.erasure.entries import erased, gone, replaced, restored, shredded
from vault.erasure.waiting import CustomerSet, Waiting


@pytest.mark.parametrize(
    ("events", "waiting"),
    [
        ([erased(3, (7, 1), (9, 1))], [7, 9]),
        ([erased(3, (7, 1)), replaced(4, 7, 1, 2)], []),
        ([replaced(4, 7, 1, 2), erased(5, (7, 1)), shredded(6, 7, 1)], [7]),
        ([erased(3, (7, 1)), gone(4, 7, 1)], []),
        ([replaced(4, 7, 1, 2), gone(5, 7, 1, 2), restored(6, copied_seq=3)], []),
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=3)], [7]),
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=4)], []),
        ([replaced(4, 7, 1, 2), erased(5, (7, 1)), restored(6, copied_seq=3)], [7]),
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=3), replaced(6, 7, 1, 3)], []),
        ([replaced(4, 7, 1, 2), replaced(6, 7, 2, 3), restored(7, copied_seq=5)], [7]),
    ],
)
def test_who_waits_for_another_key(events: list[object], waiting: list[int]) -> None:
    found = Waiting.after(events)
    assert (list(found), len(found)) == (waiting, len(waiting))


@pytest.mark.parametrize(
    ("events", "due"),
    [
        ([erased(3, (7, 1))], {}),
        ([replaced(4, 7, 1, 2)], {7: 1}),
        ([replaced(4, 7, 1, 2), replaced(5, 7, 2, 3), replaced(9, 7, 3, 4)], {7: 2}),
        ([replaced(4, 7, 1, 2), replaced(5, 8, 1, 2), replaced(9, 9, 1, 2)], {7: 1, 8: 1}),
        ([replaced(9, 7, 1, 2)], {}),
        ([replaced(4, 7, 1, 2), shredded(5, 7, 1)], {}),
        ([replaced(4, 7, 1, 2), replaced(5, 7, 2, 3), shredded(6, 7, 1)], {7: 2}),
        ([replaced(4, 7, 1, 2), gone(5, 7, 1, 2)], {}),
        # In use again.
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=3)], {}),
        ([replaced(3, 7, 1, 2), replaced(5, 7, 2, 3), restored(6, copied_seq=4)], {7: 1}),
        # Replaced once more: it and those after it count from then on.
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=3), replaced(9, 7, 1, 3)], {}),
        ([replaced(4, 7, 1, 2), restored(5, copied_seq=3), replaced(6, 7, 1, 3)], {7: 2}),
    ],
)
def test_whose_time_has_passed(events: list[object], due: dict[int, int]) -> None:
    waiting = Waiting.after(events)
    assert dict(waiting.due(until_ms=80)) == due
    first = waiting.first_replaced_ms()
    assert bool(due) == (first is not None and first <= 80)


def test_an_entry_whose_clock_was_behind_does_not_hasten_those_before_it() -> None:
    late = replaced(9, 7, 2, 3)
    waiting = Waiting.after([replaced(8, 7, 1, 2), late.__class__(9, late.unit, late.former, 10)])
    assert dict(waiting.due(until_ms=70)) == {}


def test_a_set_of_numbers_is_one() -> None:
    numbers, model = CustomerSet(), set()
    for number in (1, 8, 7, 65_535, 0, 8, 1_000_000):
        numbers.add(number)
        model.add(number)
    for number in (7, 9, 2_000_000):
        numbers.discard(number)
        model.discard(number)
    assert (list(numbers), len(numbers)) == (sorted(model), len(model))
    assert [number in numbers for number in (7, 8, 9, 2_000_000)] == [False, True, False, False]
