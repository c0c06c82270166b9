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

from vault.errors import StorageFormatError
from vault.store.entries.agreeing import ConsentEnded, Ending, TermsKind, TermsNarrowed
from vault.store.entries.erasing import (
    ErasureWaits,
    GenerationReplaced,
    GenerationShredded,
    Shred,
    TokensEnded,
    ValuesCorrected,
    ValuesDeleted,
)
from vault.store.entries.founding import (
    Genesis,
    NamesNumbered,
    NumbersReserved,
    PrincipalRevoked,
    Restored,
    Void,
)
from vault.store.entries.keeping import (
    EpochAbandoned,
    EpochCurrent,
    EpochIntent,
    KeyringCopied,
    KeyringVerified,
    RootKeyEnded,
    RootKeyEnding,
    SigningKeyChanged,
)
from vault.store.entries.kinds import EntryType, Payload
from vault.store.entries.packing import NO_REQUEST

__all__ = [
    "NO_REQUEST",
    "AnyPayload",
    "ConsentEnded",
    "Ending",
    "EntryType",
    "EpochAbandoned",
    "EpochCurrent",
    "EpochIntent",
    "ErasureWaits",
    "GenerationReplaced",
    "GenerationShredded",
    "Genesis",
    "KeyringCopied",
    "KeyringVerified",
    "NamesNumbered",
    "NumbersReserved",
    "Payload",
    "PrincipalRevoked",
    "Restored",
    "RootKeyEnded",
    "RootKeyEnding",
    "Shred",
    "SigningKeyChanged",
    "TermsKind",
    "TermsNarrowed",
    "TokensEnded",
    "ValuesCorrected",
    "ValuesDeleted",
    "Void",
    "unpack_payload",
]

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
