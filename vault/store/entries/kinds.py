"""What kinds of entries there are, and what their payloads offer."""

from enum import IntEnum
from typing import ClassVar, Protocol


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


class Payload(Protocol):
    """What every payload offers."""

    TYPE: ClassVar[EntryType]

    def pack(self) -> bytes:
        """The payload's bytes."""
