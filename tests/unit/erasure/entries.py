"""What the ledger tells of customers and their values; an entry's time is ten times its number."""

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    Restored,
    Unit,
    ValuesErased,
)
from vault.model.ids import CustomerNo, Epoch, Generation, Region

REGION = Region(1)


def erased(seq: int, *values: tuple[int, int], corrected: bool = False) -> ValuesErased:
    named = tuple([(CustomerNo(number), value_no) for number, value_no in values])
    return ValuesErased(seq, REGION, named, corrected, seq * 10)


def unit(customer_no: int, generation: int) -> Unit:
    return Unit(REGION, CustomerNo(customer_no), Generation(generation))


def replaced(seq: int, customer_no: int, former: int, new: int) -> GenerationCreated:
    return GenerationCreated(seq, unit(customer_no, new), Generation(former), seq * 10)


def shredded(seq: int, customer_no: int, generation: int) -> GenerationShredded:
    return GenerationShredded(seq, unit(customer_no, generation), seq * 10)


def gone(seq: int, customer_no: int, *generations: int) -> CustomerShredded:
    return CustomerShredded(
        seq, REGION, CustomerNo(customer_no), seq * 10, tuple(map(Generation, generations))
    )


def restored(seq: int, copied_seq: int) -> Restored:
    return Restored(seq, Epoch(1), 1, copied_seq)
