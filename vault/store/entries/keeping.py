"""Payloads on epochs, root keys, keyring copies and the signing key; `entries` has their layout."""

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from vault.store.entries.kinds import EntryType
from vault.store.entries.packing import expect, expect_at_least, pack_texts, read_texts

_ATTEMPT = struct.Struct(">II")
_ENDED = struct.Struct(">QQ")
_VERIFIED = struct.Struct(">IQ")
_UNKNOWN_MS = 2**64 - 1


@dataclass(frozen=True, slots=True)
class EpochIntent:
    """A root key is about to be created; recorded first, so that no abandoned one is forgotten."""

    TYPE: ClassVar[EntryType] = EntryType.EPOCH_INTENT
    epoch: int
    attempt: int
    root_key_id: str
    provider: str = ""

    def pack(self) -> bytes:
        """8 bytes and two texts."""
        return _ATTEMPT.pack(self.epoch, self.attempt) + pack_texts(self.root_key_id, self.provider)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect_at_least(payload, _ATTEMPT.size)
        epoch, attempt = _ATTEMPT.unpack_from(payload)
        root_key_id, provider = read_texts(payload[_ATTEMPT.size :], 2)
        return cls(epoch, attempt, root_key_id, provider)


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
        expect(payload, 4)
        return cls(int.from_bytes(payload, "big"))


@dataclass(frozen=True, slots=True)
class EpochAbandoned:
    """An attempt at an epoch was given up; no process holds its key any more."""

    TYPE: ClassVar[EntryType] = EntryType.EPOCH_ABANDONED
    epoch: int
    attempt: int

    def pack(self) -> bytes:
        """8 bytes."""
        return _ATTEMPT.pack(self.epoch, self.attempt)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, _ATTEMPT.size)
        return cls(*_ATTEMPT.unpack(payload))


@dataclass(frozen=True, slots=True)
class RootKeyEnding:
    """The provider was told to destroy a root key; it says that this holds from `holds_from_ms` on."""

    TYPE: ClassVar[EntryType] = EntryType.ROOT_KEY_ENDING
    root_key_id: str
    holds_from_ms: int

    def pack(self) -> bytes:
        """8 bytes and a text."""
        return self.holds_from_ms.to_bytes(8, "big") + pack_texts(self.root_key_id)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect_at_least(payload, 8)
        (root_key_id,) = read_texts(payload[8:], 1)
        return cls(root_key_id, int.from_bytes(payload[:8], "big"))


@dataclass(frozen=True, slots=True)
class RootKeyEnded:
    """The provider confirmed that a root key is gone; `backups_ms` is how long its own backups outlive it."""

    TYPE: ClassVar[EntryType] = EntryType.ROOT_KEY_ENDED
    root_key_id: str
    holds_from_ms: int
    assurance: str
    evidence: str
    retention: str
    backups_ms: int | None

    def pack(self) -> bytes:
        """16 bytes and four texts."""
        backups = _UNKNOWN_MS if self.backups_ms is None else self.backups_ms
        texts = pack_texts(self.root_key_id, self.assurance, self.evidence, self.retention)
        return _ENDED.pack(self.holds_from_ms, backups) + texts

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect_at_least(payload, _ENDED.size)
        holds_from_ms, backups = _ENDED.unpack_from(payload)
        root_key_id, assurance, evidence, retention = read_texts(payload[_ENDED.size :], 4)
        backups_ms = None if backups == _UNKNOWN_MS else backups
        return cls(root_key_id, holds_from_ms, assurance, evidence, retention, backups_ms)


@dataclass(frozen=True, slots=True)
class KeyringCopied:
    """A copy of an epoch's keyring was made; it dies with the epoch's root key."""

    TYPE: ClassVar[EntryType] = EntryType.KEYRING_COPIED
    epoch: int

    def pack(self) -> bytes:
        """4 bytes."""
        return self.epoch.to_bytes(4, "big")

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, 4)
        return cls(int.from_bytes(payload, "big"))


@dataclass(frozen=True, slots=True)
class KeyringVerified:
    """Every key in a copy of an epoch's keyring was opened; `copied_seq` is the entry that named the copy."""

    TYPE: ClassVar[EntryType] = EntryType.KEYRING_VERIFIED
    epoch: int
    copied_seq: int

    def pack(self) -> bytes:
        """12 bytes."""
        return _VERIFIED.pack(self.epoch, self.copied_seq)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, _VERIFIED.size)
        return cls(*_VERIFIED.unpack(payload))


@dataclass(frozen=True, slots=True)
class SigningKeyChanged:
    """The vault has another signing key, from the next entry on."""

    TYPE: ClassVar[EntryType] = EntryType.SIGNING_KEY_CHANGED
    public_key: bytes

    def pack(self) -> bytes:
        """32 bytes."""
        return self.public_key

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        expect(payload, 32)
        return cls(payload)
