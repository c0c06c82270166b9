"""From where to where in the ledger a generation lived.

Rules:
- Only chosen units are followed, so that memory depends on the question and not on the number of
  customers: the units of one certificate, or of one page of a list.
- A further generation is created by an entry that says so. The first one is not: a customer is
  created without a ledger entry, at some time after its number was reserved. It counts as
  created with the reservation, which is earlier, and therefore safe.
- Of several entries about the same unit, the first creation and the last shred count. A customer's
  shred ends the generations that are still alive.
"""

from array import array
from bisect import bisect_right
from collections.abc import Collection

from vault.erasure.events import (
    CustomerShredded,
    GenerationCreated,
    GenerationShredded,
    NumbersReserved,
    Unit,
)
from vault.erasure.finality import Span
from vault.model.ids import CustomerNo, Region


class Spans:
    """The spans of chosen units, from ledger entries in their order."""

    def __init__(self, chosen: Collection[Unit]) -> None:
        self._created: dict[Unit, int | None] = dict.fromkeys(chosen)
        self._shredded: dict[Unit, tuple[int, int]] = {}
        self._of_customer: dict[tuple[Region, CustomerNo], list[Unit]] = {}
        for unit in self._created:
            self._of_customer.setdefault((unit.region, unit.customer_no), []).append(unit)
        self._reserved: dict[Region, tuple[array[int], array[int]]] = {}

    def apply(self, event: object) -> None:
        """Takes the next entry; those about other units and other things change nothing."""
        match event:
            case NumbersReserved(seq=seq, region=region, up_to=up_to):
                limits, seqs = self._reserved.setdefault(region, (array("Q"), array("Q")))
                if not limits or up_to > limits[-1]:
                    limits.append(up_to)
                    seqs.append(seq)
            case GenerationCreated(seq=seq, unit=unit) if unit in self._created:
                if self._created[unit] is None:
                    self._created[unit] = seq
            case GenerationShredded(seq=seq, unit=unit, time_ms=time_ms) if unit in self._created:
                self._shredded[unit] = (seq, time_ms)
            case CustomerShredded(seq=seq, region=region, customer_no=number, time_ms=time_ms):
                for unit in self._of_customer.get((region, number), ()):
                    if unit not in self._shredded:
                        self._shredded[unit] = (seq, time_ms)

    def span(self, unit: Unit) -> Span:
        """When a chosen unit lived.

        Raises:
            KeyError: the unit was not chosen.
        """
        created_seq = self._created[unit]
        if created_seq is None:
            created_seq = self.reserved_seq(unit.region, unit.customer_no)
        return Span(created_seq, *self._shredded.get(unit, (None, None)))

    def reserved_seq(self, region: Region, customer_no: CustomerNo) -> int:
        """The entry that reserved a customer's number; 0, before everything, if none did."""
        limits, seqs = self._reserved.get(region, (array("Q"), array("Q")))
        at = bisect_right(limits, customer_no)
        return seqs[at] if at < len(seqs) else 0
