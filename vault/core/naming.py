"""From locators in the access log to customers.

A locator is a PRF under the customer's key. Nothing leads from it to a customer but computing every live
customer's locators and comparing. So a customer that was shredded since has no name any more.

- The walk goes by customer number, in short snapshots. It opens one key after the other in one slot; a row is
  verified, and a sheet opened for the names under earlier keys, only where there is need.
- A key that is not there may have been replaced since the rows were read: the walk goes on from that customer
  with newer ones. Who still cannot be opened (a lost or damaged key, row or sheet) is named no more than who
  was shredded.
"""

from collections.abc import Set
from dataclasses import dataclass
from itertools import islice
from typing import Final

from vault.core.engine import Engine
from vault.errors import DataLossError, IntegrityFailedError
from vault.keys.opendek import NamingDek
from vault.model.ids import CustomerNo, Generation
from vault.store.layout import CustomerRow, live_generation
from vault.store.snapshot import KeyringSnapshot, Snapshot

_CUSTOMERS_A_SNAPSHOT: Final = 2_000
_FIRST_GENERATION: Final = 1  # has no earlier ones, so its sheet need not be opened


@dataclass(frozen=True, slots=True)
class Named:
    """A customer, and those of its locators that were sought."""

    number: CustomerNo
    jurisdiction: str
    locators: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NamedPage:
    """Customers found, by number; `last` is the last one looked at, `more` whether others follow it."""

    found: list[Named]
    last: CustomerNo | None
    more: bool


class Naming:
    """Walks over the customers of one open vault."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look(self, after: CustomerNo | None, wanted: Set[bytes], *, rows: int, customers: int) -> NamedPage:
        """Who of the customers after a number has one of the locators.

        Args:
            after: None to begin.
            wanted: the locators.
            rows: ends the walk when so many are found.
            customers: ends it when about so many were looked at.
        """
        found: list[Named] = []
        seen, more = 0, bool(wanted)
        missed: set[CustomerNo] = set()
        while more and seen < customers and len(found) < rows:
            after, looked, more = self._some(after, wanted, found, rows, missed)
            seen += looked
        return NamedPage(found, after, more)

    def _some(
        self,
        after: CustomerNo | None,
        wanted: Set[bytes],
        found: list[Named],
        rows: int,
        missed: set[CustomerNo],
    ) -> tuple[CustomerNo | None, int, bool]:
        """One snapshot's part: the last customer, how many were looked at, whether more come.

        It ends before a customer whose key is not there, but for one of `missed`: that is looked at again.
        """
        engine, looked = self._engine, 0
        with (
            engine.store.snapshot() as snapshot,
            engine.store.keyring() as keys,
            engine.deks.naming() as dek,
        ):
            start = engine.book.key(after) if after is not None else None
            for key, raw in islice(snapshot.customers(start), _CUSTOMERS_A_SNAPSHOT):
                number = CustomerNo(int.from_bytes(key[1:6], "big"))
                try:
                    named = self._named(snapshot, keys, dek, number, raw, wanted)
                except DataLossError:
                    if number not in missed:
                        missed.add(number)
                        return after, looked, True
                    named = None
                except IntegrityFailedError:
                    named = None  # its locators stay among those that nobody has
                after = number
                looked += 1
                if named is not None:
                    found.append(named)
                    if len(found) == rows:
                        return after, looked, True
        return after, looked, looked == _CUSTOMERS_A_SNAPSHOT

    def _named(
        self,
        snapshot: Snapshot,
        keys: KeyringSnapshot,
        dek: NamingDek,
        number: CustomerNo,
        raw: bytes,
        wanted: Set[bytes],
    ) -> Named | None:
        """The customer, if one of its locators is wanted.

        Raises:
            DataLossError, IntegrityFailedError: something of it is missing or damaged.
        """
        generation = live_generation(raw)
        if generation is None:
            return None
        book = self._engine.book
        dek_row = keys.dek(book.region, number, generation)
        if dek_row is None:
            raise DataLossError("the key of a live customer is missing from the keyring")
        dek.open(dek_row, keys.epoch, book.region, number, Generation(generation))
        locator = dek.locator(book.key(number))
        names: tuple[bytes, ...] = (locator,)
        if generation > _FIRST_GENERATION:
            names = (*book.past_locators(snapshot, number, *dek.sheet()), locator)
        held = tuple([name for name in names if name in wanted])
        if not held:
            return None
        row = CustomerRow.unpack(raw)
        book.verify_row(number, row, dek.row_mac)
        return Named(number, row.jurisdiction, held)
