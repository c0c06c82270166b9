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
     9 EPOCH_INTENT          epoch u32 | attempt u32 | text, root key id | text, provider
    10 EPOCH_CURRENT         epoch u32
    11 PRINCIPAL_REVOKED     principal_id u32
    12 EPOCH_ABANDONED       epoch u32 | attempt u32: that attempt's keyring was given up and removed
    13 ROOT_KEY_ENDING       holds_from_ms u64 | text, root key id: its destruction was asked for
    14 ROOT_KEY_ENDED        holds_from_ms u64 | backups_ms u64 (all ones: nobody knows) | text, root key id
                             | text, assurance | text, evidence | text, retention
    15 RESTORED              incarnation u8 | copied_seq u64: data of an earlier moment was put back
    16 KEYRING_COPIED        epoch u32: a copy of its keyring was made
    17 KEYRING_VERIFIED      epoch u32 | copy u64, its entry KEYRING_COPIED: every key in that copy was opened
    18 NAMES_NUMBERED        kind u8 | up_to u32: names of this kind ("d", "f", "p") have numbers up to that
    19 TERMS_NARROWED        request 32 | customer | kind u8 | id u32 | until_ms u64 | text, reference
                             | n u16 | n x (purpose u32 | field_class u8); 0 = every, every, no end
                             kind: 1 restricted, 2 held, 3 expiring (at until_ms), 4 ended, which names an id
    20 CONSENT_ENDED         customer | ending u8 (see `Ending`) | purpose u32 | time_ms u64
    21 SIGNING_KEY_CHANGED   public key 32 (Ed25519): verifies the entries after this one
    22 ERASURE_WAITS         as SHRED: a shred that waits for a legal hold. values: all that are to go;
                             generations: those that open what went already
    23 TOKENS_ENDED          request 32 | how u8 | n u32 | n x value: issued tokens that were used (how 2) or
                             revoked (3); no restore makes them usable again

A text is n u16 and n bytes of UTF-8.

Every `unpack` raises `IntegrityFailedError` for bytes that `pack` cannot have produced.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, Self

from vault.errors import IntegrityFailedError, StorageFormatError
from vault.store.aliases import AliasState
from vault.store.layout import CUSTOMER_KEY_BYTES, VALUE_KEY_BYTES, customer_key, split_value_key, value_key

_SHRED = struct.Struct(">16s6sII32sH")
_REPLACED = struct.Struct(">6sHH")
_GENERATION = struct.Struct(">6sH")
_ATTEMPT = struct.Struct(">II")
_ENDED = struct.Struct(">QQ")
_RESTORED = struct.Struct(">BQ")
_NARROWED = struct.Struct(">6sBIQ")
_SCOPE = struct.Struct(">IB")
_VERIFIED = struct.Struct(">IQ")
_NUMBERED = struct.Struct(">cI")
_CONSENT_ENDED = struct.Struct(">6sBIQ")
_UNKNOWN_MS = 2**64 - 1

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
    EPOCH_ABANDONED = 12
    ROOT_KEY_ENDING = 13
    ROOT_KEY_ENDED = 14
    RESTORED = 15
    KEYRING_COPIED = 16
    KEYRING_VERIFIED = 17
    NAMES_NUMBERED = 18
    TERMS_NARROWED = 19
    CONSENT_ENDED = 20
    SIGNING_KEY_CHANGED = 21
    ERASURE_WAITS = 22
    TOKENS_ENDED = 23


class TermsKind(IntEnum):
    """What a `TermsNarrowed` sets or ends; numbers are part of the format."""

    RESTRICTED = 1
    HELD = 2
    EXPIRING = 3
    ENDED = 4


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
    provider: str = ""

    def pack(self) -> bytes:
        """8 bytes and two texts."""
        return _ATTEMPT.pack(self.epoch, self.attempt) + _texts(self.root_key_id, self.provider)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, _ATTEMPT.size)
        epoch, attempt = _ATTEMPT.unpack_from(payload)
        root_key_id, provider = _read_texts(payload[_ATTEMPT.size :], 2)
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
        _expect(payload, _ATTEMPT.size)
        return cls(*_ATTEMPT.unpack(payload))


@dataclass(frozen=True, slots=True)
class RootKeyEnding:
    """The provider was told to destroy a root key; it says that this holds from `holds_from_ms` on."""

    TYPE: ClassVar[EntryType] = EntryType.ROOT_KEY_ENDING
    root_key_id: str
    holds_from_ms: int

    def pack(self) -> bytes:
        """8 bytes and a text."""
        return self.holds_from_ms.to_bytes(8, "big") + _texts(self.root_key_id)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, 8)
        (root_key_id,) = _read_texts(payload[8:], 1)
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
        texts = _texts(self.root_key_id, self.assurance, self.evidence, self.retention)
        return _ENDED.pack(self.holds_from_ms, backups) + texts

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect_at_least(payload, _ENDED.size)
        holds_from_ms, backups = _ENDED.unpack_from(payload)
        root_key_id, assurance, evidence, retention = _read_texts(payload[_ENDED.size :], 4)
        backups_ms = None if backups == _UNKNOWN_MS else backups
        return cls(root_key_id, holds_from_ms, assurance, evidence, retention, backups_ms)


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
        _expect(payload, _RESTORED.size)
        return cls(*_RESTORED.unpack(payload))


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
        _expect(payload, 4)
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
        _expect(payload, _VERIFIED.size)
        return cls(*_VERIFIED.unpack(payload))


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
        _expect(payload, _NUMBERED.size)
        return cls(*_NUMBERED.unpack(payload))


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
        _expect(payload, 32)
        return cls(payload)


class Ending(IntEnum):
    """How a consent ended; numbers are part of the format."""

    WITHDRAWN = 1
    REFUSED = 2
    OBJECTED = 3


@dataclass(frozen=True, slots=True)
class ConsentEnded:
    """A customer withdrew, refused or objected; no restore may bring the consent back."""

    TYPE: ClassVar[EntryType] = EntryType.CONSENT_ENDED
    region: int
    customer_no: int
    ending: Ending
    purpose: int
    time_ms: int

    def pack(self) -> bytes:
        """19 bytes."""
        customer = customer_key(self.region, self.customer_no)
        return _CONSENT_ENDED.pack(customer, self.ending, self.purpose, self.time_ms)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        _expect(payload, _CONSENT_ENDED.size)
        customer, ending, purpose, time_ms = _CONSENT_ENDED.unpack(payload)
        try:
            return cls(*_customer(customer), Ending(ending), purpose, time_ms)
        except ValueError as error:
            raise IntegrityFailedError from error


@dataclass(frozen=True, slots=True)
class TermsNarrowed:
    """A restriction, legal hold or expiry of a customer, set or ended; no restore undoes it.

    Attributes:
        id: of what is set or ended; unique within the customer.
        scopes: pairs of purpose and field class; 0 stands for every one. A hold has no purpose.
        until_ms: when it ends by itself, 0 for never; of an expiry, when it begins.
    """

    TYPE: ClassVar[EntryType] = EntryType.TERMS_NARROWED
    region: int
    customer_no: int
    kind: TermsKind
    id: int
    scopes: tuple[tuple[int, int], ...] = ()
    until_ms: int = 0
    reference: str = ""
    request: bytes = NO_REQUEST

    def pack(self) -> bytes:
        """55 bytes, a text, and 5 for each scope."""
        head = _NARROWED.pack(
            customer_key(self.region, self.customer_no), self.kind, self.id, self.until_ms
        )  # fmt: skip
        scopes = b"".join([_SCOPE.pack(*each) for each in self.scopes])
        return self.request + head + _texts(self.reference) + len(self.scopes).to_bytes(2, "big") + scopes

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        start = len(NO_REQUEST) + _NARROWED.size
        _expect_at_least(payload, start + 4)
        customer, kind, number, until_ms = _NARROWED.unpack_from(payload, len(NO_REQUEST))
        text_end = start + 2 + int.from_bytes(payload[start : start + 2], "big")
        (reference,) = _read_texts(payload[start:text_end], 1)
        count = int.from_bytes(payload[text_end : text_end + 2], "big")
        _expect(payload, text_end + 2 + count * _SCOPE.size)
        try:
            known = TermsKind(kind)
        except ValueError as error:
            raise IntegrityFailedError from error
        scopes = tuple([(each[0], each[1]) for each in _SCOPE.iter_unpack(payload[text_end + 2 :])])
        return cls(
            *_customer(customer), known, number, scopes, until_ms, reference, payload[: len(NO_REQUEST)]
        )


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
        _expect_at_least(payload, at + 1)
        try:
            how = AliasState(payload[at])
        except ValueError as error:
            raise IntegrityFailedError from error
        keys = [split_value_key(row) for row in _rows(payload[at + 1 :], VALUE_KEY_BYTES)]
        region = _one_region([key[0] for key in keys])
        return cls(region, how, tuple([(key[1], key[2]) for key in keys]), payload[:at])


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
    | EpochAbandoned
    | RootKeyEnding
    | RootKeyEnded
    | Restored
    | KeyringCopied
    | TermsNarrowed
    | ErasureWaits
    | KeyringVerified
    | NamesNumbered
    | SigningKeyChanged
    | ConsentEnded
    | TokensEnded
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
        EpochAbandoned,
        RootKeyEnding,
        RootKeyEnded,
        Restored,
        KeyringCopied,
        TermsNarrowed,
        ErasureWaits,
        KeyringVerified,
        NamesNumbered,
        SigningKeyChanged,
        ConsentEnded,
        TokensEnded,
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
    _expect_at_least(payload, _SHRED.size)
    shred_id, customer, principal_id, values, commitment, count = _SHRED.unpack_from(payload)
    _expect(payload, _SHRED.size + 2 * count)
    generations = struct.unpack_from(f">{count}H", payload, _SHRED.size)
    return shred_id, *_customer(customer), generations, values, commitment, principal_id


def _texts(*texts: str) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join([len(each).to_bytes(2, "big") + each for each in encoded])


def _read_texts(content: bytes, count: int) -> list[str]:
    """Exactly so many texts, to the last byte."""
    texts, at = [], 0
    for _ in range(count):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if len(content) < end or end < at + 2:
            raise IntegrityFailedError
        try:
            texts.append(content[at + 2 : end].decode())
        except UnicodeDecodeError as error:
            raise IntegrityFailedError from error
        at = end
    _expect(content, at)
    return texts


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
