"""One customer's DEK, opened in a slot of guarded memory for the length of a write or a slow read.

Slot (192 bytes): DEK | seal | row | fingerprint | sheet | audit subkeys, 32 bytes each. The subkeys
are derived when the slot is filled; the slot is zeroed when it is released.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from vault.crypto import hazmat, subkeys
from vault.crypto.slots import SlotPool
from vault.keys.keyring import DEK_BYTES
from vault.keys.keyrings import Keyrings
from vault.model.ids import CustomerNo, Generation, Region

SLOT_BYTES: Final = 192
_SEAL, _ROW, _FINGERPRINT, _SHEET, _AUDIT = 32, 64, 96, 128, 160


class SlotPointers(NamedTuple):
    """Where the keys of one slot lie."""

    dek: hazmat.KeyPointer
    seal: hazmat.KeyPointer
    row: hazmat.KeyPointer
    fingerprint: hazmat.KeyPointer
    sheet: hazmat.KeyPointer
    audit: hazmat.KeyPointer


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

    def __init__(self, pool: SlotPool, pointers: SlotPointers, generation: Generation, suite: int) -> None:
        self._pool = pool
        self.generation = generation
        self.suite = suite
        # The DEK itself, for wrapping, and the sealing key of this handle's suite.
        self.pointer, self.seal_key, self._row, self._fingerprint, self.sheet_key, self._audit = pointers
        subkeys.derive_all(
            self.pointer,
            suite,
            seal=self.seal_key,
            row_mac=self._row,
            fingerprint=self._fingerprint,
            sheet=self.sheet_key,
            locator=self._audit,
        )

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

    @contextmanager
    def consent_key(self) -> Iterator[hazmat.KeyPointer]:
        """The key of the customer's consent events, in a slot of its own until the context ends."""
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_consent_key(self.pointer, key)
            yield key
        finally:
            self._pool.release(slot)

    def row_mac(self, data: bytes) -> bytes:
        """MAC (16 bytes) of a customer row."""
        return hazmat.keyed_hash(self._row, data)

    def fingerprint(self, data: bytes) -> bytes:
        """Keyed hash (16 bytes) of a normalized value, for equality within this customer."""
        return hazmat.keyed_hash(self._fingerprint, data)

    def fingerprints(self, data: Sequence[bytes]) -> list[bytes]:
        """`fingerprint` of each."""
        return hazmat.keyed_hashes(self._fingerprint, data)

    def locator(self, customer_key: bytes) -> bytes:
        """The customer's name (16 bytes) in audit records."""
        return hazmat.keyed_hash(self._audit, customer_key)


class FreshDeks:
    """One slot for one new customer's DEK after the other, each overwriting the one before.

    Taking, zeroing and giving back a slot costs as much as filling it, and an import admits hundreds of
    customers one after the other.
    """

    __slots__ = ("_at", "_pool", "_suite")

    def __init__(self, pool: SlotPool, pointers: SlotPointers, suite: int) -> None:
        self._pool = pool
        self._at = pointers
        self._suite = suite

    @property
    def slot(self) -> hazmat.KeyPointer:
        """Where the slot begins, for compiled code that fills it as `next` does."""
        return self._at.dek

    def next(self, generation: Generation) -> OpenDek:
        """A fresh random DEK, not yet wrapped. The one given out before is no longer to be used."""
        hazmat.fill_random(self._at.dek, DEK_BYTES)
        return OpenDek(self._pool, self._at, generation, self._suite)


class NamingDek:
    """One slot for one customer's DEK after the other: who they are in the access log, and little else.

    For walking over all customers: a fifth of what `DekOpener.unwrap` costs. Every method is about the
    customer opened last.
    """

    __slots__ = ("_at", "_keyrings", "_opener")

    def __init__(self, keyrings: Keyrings, pointers: SlotPointers) -> None:
        self._keyrings = keyrings
        self._at = pointers
        self._opener = hazmat.Opener()

    def open(
        self, row: bytes, epoch: int, region: Region, customer: CustomerNo, generation: Generation
    ) -> None:
        """Opens the DEK of a row that was read from the keyring of `epoch`; raises as `DekOpener.unwrap`."""
        self._keyrings.at(epoch).unwrap_dek(row, region, customer, generation, self._at.dek)

    def locator(self, customer_key: bytes) -> bytes:
        """The customer's name (16 bytes) in audit records."""
        subkeys.derive_locator_key(self._at.dek, self._at.audit)
        return hazmat.keyed_hash(self._at.audit, customer_key)

    def row_mac(self, data: bytes) -> bytes:
        """MAC (16 bytes) of the customer's row."""
        subkeys.derive_row_mac_key(self._at.dek, self._at.row)
        return hazmat.keyed_hash(self._at.row, data)

    def sheet(self) -> tuple[hazmat.KeyPointer, hazmat.Opener]:
        """What opens the customer's sheet."""
        subkeys.derive_sheet_key(self._at.dek, self._at.sheet)
        return self._at.sheet, self._opener


class DekOpener:
    """Fills slots: with new DEKs, or with unwrapped ones."""

    def __init__(self, keyrings: Keyrings, pool: SlotPool, suite: int) -> None:
        self._keyrings = keyrings
        self._pool = pool
        self._suite = suite
        # Slabs stay where they are, so the pointers of a slot are made once.
        self._pointers: dict[int, SlotPointers] = {}

    def _pointers_of(self, slot: int) -> SlotPointers:
        pointers = self._pointers.get(slot)
        if pointers is None:
            offsets = (0, _SEAL, _ROW, _FINGERPRINT, _SHEET, _AUDIT)
            pointers = SlotPointers(*[self._pool.pointer(slot, offset) for offset in offsets])
            self._pointers[slot] = pointers
        return pointers

    @contextmanager
    def new(self, generation: Generation) -> Iterator[OpenDek]:
        """A fresh random DEK, not yet wrapped."""
        slot = self._pool.acquire()
        try:
            pointers = self._pointers_of(slot)
            hazmat.fill_random(pointers.dek, DEK_BYTES)
            yield OpenDek(self._pool, pointers, generation, self._suite)
        finally:
            self._pool.release(slot)

    @contextmanager
    def fresh(self) -> Iterator[FreshDeks]:
        """A slot for one new DEK after the other, zeroed at the end."""
        slot = self._pool.acquire()
        try:
            yield FreshDeks(self._pool, self._pointers_of(slot), self._suite)
        finally:
            self._pool.release(slot)

    @contextmanager
    def unwrap(
        self, row: bytes, epoch: int, region: Region, customer: CustomerNo, generation: Generation
    ) -> Iterator[OpenDek]:
        """The DEK of a row that was read from the keyring of `epoch`.

        Raises:
            KeyUnavailableError: this process does not hold that epoch's key.
            IntegrityFailedError: the row is not this customer's generation, or was changed.
        """
        slot = self._pool.acquire()
        try:
            pointers = self._pointers_of(slot)
            self._keyrings.at(epoch).unwrap_dek(row, region, customer, generation, pointers.dek)
            yield OpenDek(self._pool, pointers, generation, self._suite)
        finally:
            self._pool.release(slot)

    @contextmanager
    def naming(self) -> Iterator[NamingDek]:
        """A slot for walking over customers, zeroed at the end."""
        slot = self._pool.acquire()
        try:
            yield NamingDek(self._keyrings, self._pointers_of(slot))
        finally:
            self._pool.release(slot)
