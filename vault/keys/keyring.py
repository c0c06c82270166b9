"""Wraps DEKs and the vault's own secrets under the epoch key (EDK).

DEK row (81 bytes):    version u8 = 1 | key check value 8 | nonce 24 | ciphertext 48
Secret row:            version u8 = 1 | key check value 8 | nonce 24 | ciphertext n + 16
Associated data:       vault id 16 | epoch u32 | "dek" | owner 8 | version | kcv
                       vault id 16 | epoch u32 | "secret" | name | version | kcv
The owner is region u8 | customer u40 | generation u16, as in the row's key.

Rules:
- A DEK travels from guarded memory to guarded memory; no `bytes` object ever holds one.
- The key check value (8 bytes of the KDF's output 255) lets a copy be verified without a record.
- Nonces are random: 192 bits make a repeat under one EDK negligible, also across restores.
"""

import hashlib
from typing import Final

from vault.crypto import hazmat, subkeys, suites
from vault.errors import IntegrityFailedError
from vault.model.ids import CustomerNo, Epoch, Generation, Region

_VERSION: Final = b"\x01"
_KCV: Final = slice(1, 9)
DEK_BYTES: Final = 32


class Keyring:
    """The EDK of one epoch at work. Thread-safe: it holds no state of a call."""

    def __init__(self, edk: hazmat.GuardedMemory, vault_id: bytes, epoch: Epoch) -> None:
        self._edk = edk.pointer(0)
        self.edk = edk  # also keeps the guarded memory alive
        self._prefix = vault_id + epoch.to_bytes(4, "big")
        self.epoch = epoch

    def wrap_dek(
        self, dek: hazmat.KeyPointer, region: Region, customer: CustomerNo, generation: Generation
    ) -> bytes:
        """The row of a DEK (32 bytes at `dek`)."""
        head = _VERSION + subkeys.key_check_value(dek)
        return head + hazmat.seal_secret_at(
            self._edk, dek, DEK_BYTES, self._dek_aad(region, customer, generation) + head
        )

    def unwrap_dek(
        self,
        row: bytes,
        region: Region,
        customer: CustomerNo,
        generation: Generation,
        destination: hazmat.KeyPointer,
    ) -> None:
        """Opens a DEK's row into guarded memory.

        Raises:
            IntegrityFailedError: the row is not this customer's, or was changed.
        """
        aad = self._dek_aad(region, customer, generation) + row[:9]
        hazmat.open_secret_to(self._edk, row[9:], aad, destination, DEK_BYTES)
        if subkeys.key_check_value(destination) != row[_KCV]:
            raise IntegrityFailedError

    def wrap_secret(self, name: str, secret: bytes) -> bytes:
        """The row of one of the vault's own secrets."""
        head = _VERSION + _secret_check(name, secret)
        return head + hazmat.seal(suites.XCHACHA20_POLY1305, self._edk, secret, self._secret_aad(name) + head)

    def unwrap_secret(self, name: str, row: bytes) -> bytes:
        """Opens a secret's row.

        Raises:
            IntegrityFailedError: the row is another secret's, or was changed.
        """
        aad = self._secret_aad(name) + row[:9]
        secret = hazmat.Opener().open(suites.XCHACHA20_POLY1305, self._edk, row[9:33], row[33:], aad)
        if _secret_check(name, secret) != row[_KCV]:
            raise IntegrityFailedError
        return secret

    def _dek_aad(self, region: Region, customer: CustomerNo, generation: Generation) -> bytes:
        owner = region << 56 | customer << 16 | generation
        return self._prefix + b"dek" + owner.to_bytes(8, "big")

    def _secret_aad(self, name: str) -> bytes:
        return self._prefix + b"secret" + name.encode()


def _secret_check(name: str, secret: bytes) -> bytes:
    # Keyed by the secret itself: says nothing about it that its 256 random bits do not hide.
    return hashlib.blake2b(
        name.encode(), digest_size=8, key=hashlib.sha256(secret).digest(), person=b"cv-secret-kcv"
    ).digest()
