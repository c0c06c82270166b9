"""Payloads of the ledger's entries. They name numbers, generations and epochs; never a value.

Big-endian; customer = region u8 | customer_no u40, value = customer | value_no u24; request = keyed hashes
of a request's id and of its body, 16 bytes each, so that whoever finishes the entry can remember the answer
(zeros where there was no id).

     1 GENESIS               vault_id 16 | public key 32 (Ed25519, verifies the ledger)
     2 NUMBERS_RESERVED      region u8 | up_to u64: numbers below `up_to` may be given out
     3 SHRED                 shred_id 16 | customer | principal_id u32 | values u32 | commitment 32
                             | n u16 | n x generation u16
     4 VALUES_DELETED        request 32 | n u32 | n x value
     5 VALUES_CORRECTED      n u32 | n x (value | version u32): no restore may serve an older version
     6 GENERATION_REPLACED   customer | old u16 | new u16
     7 GENERATION_SHREDDED   customer | generation u16
     8 VOID                  seq u64: that entry did not take effect
     9 EPOCH_INTENT          epoch u32 | attempt u32 | n u16 | root key id, UTF-8
    10 EPOCH_CURRENT         epoch u32
    11 PRINCIPAL_REVOKED     principal_id u32

Every `unpack` raises `IntegrityFailedError` for bytes that `pack` cannot have produced.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, Self

from vault.errors import IntegrityFailedError, StorageFormatError
from vault.store.layout import CUSTOMER_KEY_BYTES, VALUE_KEY_BYTES, customer_key, split_value_key, value_key

_SHRED = struct.Struct(">16s6sII32sH")
_REPLACED = struct.Struct(">6sHH")
_GENERATION = struct.Struct(">6sH")
_INTENT = struct.Struct(">IIH")

NO_REQUEST = bytes(32)


class EntryType(IntEnum):
    """What an entry records; numbers are part of the format."""

    GENESIS = 1
    NUMBERS_RESERVED = 2
    SHRED = 3
    VALUES_DELETED = 4
    VALUES_CORRECTED = 5
    GENERATION_REPLACED = 6
    GENERATION_SHREDDED = 7
    VOID = 8
    EPOCH_INTENT = 9
    EPOCH_CURRENT = 10
    PRINCIPAL_REVOKED = 11


class Payload(Protocol):
    """What every payload offers."""

    TYPE: ClassVar[EntryType]

    def pack(self) -> bytes:
        """The payload's bytes."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """The vault's first entry."""

    TYPE: ClassVar[EntryType] = EntryType.GENESIS
    vault_id: bytes
    public_key: bytes

    def pack(self) -> bytes:
        """48 bytes."""
        return self.vault_id + self.public_key

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, 48)
        return cls(payload[:16], payload[16:])


@dataclass(frozen=True, slots=True)
class NumbersReserved:
    """Customer numbers below `up_to` may be given out from now on."""

    TYPE: ClassVar[EntryType] = EntryType.NUMBERS_RESERVED
    region: int
    up_to: int

    def pack(self) -> bytes:
        """9 bytes."""
        return bytes((self.region,)) + self.up_to.to_bytes(8, "big")

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, 9)
        return cls(payload[0], int.from_bytes(payload[1:], "big"))


@dataclass(frozen=True, slots=True)
class Shred:
    """A customer's keys were destroyed. `commitment` binds the external id by a salt that is not kept."""

    TYPE: ClassVar[EntryType] = EntryType.SHRED
    shred_id: bytes
    region: int
    customer_no: int
    generations: tuple[int, ...]
    values: int
    commitment: bytes
    principal_id: int

    def pack(self) -> bytes:
        """64 bytes and 2 for each generation."""
        head = _SHRED.pack(
            self.shred_id,
            customer_key(self.region, self.customer_no),
            self.principal_id,
            self.values,
            self.commitment,
            len(self.generations),
        )
        return head + b"".join([each.to_bytes(2, "big") for each in self.generations])

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, _SHRED.size)
        shred_id, customer, principal_id, values, commitment, count = _SHRED.unpack_from(payload)
        _expect(payload, _SHRED.size + 2 * count)
        generations = struct.unpack_from(f">{count}H", payload, _SHRED.size)
        region, customer_no = _customer(customer)
        return cls(shred_id, region, customer_no, generations, values, commitment, principal_id)


@dataclass(frozen=True, slots=True)
class ValuesDeleted:
    """Values that no restore may bring back, as (customer_no, value_no) of one region."""

    TYPE: ClassVar[EntryType] = EntryType.VALUES_DELETED
    region: int
    values: tuple[tuple[int, int], ...]
    request: bytes = NO_REQUEST

    def pack(self) -> bytes:
        """36 bytes and 9 for each value."""
        rows = [value_key(self.region, customer_no, value_no) for customer_no, value_no in self.values]
        return self.request + len(rows).to_bytes(4, "big") + b"".join(rows)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, len(NO_REQUEST))
        request, rows = payload[: len(NO_REQUEST)], payload[len(NO_REQUEST) :]
        keys = [split_value_key(row) for row in _rows(rows, VALUE_KEY_BYTES)]
        return cls(_one_region([key[0] for key in keys]), tuple([(key[1], key[2]) for key in keys]), request)


@dataclass(frozen=True, slots=True)
class ValuesCorrected:
    """Version floors, as (customer_no, value_no, version) of one region."""

    TYPE: ClassVar[EntryType] = EntryType.VALUES_CORRECTED
    region: int
    values: tuple[tuple[int, int, int], ...]

    def pack(self) -> bytes:
        """4 bytes and 13 for each value."""
        rows = [
            value_key(self.region, customer_no, value_no) + version.to_bytes(4, "big")
            for customer_no, value_no, version in self.values
        ]
        return len(rows).to_bytes(4, "big") + b"".join(rows)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        rows = _rows(payload, VALUE_KEY_BYTES + 4)
        keys = [split_value_key(row[:VALUE_KEY_BYTES]) for row in rows]
        versions = [int.from_bytes(row[VALUE_KEY_BYTES:], "big") for row in rows]
        values = tuple([(key[1], key[2], version) for key, version in zip(keys, versions, strict=True)])
        return cls(_one_region([key[0] for key in keys]), values)


@dataclass(frozen=True, slots=True)
class GenerationReplaced:
    """A customer is sealed under `new` from now on; `old` stays wrapped until it is shredded."""

    TYPE: ClassVar[EntryType] = EntryType.GENERATION_REPLACED
    region: int
    customer_no: int
    old: int
    new: int

    def pack(self) -> bytes:
        """10 bytes."""
        return _REPLACED.pack(customer_key(self.region, self.customer_no), self.old, self.new)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, _REPLACED.size)
        customer, old, new = _REPLACED.unpack(payload)
        return cls(*_customer(customer), old, new)


@dataclass(frozen=True, slots=True)
class GenerationShredded:
    """One generation of a customer's DEK was destroyed; the customer lives on."""

    TYPE: ClassVar[EntryType] = EntryType.GENERATION_SHREDDED
    region: int
    customer_no: int
    generation: int

    def pack(self) -> bytes:
        """8 bytes."""
        return _GENERATION.pack(customer_key(self.region, self.customer_no), self.generation)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, _GENERATION.size)
        customer, generation = _GENERATION.unpack(payload)
        return cls(*_customer(customer), generation)


@dataclass(frozen=True, slots=True)
class Void:
    """An earlier entry did not take effect."""

    TYPE: ClassVar[EntryType] = EntryType.VOID
    seq: int

    def pack(self) -> bytes:
        """8 bytes."""
        return self.seq.to_bytes(8, "big")

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, 8)
        return cls(int.from_bytes(payload, "big"))


@dataclass(frozen=True, slots=True)
class EpochIntent:
    """A root key is about to be created; recorded first, so that no abandoned one is forgotten."""

    TYPE: ClassVar[EntryType] = EntryType.EPOCH_INTENT
    epoch: int
    attempt: int
    root_key_id: str

    def pack(self) -> bytes:
        """10 bytes and the id."""
        name = self.root_key_id.encode()
        return _INTENT.pack(self.epoch, self.attempt, len(name)) + name

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, _INTENT.size)
        epoch, attempt, size = _INTENT.unpack_from(payload)
        _expect(payload, _INTENT.size + size)
        try:
            return cls(epoch, attempt, payload[_INTENT.size :].decode())
        except UnicodeDecodeError as error:
            raise IntegrityFailedError from error


@dataclass(frozen=True, slots=True)
class EpochCurrent:
    """The keyring of `epoch` is the one in use."""

    TYPE: ClassVar[EntryType] = EntryType.EPOCH_CURRENT
    epoch: int

    def pack(self) -> bytes:
        """4 bytes."""
        return self.epoch.to_bytes(4, "big")

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, 4)
        return cls(int.from_bytes(payload, "big"))


@dataclass(frozen=True, slots=True)
class PrincipalRevoked:
    """A principal may do nothing any more; no restore brings it back."""

    TYPE: ClassVar[EntryType] = EntryType.PRINCIPAL_REVOKED
    principal_id: int

    def pack(self) -> bytes:
        """4 bytes."""
        return self.principal_id.to_bytes(4, "big")

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, 4)
        return cls(int.from_bytes(payload, "big"))


AnyPayload = (
    Genesis
    | NumbersReserved
    | Shred
    | ValuesDeleted
    | ValuesCorrected
    | GenerationReplaced
    | GenerationShredded
    | Void
    | EpochIntent
    | EpochCurrent
    | PrincipalRevoked
)

_CLASSES: dict[int, type[AnyPayload]] = {
    each.TYPE: each
    for each in (
        Genesis,
        NumbersReserved,
        Shred,
        ValuesDeleted,
        ValuesCorrected,
        GenerationReplaced,
        GenerationShredded,
        Void,
        EpochIntent,
        EpochCurrent,
        PrincipalRevoked,
    )
}


def unpack_payload(entry_type: int, payload: bytes) -> AnyPayload:
    """The payload of an entry.

    Raises:
        StorageFormatError: a type this program does not know.
        IntegrityFailedError: the bytes do not have the type's layout.
    """
    known = _CLASSES.get(entry_type)
    if known is None:
        raise StorageFormatError("the ledger holds an entry of an unknown type", type=str(entry_type))
    return known.unpack(payload)


def _customer(key: bytes) -> tuple[int, int]:
    return key[0], int.from_bytes(key[1:CUSTOMER_KEY_BYTES], "big")


def _expect(payload: bytes, size: int) -> None:
    if len(payload) != size:
        raise IntegrityFailedError


def _expect_at_least(payload: bytes, size: int) -> None:
    if len(payload) < size:
        raise IntegrityFailedError


def _rows(payload: bytes, size: int) -> list[bytes]:
    _expect_at_least(payload, 4 + size)
    _expect(payload, 4 + size * int.from_bytes(payload[:4], "big"))
    return [payload[at : at + size] for at in range(4, len(payload), size)]


def _one_region(regions: list[int]) -> int:
    if len(set(regions)) != 1:
        raise IntegrityFailedError
    return regions[0]
