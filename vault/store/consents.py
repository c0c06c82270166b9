"""Rows of table `consents`: a customer's consent events, each sealed under a subkey of its DEK. Big-endian.

    key 10    region u8 | customer_no u40 | seq u32, from 1
    row       version u8 = 1 | dek_generation u16 | nonce 24 | ciphertext and tag 16
    AAD       vault_id 16 | "consent" | key 10 | the row's first 3 bytes

The plaintext is the event (`vault.consent.events`). How many there are, and the hash of the last, stands in
the customer's terms.
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from vault.errors import IntegrityFailedError
from vault.store.layout import CUSTOMER_KEY_BYTES, customer_key

TABLE: Final = "consents"
KEY_BYTES: Final = 10
HEAD: Final = struct.Struct(">BH")
FORMAT: Final = 1
_NONCE_BYTES: Final = 24
_TAG_BYTES: Final = 16


def consent_key(region: int, customer_no: int, seq: int) -> bytes:
    """Key of one event: 10 bytes."""
    return customer_key(region, customer_no) + seq.to_bytes(4, "big")


def seq_of(key: bytes) -> int:
    """The number of the event at a key."""
    if len(key) != KEY_BYTES:
        raise IntegrityFailedError
    return int.from_bytes(key[CUSTOMER_KEY_BYTES:], "big")


def consent_aad(vault_id: bytes, key: bytes, head: bytes) -> bytes:
    """Associated data of an event."""
    return vault_id + b"consent" + key + head


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """A row of the table."""

    dek_generation: int
    nonce: bytes
    ciphertext: bytes

    def header(self) -> bytes:
        """The first 3 bytes of the row, authenticated with it."""
        return HEAD.pack(FORMAT, self.dek_generation)

    def pack(self) -> bytes:
        """Header, nonce, ciphertext."""
        return self.header() + self.nonce + self.ciphertext

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Splits a row; raises `IntegrityFailedError` for one of another format."""
        sealed_at = HEAD.size + _NONCE_BYTES
        if len(row) < sealed_at + _TAG_BYTES or row[0] != FORMAT:
            raise IntegrityFailedError
        _, generation = HEAD.unpack_from(row)
        return cls(generation, row[HEAD.size : sealed_at], row[sealed_at:])
