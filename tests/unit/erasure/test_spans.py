import pytest

from vault.erasure.events import (
    AttemptBegun,
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    NumbersReserved,
    Unit,
)
from vault.erasure.finality import Span
from vault.erasure.spans import Spans
from vault.model.ids import CustomerNo, Epoch, Generation, Region

REGION = Region(1)


def unit(customer_no: int, generation: int = 1) -> Unit:
    return Unit(REGION, CustomerNo(customer_no), Generation(generation))


def spans(*events: object, of: Unit) -> Span:
    followed = Spans([of])
    for event in events:
        followed.apply(event)
    return followed.span(of)


BLOCKS = (
    NumbersReserved(2, REGION, 100),
    NumbersReserved(7, REGION, 200),
    NumbersReserved(8, Region(2), 900),
)


@pytest.mark.parametrize(
    ("customer_no", "created_seq"), [(1, 2), (99, 2), (100, 7), (199, 7), (200, 0), (2**40 - 1, 0)]
)
def test_a_customer_counts_from_the_reservation_of_its_number(customer_no: int, created_seq: int) -> None:
    assert spans(*BLOCKS, of=unit(customer_no)) == Span(created_seq)


def test_without_a_reservation_it_counts_from_the_beginning() -> None:
    assert spans(of=unit(5)) == Span(0)


def test_a_reservation_that_adds_nothing_does_not_make_anybody_younger() -> None:
    assert spans(*BLOCKS, NumbersReserved(9, REGION, 150), of=unit(150)) == Span(7)


def test_a_further_generation_counts_from_its_own_entry_and_the_first_of_several() -> None:
    created = (
        GenerationCreated(11, unit(5, 2), Generation(1), 110),
        GenerationCreated(15, unit(5, 2), Generation(1), 150),
    )
    assert spans(*BLOCKS, *created, of=unit(5, 2)) == Span(11)
    assert spans(*BLOCKS, *created, of=unit(5, 1)) == Span(2)


def test_a_replaced_generation_ends_alone() -> None:
    events = (
        *BLOCKS,
        GenerationCreated(11, unit(5, 2), Generation(1), 110),
        GenerationShredded(12, unit(5, 1), 120),
    )
    assert spans(*events, of=unit(5, 1)) == Span(2, 12, 120)
    assert spans(*events, of=unit(5, 2)) == Span(11)


def test_a_customers_shred_ends_the_generations_that_are_alive() -> None:
    events = (
        *BLOCKS,
        GenerationCreated(11, unit(5, 2), Generation(1), 110),
        GenerationShredded(12, unit(5, 1), 120),
        CustomerShredded(20, REGION, CustomerNo(5), 200),
        AttemptBegun(21, Epoch(2), 1, "root"),
    )
    assert spans(*events, of=unit(5, 1)) == Span(2, 12, 120)
    assert spans(*events, of=unit(5, 2)) == Span(11, 20, 200)
    assert spans(*events, of=unit(6)) == Span(2)


def test_a_generation_shredded_twice_ends_with_the_last() -> None:
    events = (GenerationShredded(12, unit(5), 120), GenerationShredded(14, unit(5), 140))
    assert spans(*events, of=unit(5)) == Span(0, 14, 140)


def test_memory_depends_on_the_question() -> None:
    followed = Spans([unit(7)])
    for number in range(1, 1000):
        followed.apply(GenerationCreated(number * 2, unit(number, 2), Generation(1), 0))
        followed.apply(CustomerShredded(number * 2 + 1, REGION, CustomerNo(number), number))
    assert followed.span(unit(7)) == Span(0, 15, 7)
    with pytest.raises(KeyError):
        followed.span(unit(8))
