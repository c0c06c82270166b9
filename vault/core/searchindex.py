"""The blind index: from a keyed hash of a value to the customers that may hold it.

    digest   BLAKE2b-128, personalized "cv-search-1", of class | 0 | search form       in the sealed sheet
    value    "value" | 0 | class number u8 | digest
    compound "compound" | 0 | name | 0 | digest of each field, in the order of their names
    row      keyed hash of "search" | 0 | one of the two, under the epoch's index key  in the index

A blind index in the usual sense: a PRF of the normalized value, here keyed BLAKE2b (RFC 7693, 2.9), with the
uses of the one key kept apart by what the message begins with.

Rules:
- The digest needs no key: it is sealed under the customer's data key and ends with it. It stays the same
  through epochs, so a rotation makes the rows anew from sheets, without opening a value.
- Rows follow the sheet: `Book.save` compares what it was with what it is. Rows that a crash left over point
  at a sheet that does not confirm them. What a crash took too many is put back by recovery.
- A change is noted for a rotation that is under way, except a new customer's, whose number tells it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final, Protocol

from vault.core.directory import FIELD_CLASS
from vault.core.indexkeys import IndexKeys, search_hash
from vault.core.rows import RowReader, Rows
from vault.crypto import hazmat
from vault.errors import LimitExceededError
from vault.fields.field_class import FieldClass
from vault.fields.searching import Searchable, search_form
from vault.model.ids import CustomerNo, Region
from vault.store.layout import customer_key
from vault.store.session import WriteSession
from vault.store.snapshot import KeyringReader

COMPOUND: Final = 0  # in place of a class's number
MAX_COMBINATIONS: Final = 1024  # of one customer's values in one compound
_PERSON: Final = b"cv-search-1"

Pair = tuple[int, bytes]
"""Number of a field class, and the digest of a value of it."""
Message = tuple[int, bytes]
"""What leads to a value or combination: its entry in rows (class number or 0), and what is hashed."""


def digest_of(field_class: FieldClass, normalized: bytes) -> bytes:
    """The digest (16 bytes) that stands in the sheet for a normalized value."""
    content = field_class.name.encode() + b"\0" + search_form(field_class, normalized)
    return hashlib.blake2b(content, digest_size=16, person=_PERSON).digest()


class Line(Protocol):
    """What the index needs to know of a value."""

    @property
    def field_class(self) -> int:
        """Number of its class."""

    @property
    def index_hash(self) -> bytes:
        """Its digest, or nothing."""


def pairs_of(lines: Iterable[Line]) -> list[Pair]:
    """The digests in some lines of a sheet."""
    return [(line.field_class, line.index_hash) for line in lines if line.index_hash]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What is indexed, by numbers of field classes; `compounds` are (beginning of the message, numbers)."""

    single: frozenset[int]
    compounds: tuple[tuple[bytes, tuple[int, ...]], ...]

    def messages(self, pairs: Sequence[Pair]) -> list[Message]:
        """Everything that leads to a customer with these digests."""
        found = [value_message(*pair) for pair in pairs if pair[0] in self.single]
        for head, numbers in self.compounds:
            parts = [[digest for number, digest in pairs if number == wanted] for wanted in numbers]
            found += [(COMPOUND, head + b"".join(each)) for each in product(*parts)]
        return list(dict.fromkeys(found))

    def combinations(self, pairs: Sequence[Pair]) -> int:
        """How many combinations the largest compound has."""
        counts = [prod(sum(number == each for each, _ in pairs) for number in of) for _, of in self.compounds]
        return max(counts, default=0)


def value_message(field_class: int, digest: bytes) -> Message:
    """What stands for one value."""
    return field_class, b"value\0" + bytes((field_class,)) + digest


def compound_head(name: str) -> bytes:
    """How the message of a compound begins."""
    return b"compound\0" + name.encode() + b"\0"


class SearchIndex:
    """Keeps the rows of one vault."""

    def __init__(self, searchable: Searchable, rows: Rows, index_keys: IndexKeys, region: Region) -> None:
        self.searchable = searchable
        self._digested = searchable.digested
        self._rows = rows
        self._index_keys = index_keys
        self._region = region
        self._plan: SearchPlan | None = None

    def digest(self, field_class: FieldClass, normalized: bytes) -> bytes:
        """The digest for the sheet; empty where nothing is found by values of this class."""
        return digest_of(field_class, normalized) if field_class.name in self._digested else b""

    def plan(self, reader: RowReader) -> SearchPlan:
        """What is indexed. A class's number, once given, is its own for ever."""
        if self._plan is not None:
            return self._plan
        numbers = {}
        for name in self._digested:
            found = self._rows.get(reader, "names", FIELD_CLASS + name.encode())
            if found is not None:
                numbers[name] = int.from_bytes(found, "big")
        plan = SearchPlan(
            frozenset([numbers[name] for name in self.searchable.classes if name in numbers]),
            tuple(
                (compound_head(each.name), tuple([numbers[name] for name in each.fields]))
                for each in self.searchable.compounds
                if numbers.keys() >= set(each.fields)
            ),
        )
        if len(numbers) == len(self._digested):
            self._plan = plan
        return plan

    def follow(
        self,
        session: WriteSession,
        number: CustomerNo,
        before: Sequence[Line],
        lines: Iterable[Line],
        *,
        created: bool = False,
    ) -> None:
        """Makes a customer's rows those of its sheet, whose lines were others before."""
        was, now = pairs_of(before), pairs_of(lines)
        if set(was) != set(now):
            old = set(self.rows_of(session, session, number, was))
            new = set(self.rows_of(session, session, number, now))
            customer = customer_key(self._region, number)
            session.search_change(customer, old - new, new - old, note=not created)

    def restore(self, session: WriteSession, number: CustomerNo, lines: Iterable[Line]) -> None:
        """Adds whatever row of a customer's sheet is missing."""
        rows = self.rows_of(session, session, number, pairs_of(lines))
        session.search_change(customer_key(self._region, number), (), rows)

    def rows_of(
        self, reader: RowReader, index: KeyringReader, number: CustomerNo, pairs: Sequence[Pair]
    ) -> list[bytes]:
        """The rows (23 bytes) of a customer with these digests."""
        customer = customer_key(self._region, number)
        return [
            self._index_keys.search_hash(index, message) + bytes((entry,)) + customer
            for entry, message in (self.plan(reader).messages(pairs) if pairs else ())
        ]

    def rows_under(
        self, reader: RowReader, key: hazmat.KeyPointer, customer: bytes, pairs: Sequence[Pair]
    ) -> list[bytes]:
        """The same rows under another epoch's key; `customer` is the key of 6 bytes."""
        return [
            search_hash(key, message) + bytes((entry,)) + customer
            for entry, message in (self.plan(reader).messages(pairs) if pairs else ())
        ]

    def prefix(self, index: KeyringReader, message: Message) -> bytes:
        """How the rows of everybody begin to whom this leads (17 bytes)."""
        return self._index_keys.search_hash(index, message[1]) + bytes((message[0],))

    def require_room(self, reader: RowReader, lines: Iterable[Line], field_class: int, digest: bytes) -> None:
        """Checks that a customer may get a further value.

        Raises:
            LimitExceededError: its values could be combined in too many ways.
        """
        if not digest or not self.searchable.compounds:
            return
        size = self.plan(reader).combinations([*pairs_of(lines), (field_class, digest)])
        if size > MAX_COMBINATIONS:
            raise LimitExceededError(
                f"a customer's values are found in at most {MAX_COMBINATIONS} combinations",
                limit="search_combinations",
                allowed=str(MAX_COMBINATIONS),
                size=str(size),
            )
