"""One customer's DEK, opened in a slot of guarded memory for the length of a write or a slow read.

Slot (192 bytes): DEK | seal | row | fingerprint | sheet | audit subkeys, 32 bytes each. The subkeys
are derived when the slot is filled; the slot is zeroed when it is released.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vault.crypto import hazmat, subkeys
from vault.crypto.slots import SlotPool
from vault.keys.keyring import DEK_BYTES, Keyring
from vault.model.ids import CustomerNo, Generation, Region

SLOT_BYTES: Final = 192
_SEAL, _ROW, _FINGERPRINT, _SHEET, _AUDIT = 32, 64, 96, 128, 160


class OpenDek:
    """A DEK generation of one customer, usable until its context ends."""

    __slots__ = (
        "_audit",
        "_fingerprint",
        "_pool",
        "_row",
        "generation",
        "pointer",
        "seal_key",
        "sheet_key",
        "suite",
    )

    def __init__(self, pool: SlotPool, slot: int, generation: Generation, suite: int) -> None:
        self._pool = pool
        self.generation = generation
        self.suite = suite
        self.pointer: hazmat.KeyPointer = pool.pointer(slot)  # the DEK itself, for wrapping
        self.seal_key: hazmat.KeyPointer = pool.pointer(slot, _SEAL)  # of this handle's suite
        self._row = pool.pointer(slot, _ROW)
        self._fingerprint = pool.pointer(slot, _FINGERPRINT)
        self.sheet_key: hazmat.KeyPointer = pool.pointer(slot, _SHEET)
        self._audit = pool.pointer(slot, _AUDIT)
        subkeys.derive_seal_key(self.pointer, suite, self.seal_key)
        subkeys.derive_row_mac_key(self.pointer, self._row)
        subkeys.derive_fingerprint_key(self.pointer, self._fingerprint)
        subkeys.derive_sheet_key(self.pointer, self.sheet_key)
        subkeys.derive_locator_key(self.pointer, self._audit)

    def open_value(
        self, opener: hazmat.Opener, suite: int, nonce: bytes, ciphertext: bytes, aad: bytes
    ) -> bytes:
        """Opens a sealed value of this generation, whichever suite sealed it.

        Raises:
            IntegrityFailedError: the record was changed or is another's.
        """
        if suite == self.suite:
            return opener.open(suite, self.seal_key, nonce, ciphertext, aad)
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_seal_key(self.pointer, suite, key)
            return opener.open(suite, key, nonce, ciphertext, aad)
        finally:
            self._pool.release(slot)

    def row_mac(self, data: bytes) -> bytes:
        """MAC (16 bytes) of a customer row."""
        return hazmat.keyed_hash(self._row, data)

    def fingerprint(self, data: bytes) -> bytes:
        """Keyed hash (16 bytes) of a normalized value, for equality within this customer."""
        return hazmat.keyed_hash(self._fingerprint, data)

    def locator(self, customer_key: bytes) -> bytes:
        """The customer's name (16 bytes) in audit records."""
        return hazmat.keyed_hash(self._audit, customer_key)


class DekOpener:
    """Fills slots: with new DEKs, or with unwrapped ones."""

    def __init__(self, keyring: Keyring, pool: SlotPool, suite: int) -> None:
        self._keyring = keyring
        self._pool = pool
        self._suite = suite

    @contextmanager
    def new(self, generation: Generation) -> Iterator[OpenDek]:
        """A fresh random DEK, not yet wrapped."""
        slot = self._pool.acquire()
        try:
            hazmat.fill_random(self._pool.pointer(slot), DEK_BYTES)
            yield OpenDek(self._pool, slot, generation, self._suite)
        finally:
            self._pool.release(slot)

    @contextmanager
    def unwrap(
        self, row: bytes, region: Region, customer: CustomerNo, generation: Generation
    ) -> Iterator[OpenDek]:
        """The DEK of a keyring row.

        Raises:
            IntegrityFailedError: the row is not this customer's generation, or was changed.
        """
        slot = self._pool.acquire()
        try:
            self._keyring.unwrap_dek(row, region, customer, generation, self._pool.pointer(slot))
            yield OpenDek(self._pool, slot, generation, self._suite)
        finally:
            self._pool.release(slot)
