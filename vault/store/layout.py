"""Bytes of the rows and keys of the planes `values`, `keyring` and `index`. Big-endian; no I/O, no keys.

    value key     9  region u8 | customer_no u40 | value_no u24 (incarnation u8, counter u16)
                     value_no 0 is the customer row
    customer key  6  region u8 | customer_no u40: key of a sheet, value of an index row
    DEK key       8  region u8 | customer_no u40 | generation u16
    value record     suite u8 | field_class u8 | flags u8 | version u32 | dek_generation u16 | expires_s u32
                     | nonce | ciphertext and tag; the first 13 bytes are the authenticated header
    customer row 54  version u8 = 1 | state u8 | flags u8 | jurisdiction 2s | dek_generation u16
                     | row_version u32 | next_counter u16 | counter_incarnation u8 | created_ms u64
                     | consents u64 | restrictions u64 | mac 16
    wrapped key      version u8 = 1 | key check value 8 | nonce 24 | ciphertext and tag (48 bytes for a DEK)

The states of a customer are far apart in bits, so that no single flipped bit turns one into another.
A shredded row keeps neither jurisdiction, creation time nor restrictions; its `consents` slot holds the
number of the ledger entry that shredded it.

Every `unpack` raises `IntegrityFailedError` for bytes that `pack` cannot have produced.
"""

import struct
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Self

from vault.errors import IntegrityFailedError
from vault.model.ids import CustomerNo, Generation, Region, ValueNo

VALUE_KEY_BYTES = 9
CUSTOMER_KEY_BYTES = 6
DEK_KEY_BYTES = 8
MAX_VALUE_NO = 2**24 - 1

HEADER = struct.Struct(">BBBIHI")
HEADER_BYTES = HEADER.size
NONCE_BYTES = {1: 24, 2: 12, 3: 32}  # by suite: XChaCha20-Poly1305, AES-256-GCM, AEGIS-256
TAG_BYTES = 16

CUSTOMER_ROW = struct.Struct(">BBB2sHIHBQQQ16s")
CUSTOMER_ROW_BYTES = CUSTOMER_ROW.size
ROW_MAC_BYTES = 16
ROW_STATE_AT = 1
_ROW_GENERATION = slice(5, 7)
ROW_FLAGS_AT = 2
ROW_GENERATION_AT = 5  # u16
JURISDICTION_AT = 3  # 2 bytes

WRAPPED = struct.Struct(">B8s24s")
DEK_ROW_BYTES = WRAPPED.size + 48

ROW_FORMAT = 1
NO_JURISDICTION = b"\0\0"
ROW_VALUE_NO = bytes(3)  # where the number of a value stands, in the key of the customer row


def value_key(region: int, customer_no: int, value_no: int = 0) -> bytes:
    """Key of one row of `values`: 9 bytes. Without `value_no`, the customer row's."""
    return (region << 64 | customer_no << 24 | value_no).to_bytes(VALUE_KEY_BYTES, "big")


def customer_key(region: int, customer_no: int) -> bytes:
    """Key of a customer outside `values`: 6 bytes, the prefix of all of its value keys."""
    return (region << 40 | customer_no).to_bytes(CUSTOMER_KEY_BYTES, "big")


def dek_key(region: int, customer_no: int, generation: int) -> bytes:
    """Key of one generation of a customer's wrapped DEK: 8 bytes."""
    return (region << 56 | customer_no << 16 | generation).to_bytes(DEK_KEY_BYTES, "big")


def split_value_key(key: bytes) -> tuple[Region, CustomerNo, ValueNo]:
    """The inverse of `value_key`."""
    if len(key) != VALUE_KEY_BYTES:
        raise IntegrityFailedError
    return (
        Region(key[0]),
        CustomerNo(int.from_bytes(key[1:6], "big")),
        ValueNo(int.from_bytes(key[6:], "big")),
    )


def split_customer_key(key: bytes) -> tuple[Region, CustomerNo]:
    """The inverse of `customer_key`."""
    if len(key) != CUSTOMER_KEY_BYTES:
        raise IntegrityFailedError
    return Region(key[0]), CustomerNo(int.from_bytes(key[1:], "big"))


def split_dek_key(key: bytes) -> tuple[Region, CustomerNo, Generation]:
    """The inverse of `dek_key`."""
    if len(key) != DEK_KEY_BYTES:
        raise IntegrityFailedError
    return (
        Region(key[0]),
        CustomerNo(int.from_bytes(key[1:6], "big")),
        Generation(int.from_bytes(key[6:], "big")),
    )


def value_no(incarnation: int, counter: int) -> ValueNo:
    """Number of a value: the vault's incarnation (restores so far) and the customer's counter."""
    return ValueNo(incarnation << 16 | counter)


class ValueFlag(IntFlag):
    """Bits of a value record's `flags`."""

    DELETED = 1  # a tombstone: the ciphertext is empty, and authenticated
    ALIAS = 2  # a token of its own for another value of the customer: see `aliases`
    SURROGATE = 4


@dataclass(frozen=True, slots=True)
class ValueHeader:
    """The 13 authenticated bytes before the nonce; `expires_s` is Unix time in seconds, 0 = never."""

    suite: int
    field_class: int
    flags: int
    version: int
    dek_generation: int
    expires_s: int = 0

    @property
    def deleted(self) -> bool:
        """Whether the record is the tombstone of a deleted value."""
        return bool(self.flags & ValueFlag.DELETED)

    @property
    def alias(self) -> bool:
        """Whether the record is an alias and holds no value."""
        return bool(self.flags & ValueFlag.ALIAS)

    def pack(self) -> bytes:
        """13 bytes."""
        return HEADER.pack(
            self.suite, self.field_class, self.flags, self.version, self.dek_generation, self.expires_s
        )

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Read the header of a value record, or a bare header."""
        if len(row) < HEADER_BYTES or row[0] not in NONCE_BYTES:
            raise IntegrityFailedError
        return cls(*HEADER.unpack_from(row))


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """One sealed value; `ciphertext` ends in its tag."""

    header: ValueHeader
    nonce: bytes
    ciphertext: bytes

    def pack(self) -> bytes:
        """Header, nonce, ciphertext."""
        return self.header.pack() + self.nonce + self.ciphertext

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Split a row by the nonce size of its suite."""
        header = ValueHeader.unpack(row)
        sealed_at = HEADER_BYTES + NONCE_BYTES[header.suite]
        if len(row) < sealed_at + TAG_BYTES:
            raise IntegrityFailedError
        return cls(header, row[HEADER_BYTES:sealed_at], row[sealed_at:])


class RowState(IntEnum):
    """State of a customer as stored."""

    ACTIVE = 0x11
    RESTRICTED = 0x22
    SHREDDED = 0xEE


_ROW_STATES = frozenset(RowState)
_ACTIVE = int(RowState.ACTIVE)  # a plain number is packed three times as fast


class RowFlag(IntFlag):
    """Bits of a customer row's `flags`."""

    SLOW_PATH = 1  # finer rules than the row can hold: decide outside the hot path


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """State of one customer; authentic only once its `mac` was verified by the keys' owner."""

    state: RowState
    dek_generation: int
    row_version: int
    next_counter: int
    counter_incarnation: int
    created_ms: int = 0
    jurisdiction: str = ""
    flags: int = 0
    consents: int = 0
    restrictions: int = 0
    mac: bytes = field(default=bytes(ROW_MAC_BYTES), repr=False)

    @property
    def shredded(self) -> bool:
        """Whether the row is the tombstone of a shredded customer."""
        return self.state is RowState.SHREDDED

    @property
    def shred_seq(self) -> int:
        """Of a tombstone: the number of the ledger entry that shredded the customer."""
        return self.consents if self.shredded else 0

    def pack(self) -> bytes:
        """54 bytes."""
        return CUSTOMER_ROW.pack(
            ROW_FORMAT,
            self.state,
            self.flags,
            self.jurisdiction.encode("ascii") or NO_JURISDICTION,
            self.dek_generation,
            self.row_version,
            self.next_counter,
            self.counter_incarnation,
            self.created_ms,
            self.consents,
            self.restrictions,
            self.mac,
        )

    def authenticated(self) -> bytes:
        """What the MAC covers besides vault id and key: the row without the MAC."""
        return self.pack()[:-ROW_MAC_BYTES]

    def advanced(self, incarnation: int, next_counter: int) -> bytes:
        """The authenticated part of the row's next version, with the value counter moved on."""
        following = CUSTOMER_ROW.pack(
            ROW_FORMAT,
            self.state,
            self.flags,
            self.jurisdiction.encode("ascii") or NO_JURISDICTION,
            self.dek_generation,
            self.row_version + 1,
            next_counter,
            incarnation,
            self.created_ms,
            self.consents,
            self.restrictions,
            b"",
        )
        return following[:-ROW_MAC_BYTES]

    def with_mac(self, mac: bytes) -> Self:
        """The same row carrying `mac` (16 bytes)."""
        return replace(self, mac=mac)

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Read a customer row; its MAC is not verified here."""
        if len(row) != CUSTOMER_ROW_BYTES or row[0] != ROW_FORMAT or row[ROW_STATE_AT] not in _ROW_STATES:
            raise IntegrityFailedError
        _, state, flags, place, generation, version, counter, incarnation, created, consents, limits, mac = (
            CUSTOMER_ROW.unpack(row)
        )
        if place != NO_JURISDICTION and not (place.isalpha() and place.isupper()):
            raise IntegrityFailedError
        return cls(
            state=RowState(state),
            dek_generation=generation,
            row_version=version,
            next_counter=counter,
            counter_incarnation=incarnation,
            created_ms=created,
            jurisdiction="" if place == NO_JURISDICTION else place.decode("ascii"),
            flags=flags,
            consents=consents,
            restrictions=limits,
            mac=mac,
        )


def first_row(
    generation: int, jurisdiction: str, incarnation: int, next_counter: int, created_ms: int
) -> bytes:
    """The authenticated part of a new customer's row, as `CustomerRow.advanced` makes it."""
    place = jurisdiction.encode("ascii") or NO_JURISDICTION
    numbers = (generation, 1, next_counter, incarnation, created_ms, 0, 0, b"")
    return CUSTOMER_ROW.pack(ROW_FORMAT, _ACTIVE, 0, place, *numbers)[:-ROW_MAC_BYTES]


def live_generation(row: bytes) -> int | None:
    """The DEK generation in a customer row, None in a tombstone's; the rest of the row is not looked at.

    Raises:
        IntegrityFailedError: it is no customer row.
    """
    if len(row) != CUSTOMER_ROW_BYTES or row[0] != ROW_FORMAT or row[ROW_STATE_AT] not in _ROW_STATES:
        raise IntegrityFailedError
    if row[ROW_STATE_AT] == RowState.SHREDDED:
        return None
    return int.from_bytes(row[_ROW_GENERATION], "big")


def tombstone(row: CustomerRow, shred_seq: int) -> CustomerRow:
    """What remains of `row` after its shred: numbers only, still to be given its MAC."""
    return CustomerRow(
        state=RowState.SHREDDED,
        dek_generation=row.dek_generation,
        row_version=row.row_version + 1,
        next_counter=row.next_counter,
        counter_incarnation=row.counter_incarnation,
        consents=shred_seq,
    )


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A DEK or a secret of the vault, wrapped under the epoch's key."""

    key_check_value: bytes
    nonce: bytes
    ciphertext: bytes

    def pack(self) -> bytes:
        """33 bytes and the ciphertext."""
        return WRAPPED.pack(ROW_FORMAT, self.key_check_value, self.nonce) + self.ciphertext

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Split a row of the keyring."""
        if len(row) < WRAPPED.size + TAG_BYTES or row[0] != ROW_FORMAT:
            raise IntegrityFailedError
        _, check, nonce = WRAPPED.unpack_from(row)
        return cls(check, nonce, row[WRAPPED.size :])
