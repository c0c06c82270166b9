"""Payloads on the vault itself, its names and its principals; `entries` has their layout."""

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from vault.store.entries.kinds import EntryType
from vault.store.entries.packing import expect

_RESTORED = struct.Struct(">BQ")
_NUMBERED = struct.Struct(">cI")


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
        expect(payload, 48)
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
        expect(payload, 9)
        return cls(payload[0], int.from_bytes(payload[1:], "big"))


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
        expect(payload, 8)
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
        expect(payload, 4)
        return cls(int.from_bytes(payload, "big"))


@dataclass(frozen=True, slots=True)
class NamesNumbered:
    """Numbers up to `up_to` were given to names of a kind (one byte: domain, field class or purpose)."""

    TYPE: ClassVar[EntryType] = EntryType.NAMES_NUMBERED
    kind: bytes
    up_to: int

    def pack(self) -> bytes:
        """5 bytes."""
        return _NUMBERED.pack(self.kind, self.up_to)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, _NUMBERED.size)
        return cls(*_NUMBERED.unpack(payload))


@dataclass(frozen=True, slots=True)
class Restored:
    """Data as of the ledger entry `copied_seq` was put back, and everything since was replayed onto it."""

    TYPE: ClassVar[EntryType] = EntryType.RESTORED
    incarnation: int
    copied_seq: int

    def pack(self) -> bytes:
        """9 bytes."""
        return _RESTORED.pack(self.incarnation, self.copied_seq)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, _RESTORED.size)
        return cls(*_RESTORED.unpack(payload))
