"""Which customers wait for another data key, and which replaced generations wait for their end.

    values erased         the customer waits for another generation
    generation created    it has one; those before it are replaced from then on
    generation shredded   it and those before it are gone
    customer shredded     nothing of the customer waits
    restored              from values that are older than a generation: the one before it is in use again, and
                          the customer waits, for what sealed its values had been replaced for a reason

Rules:
- A generation is replaced since another has last been put in the place of it, or of one before it. So of one
  customer no generation is replaced later than those after it, and they end in their order.
- A customer that only waits for another key takes one bit; each that was replaced and is wrapped, a tuple.
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    Restored,
    ValuesErased,
)
from vault.model.ids import Generation


class CustomerSet:
    """Customer numbers, a bit each: they are given out without gaps."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (number & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        """Ascending. Whoever goes through it may add and take away meanwhile."""
        for at, byte in enumerate(self._bits):
            if byte:
                yield from (at << 3 | bit for bit in range(8) if byte >> bit & 1)

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "big").bit_count()

    def add(self, number: int) -> None:
        """Puts a number in."""
        at = number >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (number & 7)

    def discard(self, number: int) -> None:
        """Takes a number out, if it is in."""
        if number in self:
            self._bits[number >> 3] &= ~(1 << (number & 7))


class Replaced(NamedTuple):
    """A customer's generations up to this one are not in use since that entry."""

    generation: Generation
    seq: int
    time_ms: int


class Waiting:
    """What waits; goes through it are through the customers who wait for another key, each once.

    Attributes:
        erased: something went, and the generation that sealed it is in use.
        returned: a restore has put a generation in use again that had been replaced.
        replaced: by customer, the generations that are not in use, oldest first.
    """

    def __init__(self) -> None:
        self.erased, self.returned = CustomerSet(), CustomerSet()
        self.replaced: dict[int, tuple[Replaced, ...]] = {}

    @classmethod
    def after(cls, events: Iterable[object]) -> "Waiting":
        """What waits after all of these, told in their order."""
        waiting = cls()
        for event in events:
            waiting.apply(event)
        return waiting

    def __iter__(self) -> Iterator[int]:
        yield from self.erased
        yield from (number for number in self.returned if number not in self.erased)

    def __len__(self) -> int:
        return len(self.erased) + sum(1 for number in self.returned if number not in self.erased)

    def due(self, until_ms: int) -> Iterator[tuple[int, Generation]]:
        """Customers, each with the last of its generations that was replaced up to a time."""
        for number, replaced in self.replaced.items():
            past = list(takewhile(lambda each: each.time_ms <= until_ms, replaced))
            if past:
                yield number, past[-1].generation

    def first_replaced_ms(self) -> int | None:
        """When the first of those that are still wrapped was replaced."""
        return min([replaced[0].time_ms for replaced in self.replaced.values()], default=None)

    def apply(self, event: object) -> None:
        """Takes the next entry; those about other things change nothing."""
        match event:
            case ValuesErased(values=values):
                for number, _ in values:
                    self.erased.add(number)
            case GenerationCreated(seq=seq, unit=unit, former=former, time_ms=time_ms):
                number = unit.customer_no
                self._waits_no_more(number)
                before = [each for each in self.replaced.get(number, ()) if each.generation < former]
                self.replaced[number] = (*before, Replaced(Generation(unit.generation - 1), seq, time_ms))
            case GenerationShredded(unit=unit):
                left = self.replaced.get(unit.customer_no, ())
                self._keep(unit.customer_no, [each for each in left if each.generation > unit.generation])
            case CustomerShredded(customer_no=number):
                self._waits_no_more(number)
                self._keep(number, [])
            case Restored(copied_seq=copied_seq):
                self._restored(copied_seq)

    def _restored(self, copied_seq: int) -> None:
        for number, replaced in list(self.replaced.items()):
            if replaced[-1].seq > copied_seq:
                self.returned.add(number)
                self._keep(number, [each for each in replaced if each.seq <= copied_seq])

    def _waits_no_more(self, number: int) -> None:
        self.erased.discard(number)
        self.returned.discard(number)

    def _keep(self, number: int, replaced: list[Replaced]) -> None:
        if replaced:
            self.replaced[number] = tuple(replaced)
        else:
            self.replaced.pop(number, None)
