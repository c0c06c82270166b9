"""Deleted and corrected values of customers who live on: what of them waits, and what ended it.

A partial erasure is what went of one customer while one generation of its data key was in use. The values
that remain are re-sealed under a new generation; the old one, which opens every old copy of what went, is
shredded.

    values erased         begins the customer's partial erasure, or joins the one that is open
    generation created    closes it: what goes from here on belongs to the next
    generation shredded   ends those that the old generation had sealed
    customer shredded     ends all of the customer's

Rules:
- It ends with its generation, not with the deletion. Until then every copy of the old bytes can be opened.
- The generations before that one had sealed the values, too, perhaps. Each began before the one after it
  and was shredded before it, so a span from the reservation of the customer's number to the end of the last
  one covers them all.
- Its name is the ledger entry that began it, and the customer: one entry may be about several customers.
- Of a customer that nobody asks for, one bit is kept: whether something waits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    ValuesErased,
)
from vault.erasure.finality import Span
from vault.model.ids import CustomerNo, Generation, Region


class Place(NamedTuple):
    """Where a partial erasure stands among all of them, which is also its name."""

    seq: int
    customer_no: int


BEGINNING: Final = Place(0, 0)


class ErasedValue(NamedTuple):
    """One value that was deleted, or whose former content was corrected."""

    value_no: int
    corrected: bool
    seq: int
    time_ms: int


@dataclass(slots=True)
class PartialErasure:
    """What went of one customer under one generation.

    Attributes:
        values: by number; of one that was erased several times, the last.
        former: the generation that sealed them, once another has taken its place.
        ended: the generations that were shredded with it, empty until then.
    """

    region: Region
    place: Place
    values: dict[int, ErasedValue] = field(default_factory=dict)
    former: Generation | None = None
    ended: tuple[Generation, ...] = ()
    shredded_seq: int | None = None
    shredded_ms: int | None = None

    @property
    def customer_no(self) -> CustomerNo:
        """Whose values went."""
        return CustomerNo(self.place.customer_no)

    @property
    def effective_ms(self) -> int:
        """When the last of them went."""
        return max(each.time_ms for each in self.values.values())

    def span(self, reserved_seq: int) -> Span:
        """For the rule of finality. `reserved_seq` is the entry before which nothing of the customer was."""
        return Span(reserved_seq, self.shredded_seq, self.shredded_ms)

    def end(self, seq: int, time_ms: int, generations: tuple[Generation, ...]) -> bool:
        """Ends it, unless it has ended before; returns whether it has not."""
        if self.shredded_seq is not None:
            return False
        self.shredded_seq, self.shredded_ms, self.ended = seq, time_ms, generations
        return True


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


class Waiting:
    """Customers whose keys have to be replaced before what went of them can become final.

    Attributes:
        stale: something went, and the generation that sealed it is in use.
        left: the generation that was replaced, and is not shredded: a crash came between.
    """

    def __init__(self) -> None:
        self.stale = CustomerSet()
        self.left: dict[int, Generation] = {}

    @classmethod
    def after(cls, events: Iterable[object]) -> "Waiting":
        """What waits after all of these, told in their order."""
        waiting = cls()
        for event in events:
            waiting.apply(event)
        return waiting

    def __iter__(self) -> Iterator[int]:
        yield from self.stale
        yield from (number for number in self.left if number not in self.stale)

    def __len__(self) -> int:
        return len(self.stale) + sum(1 for number in self.left if number not in self.stale)

    def apply(self, event: object) -> None:
        """Takes the next entry; those about other things change nothing."""
        match event:
            case ValuesErased(values=values):
                for number, _ in values:
                    self.stale.add(number)
            case GenerationCreated(unit=unit, former=former):
                self.stale.discard(unit.customer_no)
                self.left[unit.customer_no] = former
            case GenerationShredded(unit=unit):
                if self.left.get(unit.customer_no) == unit.generation:
                    del self.left[unit.customer_no]
            case CustomerShredded(customer_no=number):
                self.stale.discard(number)
                self.left.pop(number, None)


class PartialErasures:
    """Those that come after a place, up to a number of them; memory depends on that number alone."""

    def __init__(self, after: Place = BEGINNING, limit: int | None = None) -> None:
        self.found: list[PartialErasure] = []
        self._after = after
        self._limit = limit
        self._waiting = Waiting()
        self._open: dict[int, PartialErasure] = {}
        self._closed: dict[int, list[PartialErasure]] = {}
        self._ended = 0

    def read(self, events: Iterable[object]) -> list[PartialErasure]:
        """What was found after all of these, told in their order."""
        for event in events:
            self._take(event)
            self._waiting.apply(event)
            if len(self.found) == self._limit == self._ended:
                break  # nothing that follows can change them
        return self.found

    def _take(self, event: object) -> None:
        match event:
            case ValuesErased():
                self._erased(event)
            case GenerationCreated(unit=unit, former=former):
                erasure = self._open.pop(unit.customer_no, None)
                if erasure is not None:
                    erasure.former = former
                    self._closed.setdefault(unit.customer_no, []).append(erasure)
            case GenerationShredded(seq=seq, unit=unit, time_ms=time_ms):
                for erasure in self._closed.get(unit.customer_no, ()):
                    if erasure.former == unit.generation:
                        self._ended += erasure.end(seq, time_ms, (unit.generation,))
            case CustomerShredded(seq=seq, customer_no=number, time_ms=time_ms, generations=generations):
                erasure = self._open.pop(number, None)
                for each in [*self._closed.pop(number, ()), *([erasure] if erasure else ())]:
                    self._ended += each.end(seq, time_ms, generations)

    def _erased(self, event: ValuesErased) -> None:
        for number, value_no in sorted(event.values):
            erasure = self._open.get(number)
            if erasure is None and number not in self._waiting.stale:
                erasure = self._begun(event.region, Place(event.seq, number))
            if erasure is not None:
                value = ErasedValue(value_no, event.corrected, event.seq, event.time_ms)
                erasure.values[value_no] = value

    def _begun(self, region: Region, place: Place) -> PartialErasure | None:
        full = self._limit is not None and len(self.found) >= self._limit
        if full or place <= self._after:
            return None
        erasure = self._open[place.customer_no] = PartialErasure(region, place)
        self.found.append(erasure)
        return erasure
