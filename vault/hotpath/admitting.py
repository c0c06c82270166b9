"""Lets customers into the cache: a row that is new or has changed is verified before anything is opened.

Rules:
- The keyring is looked into once for a batch, after the batch's own snapshot began; anew only if a DEK is
  missing there.
- A missing DEK is judged under the write lock (`Judge`), for a shred may be half way through.
- A row that does not verify evicts the customer's key.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from vault.audit.records import reason_code
from vault.crypto.hazmat import Opener, constant_time_equal
from vault.errors import DataLossError, IntegrityFailedError, ShreddedError, VaultError
from vault.hotpath.dekcache import DekCache, KnownTerms
from vault.hotpath.situations import read_terms
from vault.policy.reads import row_place
from vault.store.layout import JURISDICTION_AT, ROW_MAC_BYTES, ROW_VALUE_NO, CustomerRow, RowFlag, RowState
from vault.store.snapshot import KeyringSnapshot, Snapshot
from vault.store.store import Store

Judge = Callable[[bytes], None]
"""Judges a customer (6 bytes) without a DEK under the write lock: raises ShreddedError or
DataLossError, or returns when the DEK is there after all."""


class StaleSnapshotError(Exception):
    """A generation that the snapshot shows was replaced and destroyed since: look again, newly."""


class BatchKeys:
    """The keyring as one batch sees it, opened when it is needed first."""

    __slots__ = ("_closing", "_reader", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing: AbstractContextManager[KeyringSnapshot] | None = None
        self._reader: KeyringSnapshot | None = None

    def dek(self, customer: bytes, generation: int) -> tuple[bytes, int] | None:
        """A wrapped DEK and the epoch of its keyring, or None."""
        if self._reader is None:
            self._closing = self._store.keyring()
            self._reader = self._closing.__enter__()
        found = self._reader.dek(customer[0], int.from_bytes(customer[1:], "big"), generation)
        return None if found is None else (found, self._reader.epoch)

    def close(self) -> None:
        """Gives the keyring back; `dek` opens it anew."""
        closing, self._closing, self._reader = self._closing, None, None
        if closing is not None:
            closing.__exit__(None, None, None)


class Admission:
    """Verifies customers' rows for one process."""

    def __init__(
        self,
        cache: DekCache,
        opener: Opener,
        vault_id: bytes,
        judge: Judge,
        tombstone_mac: Callable[[bytes], bytes],
    ) -> None:
        self._cache = cache
        self._opener = opener
        self._vault_id = vault_id
        self._judge = judge
        self._tombstone_mac = tombstone_mac

    def admit(self, customer: bytes, snapshot: Snapshot, keys: BatchKeys) -> int:
        """Lets a customer in with its row as it is now: 0, or the code of the reason why it is not.

        Raises:
            StaleSnapshotError: the snapshot is too old for its key.
        """
        try:
            self._verify(customer, snapshot, keys)
        except VaultError as error:
            self._cache.evict(customer)
            return reason_code(error.reason)
        return 0

    def _verify(self, customer: bytes, snapshot: Snapshot, keys: BatchKeys) -> None:
        row = snapshot.get(customer + ROW_VALUE_NO)
        if row is None:
            raise DataLossError("a genuine token's customer is missing from the store")
        parsed, mac = CustomerRow.unpack(row), row[-ROW_MAC_BYTES:]
        message = self._vault_id + customer + ROW_VALUE_NO + row[:-ROW_MAC_BYTES]
        if parsed.state == RowState.SHREDDED:
            if not constant_time_equal(self._tombstone_mac(message), mac):
                raise IntegrityFailedError
            raise ShreddedError("the customer was shredded")
        if parsed.state not in (RowState.ACTIVE, RowState.RESTRICTED):
            raise IntegrityFailedError
        cache = self._cache
        known = cache.find(customer)
        if known is None or known.generation != parsed.dek_generation:
            dek_row, epoch = self._dek_row(customer, parsed.dek_generation, keys)
            known = cache.admit(customer, parsed.dek_generation, dek_row, epoch)
        if not constant_time_equal(cache.row_mac(known, message), mac):
            raise IntegrityFailedError
        known.by_terms = bool(parsed.flags & RowFlag.SLOW_PATH)
        if known.by_terms:
            owner = self._vault_id, customer
            cache.terms[customer] = KnownTerms(
                read_terms(cache, known, self._opener, owner, parsed, snapshot)
            )
        else:
            cache.terms.pop(customer, None)
        known.row, known.serial, known.until_ms = row, 0, 0
        known.consents = 0 if known.by_terms else parsed.consents
        jurisdiction = row[JURISDICTION_AT : JURISDICTION_AT + 2]
        known.place = row_place(jurisdiction, parsed.state is RowState.RESTRICTED)
        cache.keep(customer, known)

    def _dek_row(self, customer: bytes, generation: int, keys: BatchKeys) -> tuple[bytes, int]:
        """A wrapped DEK, and the epoch of the keyring that it was read from."""
        found = keys.dek(customer, generation)
        if found is None:
            keys.close()
            found = keys.dek(customer, generation)
        if found is None:
            keys.close()
            self._judge(customer)
            found = keys.dek(customer, generation)
        if found is None:
            raise StaleSnapshotError
        return found
