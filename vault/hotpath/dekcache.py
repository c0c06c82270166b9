"""The DEK cache of a serving process.

Slot (64 bytes of guarded memory): DEK | sealing subkey of the configured suite. What else is known of a
customer is kept beside the loop (`known`), which also says who is given up when the slots are used up.

Rules:
- The owner serializes all use (one batch at a time): a slot is never recycled while a batch uses it.
- Bounded in bytes of guarded memory.
- A released slot is zeroed at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vault.crypto import hazmat, subkeys
from vault.crypto.slots import SlotPool
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.hotpath.known import Customers, Known
from vault.keys.keyrings import Keyrings
from vault.model.ids import CustomerNo, Generation, Region
from vault.model.situation import Situation
from vault.store.sheet import SealedSheet, sheet_aad
from vault.store.terms import Terms

SLOT_BYTES: Final = 64
_SPARE_SLOTS: Final = 4  # for subkeys of the moment

Derive = Callable[[hazmat.KeyPointer, hazmat.KeyPointer], None]


@dataclass(slots=True)
class KnownTerms:
    """The terms of one customer, and what they were found to amount to."""

    terms: Terms
    situations: dict[int, tuple[Situation, int]] = field(default_factory=dict)
    """By purpose: what it is, and until when (ms since 1970; 0 for always)."""


class DekCache:
    """Maps region | customer_no (6 bytes) to an open DEK."""

    def __init__(self, keyrings: Keyrings, max_bytes: int, suite: int, customers: Customers) -> None:
        self._keyrings = keyrings
        self._pool = SlotPool(SLOT_BYTES, max_bytes)
        self._suite = suite
        self._customers = customers
        self.find = customers.find
        self.keep = customers.keep
        self.terms: dict[bytes, KnownTerms] = {}
        """Of the customers whose terms decide."""
        self.misses = 0
        self._scratch: hazmat.KeyPointer | None = None

    def __len__(self) -> int:
        return len(self._customers)

    def admit(self, customer: bytes, generation: int, dek_row: bytes, epoch: int) -> Known:
        """Unwraps a DEK, its row read from the keyring of `epoch`, into the cache.

        No row is verified with it yet, so it lets no read pass: the caller verifies one, and keeps it.

        Raises:
            IntegrityFailedError: the keyring row is not this customer's generation, or was changed.
        """
        self.misses += 1
        self.evict(customer)
        if self._pool.in_use >= self._pool.capacity - _SPARE_SLOTS:
            self._make_room()
        slot = self._pool.acquire()
        try:
            dek, seal = self._pool.pointer(slot), self._pool.pointer(slot, 32)
            region, number = Region(customer[0]), CustomerNo(int.from_bytes(customer[1:], "big"))
            self._keyrings.at(epoch).unwrap_dek(dek_row, region, number, Generation(generation), dek)
            subkeys.derive_seal_key(dek, self._suite, seal)
            locator = self._keyed(dek, subkeys.derive_locator_key, customer)
            known = Known(slot, hazmat.address_of(seal), generation, locator)
            self._customers.keep(customer, known)
        except BaseException:
            self._pool.release(slot)
            raise
        return known

    def row_mac(self, known: Known, data: bytes) -> bytes:
        """MAC of a customer row under the customer's DEK."""
        return self._keyed(self._pool.pointer(known.slot), subkeys.derive_row_mac_key, data)

    def open(
        self, known: Known, opener: hazmat.Opener, suite: int, nonce: bytes, ciphertext: bytes, aad: bytes
    ) -> bytes:
        """Opens a record of any suite.

        Raises:
            IntegrityFailedError: the record was changed or is another's.
        """
        if suite == self._suite:
            return opener.open(suite, self._pool.pointer(known.slot, 32), nonce, ciphertext, aad)
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_seal_key(self._pool.pointer(known.slot), suite, key)
            return opener.open(suite, key, nonce, ciphertext, aad)
        finally:
            self._pool.release(slot)

    def open_sheet(
        self, known: Known, opener: hazmat.Opener, vault_id: bytes, customer: bytes, sealed: bytes
    ) -> bytes:
        """The plaintext of a customer's sheet.

        Raises:
            IntegrityFailedError: the sheet was changed or is another's.
        """
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_sheet_key(self._pool.pointer(known.slot), key)
            sheet = SealedSheet.unpack(sealed)
            aad = sheet_aad(vault_id, customer, sheet.header())
            return opener.open(XCHACHA20_POLY1305, key, sheet.nonce, sheet.ciphertext, aad)
        finally:
            self._pool.release(slot)

    def evict(self, customer: bytes) -> None:
        """Zeroes and forgets one customer's DEK, if held."""
        known = self._customers.find(customer)
        if known is not None:
            self._customers.forget(customer)
            self.terms.pop(customer, None)
            self._pool.release(known.slot)

    def clear(self) -> None:
        """Zeroes everything."""
        while (customer := self._customers.oldest()) is not None:
            self.evict(customer)

    def close(self) -> None:
        """Zeroes everything and gives the guarded memory back."""
        self.clear()
        self._scratch = None
        self._pool.close()

    def _make_room(self) -> None:
        for _ in range(max(1, len(self) // 32)):
            customer = self._customers.oldest()
            if customer is None:
                return
            self.evict(customer)

    def _keyed(self, dek: hazmat.KeyPointer, derive: Derive, data: bytes) -> bytes:
        """A hash of `data` under a subkey, which stands in the scratch slot meanwhile."""
        if self._scratch is None:
            self._scratch = self._pool.pointer(self._pool.acquire())
        derive(dek, self._scratch)
        try:
            return hazmat.keyed_hash(self._scratch, data)
        finally:
            hazmat.wipe(self._scratch)
