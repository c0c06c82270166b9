"""Payloads on what customers allow, and on how long; `entries` has their layout."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from vault.errors import IntegrityFailedError
from vault.store.entries.kinds import EntryType
from vault.store.entries.packing import (
    NO_REQUEST,
    customer_of,
    expect,
    expect_at_least,
    pack_texts,
    read_texts,
)
from vault.store.layout import customer_key

_NARROWED = struct.Struct(">6sBIQ")
_SCOPE = struct.Struct(">IB")
_CONSENT_ENDED = struct.Struct(">6sBIQ")


class TermsKind(IntEnum):
    """What a `TermsNarrowed` sets or ends; numbers are part of the format."""

    RESTRICTED = 1
    HELD = 2
    EXPIRING = 3
    ENDED = 4


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
        expect(payload, _CONSENT_ENDED.size)
        customer, ending, purpose, time_ms = _CONSENT_ENDED.unpack(payload)
        try:
            return cls(*customer_of(customer), Ending(ending), purpose, time_ms)
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
        return self.request + head + pack_texts(self.reference) + len(self.scopes).to_bytes(2, "big") + scopes

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Read a payload."""
        start = len(NO_REQUEST) + _NARROWED.size
        expect_at_least(payload, start + 4)
        customer, kind, number, until_ms = _NARROWED.unpack_from(payload, len(NO_REQUEST))
        text_end = start + 2 + int.from_bytes(payload[start : start + 2], "big")
        (reference,) = read_texts(payload[start:text_end], 1)
        count = int.from_bytes(payload[text_end : text_end + 2], "big")
        expect(payload, text_end + 2 + count * _SCOPE.size)
        try:
            known = TermsKind(kind)
        except ValueError as error:
            raise IntegrityFailedError from error
        scopes = tuple([(each[0], each[1]) for each in _SCOPE.iter_unpack(payload[text_end + 2 :])])
        return cls(
            *customer_of(customer), known, number, scopes, until_ms, reference, payload[: len(NO_REQUEST)]
        )
