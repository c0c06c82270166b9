"""Sealing and opening of single value records outside the hot path. Layout: `store.layout`."""

from vault.crypto import hazmat
from vault.crypto.suites import suite_of_record
from vault.errors import IntegrityFailedError
from vault.keys.opendek import OpenDek
from vault.store.layout import HEADER


def seal_record(
    dek: OpenDek,
    suite: int,
    owner: bytes,
    field_class: int,
    plaintext: bytes,
    *,
    version: int,
    flags: int = 0,
    expires_s: int = 0,
) -> bytes:
    """A value record: header | nonce | ciphertext.

    Args:
        dek: the customer's open DEK; its suite must be `suite`.
        suite: number of the AEAD.
        owner: vault id | key of the record, bound as associated data with the header.
        field_class: number of the field class.
        plaintext: the value in UTF-8; empty for the tombstone of a deleted value.
        version: counts rectifications, from 1.
        flags: see `store.layout`.
        expires_s: seconds since 1970, 0 for never.
    """
    header = HEADER.pack(suite, field_class, flags, version, dek.generation, expires_s)
    return header + hazmat.seal(suite, dek.seal_key, plaintext, owner + header)


def first_header(suite: int, field_class: int, generation: int) -> bytes:
    """The header of a new value's record: of version 1, without flags and end."""
    return HEADER.pack(suite, field_class, 0, 1, generation, 0)


def open_record(dek: OpenDek, opener: hazmat.Opener, owner: bytes, record: bytes) -> bytes:
    """The plaintext of a value record.

    Raises:
        IntegrityFailedError: the record was changed, moved, or is of another DEK generation.
    """
    if len(record) < HEADER.size:
        raise IntegrityFailedError
    suite = suite_of_record(record[0])
    header = record[: HEADER.size]
    if HEADER.unpack(header)[4] != dek.generation:
        raise IntegrityFailedError
    end = HEADER.size + suite.nonce_bytes
    return dek.open_value(opener, suite.number, record[HEADER.size : end], record[end:], owner + header)
