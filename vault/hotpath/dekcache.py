"""The DEK cache of a serving process.

Slot (64 bytes of guarded memory): DEK | sealing subkey of the configured suite.

Rules:
- An entry also keeps the last verified bytes of its customer row: a hot read compares them to the
  row it just read, and only a difference costs a MAC. A shred changes the row, so no entry outlives it.
- What the row says to decisions is worked out when it is verified: `place` and `consents` (`policy.reads`).
  Of a row that does not tell all (SLOW_PATH) the terms are kept, `consents` is 0, and a batch sets `place`.
- The owner serializes all use (one batch at a time): a slot is never recycled while a batch uses it.
- Bounded in bytes. Eviction is a clock over insertion order: an entry used since the hand last
  passed gets a second round.
- A released slot is zeroed at once.
"""

from collections.abc import Callable
from typing import Final

from vault.crypto import hazmat, subkeys
from vault.crypto.slots import SlotPool
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.keys.keyrings import Keyrings
from vault.model.ids import CustomerNo, Generation, Region
from vault.model.situation import Situation
from vault.policy.reads import row_place
from vault.store.layout import JURISDICTION_AT, CustomerRow, RowState
from vault.store.sheet import SealedSheet, sheet_aad
from vault.store.terms import Terms

SLOT_BYTES: Final = 64
_SPARE_SLOTS: Final = 4  # for subkeys of the moment

Derive = Callable[[hazmat.KeyPointer, hazmat.KeyPointer], None]


class CachedDek:
    """One customer's key and verified row. `seal` points into guarded memory, at `address`."""

    __slots__ = (
        "address",
        "consents",
        "generation",
        "locator",
        "place",
        "placed",
        "row",
        "seal",
        "situations",
        "slot",
        "terms",
        "used",
    )

    def __init__(
        self, slot: int, seal: hazmat.KeyPointer, generation: int, row: bytes, locator: bytes
    ) -> None:
        self.slot = slot
        self.seal = seal
        self.address = hazmat.address_of(seal)
        self.generation = generation
        self.row = row
        self.locator = locator
        self.used = True
        self.place = self.consents = 0
        self.terms: Terms | None = None
        self.situations: dict[int, tuple[Situation, int]] = {}  # by purpose: what it is, and until when
        self.placed = (0, 0)  # the decisions that `place` is for, and until when it holds

    def verified(self, row: bytes, parsed: CustomerRow, terms: Terms | None) -> None:
        """Takes over a row whose MAC was verified, with the terms that a decision has to look at."""
        self.row, self.terms, self.situations = row, terms, {}
        self.placed = (0, 0)
        jurisdiction = row[JURISDICTION_AT : JURISDICTION_AT + 2]
        self.place = row_place(jurisdiction, parsed.state is RowState.RESTRICTED)
        self.consents = 0 if terms is not None else parsed.consents


class DekCache:
    """Maps region | customer_no (6 bytes) to an open DEK."""

    def __init__(self, keyrings: Keyrings, max_bytes: int, suite: int) -> None:
        self._keyrings = keyrings
        self._pool = SlotPool(SLOT_BYTES, max_bytes)
        self._suite = suite
        self._entries: dict[bytes, CachedDek] = {}
        self.get = self._entries.get
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, customer: bytes, generation: int, dek_row: bytes, epoch: int) -> CachedDek:
        """Unwraps a DEK, its row read from the keyring of `epoch`, into the cache.

        The caller then verifies the customer row and sets `row`.

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
        except BaseException:
            self._pool.release(slot)
            raise
        entry = CachedDek(slot, seal, generation, b"", locator)
        self._entries[customer] = entry
        return entry

    def row_mac(self, entry: CachedDek, data: bytes) -> bytes:
        """MAC of a customer row under the entry's DEK."""
        return self._keyed(self._pool.pointer(entry.slot), subkeys.derive_row_mac_key, data)

    def open_other_suite(
        self, entry: CachedDek, opener: hazmat.Opener, suite: int, nonce: bytes, ciphertext: bytes, aad: bytes
    ) -> bytes:
        """Opens a record whose suite is not the cached one.

        Raises:
            IntegrityFailedError: the record was changed or is another's.
        """
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_seal_key(self._pool.pointer(entry.slot), suite, key)
            return opener.open(suite, key, nonce, ciphertext, aad)
        finally:
            self._pool.release(slot)

    def open_sheet(
        self, entry: CachedDek, opener: hazmat.Opener, vault_id: bytes, customer: bytes, sealed: bytes
    ) -> bytes:
        """The plaintext of a customer's sheet.

        Raises:
            IntegrityFailedError: the sheet was changed or is another's.
        """
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            subkeys.derive_sheet_key(self._pool.pointer(entry.slot), key)
            sheet = SealedSheet.unpack(sealed)
            aad = sheet_aad(vault_id, customer, sheet.header())
            return opener.open(XCHACHA20_POLY1305, key, sheet.nonce, sheet.ciphertext, aad)
        finally:
            self._pool.release(slot)

    def evict(self, customer: bytes) -> None:
        """Zeroes and forgets one customer's DEK, if held."""
        entry = self._entries.pop(customer, None)
        if entry is not None:
            self._pool.release(entry.slot)

    def clear(self) -> None:
        """Zeroes everything."""
        for customer in list(self._entries):
            self.evict(customer)

    def close(self) -> None:
        """Zeroes everything and gives the guarded memory back."""
        self.clear()
        self._pool.close()

    def _make_room(self) -> None:
        wanted = max(1, len(self._entries) // 32)
        for customer, entry in list(self._entries.items()):
            if entry.used:
                entry.used = False
                del self._entries[customer]  # to the end of the clock
                self._entries[customer] = entry
                continue
            self.evict(customer)
            wanted -= 1
            if wanted == 0:
                return
        for customer in list(self._entries)[:wanted]:
            self.evict(customer)

    def _keyed(self, dek: hazmat.KeyPointer, derive: Derive, data: bytes) -> bytes:
        slot = self._pool.acquire()
        try:
            key = self._pool.pointer(slot)
            derive(dek, key)
            return hazmat.keyed_hash(key, data)
        finally:
            self._pool.release(slot)
