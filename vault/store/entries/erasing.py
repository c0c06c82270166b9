"""Payloads on what customers have to lose: values, tokens, keys; `entries` has their layout."""

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from vault.errors import IntegrityFailedError
from vault.store.aliases import AliasState
from vault.store.entries.kinds import EntryType
from vault.store.entries.packing import NO_REQUEST, customer_of, expect, expect_at_least, one_region, rows_of
from vault.store.layout import VALUE_KEY_BYTES, customer_key, split_value_key, value_key

_SHRED = struct.Struct(">16s6sII32sH")
_REPLACED = struct.Struct(">6sHH")
_GENERATION = struct.Struct(">6sH")


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
        return _pack_shred(self)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        return cls(*_read_shred(payload))


@dataclass(frozen=True, slots=True)
class ErasureWaits:
    """A customer's shred was asked for, and a legal hold keeps some of it; `SHRED` will end it.

    It may be written again as more of the customer goes; the newest one counts.

    Attributes:
        generations: those that open values which went already.
        values: all that are to go, those that are held included.
    """

    TYPE: ClassVar[EntryType] = EntryType.ERASURE_WAITS
    shred_id: bytes
    region: int
    customer_no: int
    generations: tuple[int, ...]
    values: int
    commitment: bytes
    principal_id: int

    @classmethod
    def of(cls, shred: Shred, generations: tuple[int, ...]) -> Self:
        """The entry of a shred that cannot be done yet."""
        return cls(
            shred.shred_id,
            shred.region,
            shred.customer_no,
            generations,
            shred.values,
            shred.commitment,
            shred.principal_id,
        )

    def pack(self) -> bytes:
        """64 bytes and 2 for each generation."""
        return _pack_shred(self)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        return cls(*_read_shred(payload))


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
        expect_at_least(payload, len(NO_REQUEST))
        request, rows = payload[: len(NO_REQUEST)], payload[len(NO_REQUEST) :]
        keys = [split_value_key(row) for row in rows_of(rows, VALUE_KEY_BYTES)]
        return cls(one_region([key[0] for key in keys]), tuple([(key[1], key[2]) for key in keys]), request)


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
        rows = rows_of(payload, VALUE_KEY_BYTES + 4)
        keys = [split_value_key(row[:VALUE_KEY_BYTES]) for row in rows]
        versions = [int.from_bytes(row[VALUE_KEY_BYTES:], "big") for row in rows]
        values = tuple([(key[1], key[2], version) for key, version in zip(keys, versions, strict=True)])
        return cls(one_region([key[0] for key in keys]), values)


@dataclass(frozen=True, slots=True)
class TokensEnded:
    """Issued tokens that were used or revoked, as (customer_no, value_no) of one region.

    `how` is the `AliasState` that they have from now on.
    """

    TYPE: ClassVar[EntryType] = EntryType.TOKENS_ENDED
    region: int
    how: AliasState
    values: tuple[tuple[int, int], ...]
    request: bytes = NO_REQUEST

    def pack(self) -> bytes:
        """37 bytes and 9 for each token."""
        rows = [value_key(self.region, customer_no, value_no) for customer_no, value_no in self.values]
        return self.request + bytes((self.how,)) + len(rows).to_bytes(4, "big") + b"".join(rows)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        at = len(NO_REQUEST)
        expect_at_least(payload, at + 1)
        try:
            how = AliasState(payload[at])
        except ValueError as error:
            raise IntegrityFailedError from error
        keys = [split_value_key(row) for row in rows_of(payload[at + 1 :], VALUE_KEY_BYTES)]
        region = one_region([key[0] for key in keys])
        return cls(region, how, tuple([(key[1], key[2]) for key in keys]), payload[:at])


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
        expect(payload, _REPLACED.size)
        customer, old, new = _REPLACED.unpack(payload)
        return cls(*customer_of(customer), old, new)


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
        expect(payload, _GENERATION.size)
        customer, generation = _GENERATION.unpack(payload)
        return cls(*customer_of(customer), generation)


def _pack_shred(entry: "Shred | ErasureWaits") -> bytes:
    head = _SHRED.pack(
        entry.shred_id,
        customer_key(entry.region, entry.customer_no),
        entry.principal_id,
        entry.values,
        entry.commitment,
        len(entry.generations),
    )
    return head + b"".join([each.to_bytes(2, "big") for each in entry.generations])


def _read_shred(payload: bytes) -> tuple[bytes, int, int, tuple[int, ...], int, bytes, int]:
    """The fields of a shred, in their order."""
    expect_at_least(payload, _SHRED.size)
    shred_id, customer, principal_id, values, commitment, count = _SHRED.unpack_from(payload)
    expect(payload, _SHRED.size + 2 * count)
    generations = struct.unpack_from(f">{count}H", payload, _SHRED.size)
    return shred_id, *customer_of(customer), generations, values, commitment, principal_id
