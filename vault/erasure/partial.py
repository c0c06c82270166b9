"""Deleted and corrected values of customers who live on: what of them waits, and what ended it.

A partial erasure is what went of one customer while one generation of its data key was in use. The values
that remain are re-sealed under a new generation; the old one, which opens every old copy of what went, is
shredded when no data backup needs it any more.

    values erased         begins the customer's partial erasure, or joins the one that takes in what goes
    generation created    closes it: what goes from here on belongs to the next
    generation shredded   ends those that the old generation had sealed
    customer shredded     ends all of the customer's
    restored              from values that are older than a generation: what had waited for the end of the one
                          before it, in use again, waits for the next generation, too

Rules:
- It ends with its generation, not with the deletion. Until then every copy of the old bytes can be opened.
- That is the last one before the new one, which after a restore need not be the one that was in use.
- The generations before that one had sealed the values, too, perhaps. Each began before the one after it
  and is shredded before it, so a span from the reservation of the customer's number to the end of the last
  one covers them all.
- Its name is the ledger entry that began it, and the customer: one entry may be about several customers.
- Of a customer that nobody asks for, one bit is kept: whether an erasure takes in what goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    Restored,
    ValuesErased,
)
from vault.erasure.finality import Span
from vault.erasure.waiting import CustomerSet
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
        former: the last generation that may have sealed them, once another has taken its place.
        replaced_seq, replaced_ms: when it did.
        ended: the generation that was shredded with it, empty until then; all, if the customer was.
    """

    region: Region
    place: Place
    values: dict[int, ErasedValue] = field(default_factory=dict)
    former: Generation | None = None
    replaced_seq: int | None = None
    replaced_ms: int | None = None
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

    def close(self, event: GenerationCreated) -> None:
        """Another generation is in use: this waits for the end of the one before it."""
        self.former = Generation(event.unit.generation - 1)
        self.replaced_seq, self.replaced_ms = event.seq, event.time_ms

    def return_to_use(self, copied_seq: int) -> None:
        """A restore from values as of an entry: whatever came into use after it is not in use any more."""
        if self.shredded_seq is None and self.replaced_seq is not None and self.replaced_seq > copied_seq:
            self.former = self.replaced_seq = self.replaced_ms = None

    def end(self, seq: int, time_ms: int, generations: tuple[Generation, ...]) -> bool:
        """Ends it, unless it has ended before; returns whether it has not."""
        if self.shredded_seq is not None:
            return False
        self.shredded_seq, self.shredded_ms, self.ended = seq, time_ms, generations
        return True


class PartialErasures:
    """Those that come after a place, up to a number of them; memory depends on that number alone."""

    def __init__(self, after: Place = BEGINNING, limit: int | None = None) -> None:
        self.found: list[PartialErasure] = []
        self._after = after
        self._limit = limit
        self._taking_in = CustomerSet()
        self._open: dict[int, PartialErasure] = {}
        self._closed: dict[int, list[PartialErasure]] = {}
        self._ended = 0

    def read(self, events: Iterable[object]) -> list[PartialErasure]:
        """What was found after all of these, told in their order."""
        for event in events:
            self._take(event)
            if len(self.found) == self._limit == self._ended:
                break  # nothing that follows can change them
        return self.found

    def _take(self, event: object) -> None:
        match event:
            case ValuesErased():
                self._erased(event)
            case GenerationCreated():
                self._replaced(event)
            case GenerationShredded(seq=seq, unit=unit, time_ms=time_ms):
                for each in self._closed.get(unit.customer_no, ()):
                    if each.former == unit.generation:
                        self._ended += each.end(seq, time_ms, (unit.generation,))
            case CustomerShredded(seq=seq, customer_no=number, time_ms=time_ms, generations=generations):
                self._taking_in.discard(number)
                erasure = self._open.pop(number, None)
                for each in [*self._closed.pop(number, ()), *([erasure] if erasure else ())]:
                    self._ended += each.end(seq, time_ms, generations)
            case Restored(copied_seq=copied_seq):
                for each in self.found:
                    each.return_to_use(copied_seq)

    def _replaced(self, event: GenerationCreated) -> None:
        number = event.unit.customer_no
        self._taking_in.discard(number)
        erasure = self._open.pop(number, None)
        if erasure is not None:
            self._closed.setdefault(number, []).append(erasure)
        for each in self._closed.get(number, ()):
            if each.former is None:
                each.close(event)

    def _erased(self, event: ValuesErased) -> None:
        for number, value_no in sorted(event.values):
            erasure = self._open.get(number)
            if number not in self._taking_in:
                self._taking_in.add(number)
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
