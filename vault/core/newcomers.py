"""What is stored of customers who are new, made for many of them at once.

For each: a data key with its row in the keyring, the customer row with its MAC, a record for each value, the
sheet, and the customer's name in the access log. Layouts are those of `store.layout`, `store.sheet`,
`keys.keyring`; which forms and labels there are was decided before (`drafting`).

`PortableSealer` is the reference. Where a C compiler was found at installation, `newcomers_native` does the
same in one call (`newcomers.c`).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, Self

from vault.core.records import first_header
from vault.crypto import hazmat
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.keys.keyring import Keyring
from vault.keys.opendek import FreshDeks, OpenDek
from vault.model.ids import CustomerNo, Generation, Region
from vault.model.swift import maker
from vault.store.layout import VALUE_KEY_BYTES, customer_key, dek_key, first_row, value_key, value_no
from vault.store.sheet import SHEET_FORMAT, SHEET_HEADER, SheetField, first_sheet, sheet_aad
from vault.store.writes import Rows

FIRST: Final = Generation(1)
_SHEET_HEAD: Final = SHEET_HEADER.pack(SHEET_FORMAT, FIRST)


class NewValue(NamedTuple):
    """One value of a new customer.

    Attributes:
        counter: Of its number; the customer's first value, the external id, has 1.
        field_class: Number of its class.
        stored: What is sealed.
        normalized: What it is compared by.
        index_hash: Its digest in the sheet, or nothing.
        labels: Under which it stands.
    """

    counter: int
    field_class: int
    stored: bytes
    normalized: bytes
    index_hash: bytes
    labels: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<new value {self.counter} of field class {self.field_class}>"


new_value = maker(NewValue)


class Lines(NamedTuple):
    """Everything about the values of a new customer but the values: many customers share it.

    Attributes:
        counters: Of their numbers, ascending.
        field_classes: Numbers of their classes.
        index_hashes: Their digests in the sheet, or nothing.
        labels: Under which each stands.
    """

    counters: tuple[int, ...]
    field_classes: tuple[int, ...]
    index_hashes: tuple[bytes, ...]
    labels: tuple[tuple[str, ...], ...]


class Newcomer(NamedTuple):
    """A new customer, value by value; the first is the external id.

    Attributes:
        jurisdiction: ISO 3166-1 alpha-2, or nothing.
        lines: What the values are.
        stored: What is sealed of each.
        normalized: What each is compared by.
    """

    jurisdiction: str
    lines: Lines
    stored: Sequence[bytes]
    normalized: Sequence[bytes]

    def __repr__(self) -> str:
        return f"<new customer of {len(self.stored)} values>"

    @classmethod
    def of(cls, jurisdiction: str, values: Sequence[NewValue]) -> Self:
        """A customer whose values are not like others'."""
        counters, field_classes, stored, normalized, hashes, labels = zip(*values, strict=True)
        return cls(jurisdiction, Lines(counters, field_classes, hashes, labels), stored, normalized)

    @property
    def values(self) -> list[NewValue]:
        """The values one by one."""
        counters, field_classes, hashes, labels = self.lines
        columns = (counters, field_classes, self.stored, self.normalized, hashes, labels)
        return list(map(new_value, zip(*columns, strict=True)))


class Sealed(NamedTuple):
    """Rows of four tables in the order of their keys, and each customer's locator (16 bytes)."""

    values: Rows
    sheets: Rows
    deks: Rows
    locators: Sequence[bytes]


class Occasion(NamedTuple):
    """What newcomers of one write session have in common.

    Attributes:
        fresh: A slot for their keys, one after the other.
        keyring: Wraps the keys.
        incarnation: Of the vault's value numbers.
        created_ms: Unix time in milliseconds.
    """

    fresh: FreshDeks
    keyring: Keyring
    incarnation: int
    created_ms: int


class Packed(Protocol):
    """Some newcomers, ready to be sealed once they have numbers."""

    def seal(self, numbers: Sequence[CustomerNo], occasion: Occasion) -> Sealed:
        """Everything that is to be written of them under these numbers, which ascend.

        Raises:
            KeyUnavailableError: a primitive failed.
        """


class Sealer(Protocol):
    """Makes the rows."""

    def pack(self, newcomers: Sequence[Newcomer], heads: Mapping[int, bytes]) -> Packed:
        """Does what can be done without numbers and keys; at least one newcomer.

        Args:
            newcomers: In the order of their numbers to come.
            heads: By number of a field class: its name and a zero byte, with which its fingerprints begin.
        """


class PortableSealer:
    """`Sealer`, one customer after the other."""

    def __init__(self, suite: int, vault_id: bytes, region: Region) -> None:
        self.suite = suite
        self.vault_id = vault_id
        self.region = region

    def pack(self, newcomers: Sequence[Newcomer], heads: Mapping[int, bytes]) -> Packed:
        """As `Sealer.pack`."""
        return _Portable(self, newcomers, heads)


class _Portable:
    """`Packed` by `PortableSealer`."""

    def __init__(
        self, sealer: PortableSealer, newcomers: Sequence[Newcomer], heads: Mapping[int, bytes]
    ) -> None:
        self._suite = sealer.suite
        self._vault_id = sealer.vault_id
        self._region = sealer.region
        self._newcomers = newcomers
        self._heads = heads

    def seal(self, numbers: Sequence[CustomerNo], occasion: Occasion) -> Sealed:
        """As `Packed.seal`."""
        values: list[tuple[bytes, bytes]] = []
        sheets, deks, locators = [], [], []
        region, incarnation = self._region, occasion.incarnation
        for number, newcomer in zip(numbers, self._newcomers, strict=True):
            key, dek = customer_key(region, number), occasion.fresh.next(FIRST)
            wrapped = occasion.keyring.wrap_dek(dek.pointer, region, number, FIRST)
            deks.append((dek_key(region, number, FIRST), wrapped))
            value_nos = [value_no(incarnation, value.counter) for value in newcomer.values]
            values += self._values(number, value_nos, newcomer, dek, occasion)
            sheets.append((key, self._sheet(key, value_nos, newcomer, dek)))
            locators.append(dek.locator(key))
        return Sealed(values, sheets, deks, locators)

    def _values(
        self,
        number: CustomerNo,
        value_nos: Sequence[int],
        newcomer: Newcomer,
        dek: OpenDek,
        occasion: Occasion,
    ) -> list[tuple[bytes, bytes]]:
        """The customer's row and records."""
        row_key, counter = value_key(self._region, number), len(value_nos) + 1
        row = first_row(FIRST, newcomer.jurisdiction, occasion.incarnation, counter, occasion.created_ms)
        mac = dek.row_mac(self._vault_id + row_key + row)
        first, headers, keys, parts = int.from_bytes(row_key, "big"), [], [], []
        for value_number, value in zip(value_nos, newcomer.values, strict=True):
            header = first_header(self._suite, value.field_class, FIRST)
            key = (first | value_number).to_bytes(VALUE_KEY_BYTES, "big")
            headers.append(header)
            keys.append(key)
            parts.append((value.stored, self._vault_id + key + header))
        sealed = hazmat.seal_each(self._suite, dek.seal_key, parts)
        records = [header + record for header, record in zip(headers, sealed, strict=True)]
        return [(row_key, row + mac), *zip(keys, records, strict=True)]

    def _sheet(self, key: bytes, value_nos: Sequence[int], newcomer: Newcomer, dek: OpenDek) -> bytes:
        """The row of table `sheets`."""
        values, heads = newcomer.values, self._heads
        prints = dek.fingerprints([heads[value.field_class] + value.normalized for value in values])
        lines = [
            SheetField(number, value.field_class, fingerprint, value.index_hash, value.labels)
            for number, value, fingerprint in zip(value_nos, values, prints, strict=True)
        ]
        aad = sheet_aad(self._vault_id, key, _SHEET_HEAD)
        plaintext = first_sheet(values[0].stored, lines)
        return _SHEET_HEAD + hazmat.seal(XCHACHA20_POLY1305, dek.sheet_key, plaintext, aad)
