import pytest

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    Unit,
    ValuesErased,
)
from vault.erasure.finality import Span
from vault.erasure.partial import CustomerSet, PartialErasures, Place, Waiting
from vault.model.ids import CustomerNo, Generation, Region

REGION = Region(1)


def erased(seq: int, *values: tuple[int, int], corrected: bool = False) -> ValuesErased:
    named = tuple([(CustomerNo(number), value_no) for number, value_no in values])
    return ValuesErased(seq, REGION, named, corrected, seq * 10)


def unit(customer_no: int, generation: int) -> Unit:
    return Unit(REGION, CustomerNo(customer_no), Generation(generation))


def replaced(seq: int, customer_no: int, former: int, new: int) -> GenerationCreated:
    return GenerationCreated(seq, unit(customer_no, new), Generation(former))


def shredded(seq: int, customer_no: int, generation: int) -> GenerationShredded:
    return GenerationShredded(seq, unit(customer_no, generation), seq * 10)


def gone(seq: int, customer_no: int, *generations: int) -> CustomerShredded:
    return CustomerShredded(
        seq, REGION, CustomerNo(customer_no), seq * 10, tuple(map(Generation, generations))
    )


def test_what_went_under_one_generation_is_one_erasure_that_ends_with_it() -> None:
    events = [erased(3, (7, 1)), erased(4, (7, 2), corrected=True), replaced(5, 7, 1, 2), shredded(6, 7, 1)]
    (begun,) = PartialErasures().read(events[:3])
    assert (begun.shredded_seq, begun.former, begun.ended) == (None, 1, ())
    (ended,) = PartialErasures().read(events)
    assert ended.place == Place(3, 7)
    assert [(each.value_no, each.corrected, each.seq) for each in ended.values.values()] == [
        (1, False, 3),
        (2, True, 4),
    ]
    assert (ended.effective_ms, ended.ended) == (40, (1,))
    assert ended.span(reserved_seq=2) == Span(2, 6, 60)


def test_what_goes_after_the_new_generation_is_another_erasure() -> None:
    """Even if the old one is shredded only then."""
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), shredded(6, 7, 1)]
    first, second = PartialErasures().read(events)
    assert (first.shredded_seq, second.shredded_seq) == (6, None)
    first, second = PartialErasures().read([*events, replaced(7, 7, 2, 3), shredded(8, 7, 2)])
    assert (first.shredded_seq, second.shredded_seq) == (6, 8)


def test_another_generation_that_is_shredded_ends_nothing() -> None:
    """One that a crash had left."""
    events = [replaced(2, 7, 1, 2), erased(3, (7, 1)), replaced(4, 7, 2, 3), shredded(5, 7, 1)]
    (erasure,) = PartialErasures().read(events)
    assert erasure.shredded_seq is None


def test_a_customers_shred_ends_all_that_has_not_ended() -> None:
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), gone(6, 7, 1, 2)]
    found = PartialErasures().read(events)
    assert [(each.shredded_seq, each.ended) for each in found] == [(6, (1, 2))] * 2
    ended = [erased(3, (7, 1)), replaced(4, 7, 1, 2), shredded(5, 7, 1), gone(6, 7, 2)]
    assert [each.shredded_seq for each in PartialErasures().read(ended)] == [5]


def test_pieces_one_after_the_other_are_the_whole() -> None:
    """Also where one entry is about several customers."""
    events = [
        erased(3, (9, 1), (7, 1), (8, 1)),
        erased(4, (8, 2)),
        replaced(5, 8, 1, 2),
        shredded(6, 8, 1),
        erased(7, (8, 3), (9, 2)),
        gone(8, 9, 1),
    ]
    whole = PartialErasures().read(events)
    assert [each.place for each in whole] == [(3, 7), (3, 8), (3, 9), (7, 8)]
    after, pieces = Place(0, 0), []
    while piece := PartialErasures(after, 1).read(events):
        pieces += piece
        after = piece[-1].place
    assert pieces == whole


@pytest.mark.parametrize(
    ("events", "waiting"),
    [
        ([erased(3, (7, 1), (9, 1))], [7, 9]),
        ([erased(3, (7, 1)), replaced(4, 7, 1, 2)], [7]),
        ([erased(3, (7, 1)), replaced(4, 7, 1, 2), shredded(5, 7, 1)], []),
        ([replaced(4, 7, 1, 2), erased(5, (7, 1)), shredded(6, 7, 1)], [7]),
        ([replaced(4, 7, 2, 3), shredded(5, 7, 1)], [7]),
        ([replaced(4, 7, 2, 3), shredded(5, 7, 1), shredded(6, 7, 2)], []),
        ([erased(3, (7, 1)), gone(4, 7, 1)], []),
        ([replaced(4, 7, 1, 2), gone(5, 7, 1, 2)], []),
    ],
)
def test_who_waits_for_another_key(events: list[object], waiting: list[int]) -> None:
    found = Waiting.after(events)
    assert (list(found), len(found)) == (waiting, len(waiting))


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
