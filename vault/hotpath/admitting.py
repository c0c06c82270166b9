"""Lets customers into the cache: a row that is new or has changed is verified before anything is opened.

Rules:
- A missing DEK is judged under the write lock (`Judge`), for a shred may be half way through.
- A row that does not verify evicts the customer's key.
"""

from collections.abc import Callable

from vault.audit.records import reason_code
from vault.crypto.hazmat import Opener, constant_time_equal
from vault.errors import DataLossError, IntegrityFailedError, ShreddedError, VaultError
from vault.hotpath.dekcache import DekCache, KnownTerms
from vault.hotpath.situations import read_terms
from vault.policy.reads import row_place
from vault.store.layout import JURISDICTION_AT, ROW_MAC_BYTES, CustomerRow, RowFlag, RowState
from vault.store.snapshot import Snapshot
from vault.store.store import Store

_ROW = bytes(3)  # value_no of the customer row

Judge = Callable[[bytes], None]
"""Judges a customer (6 bytes) without a DEK under the write lock: raises ShreddedError or
DataLossError, or returns when the DEK is there after all."""


class StaleSnapshotError(Exception):
    """A generation that the snapshot shows was replaced and destroyed since: look again, newly."""


class Admission:
    """Verifies customers' rows for one process."""

    def __init__(
        self,
        store: Store,
        cache: DekCache,
        opener: Opener,
        vault_id: bytes,
        judge: Judge,
        tombstone_mac: Callable[[bytes], bytes],
    ) -> None:
        self._store = store
        self._cache = cache
        self._opener = opener
        self._vault_id = vault_id
        self._judge = judge
        self._tombstone_mac = tombstone_mac

    def admit(self, customer: bytes, snapshot: Snapshot) -> int:
        """Lets a customer in with its row as it is now: 0, or the code of the reason why it is not.

        Raises:
            StaleSnapshotError: the snapshot is too old for its key.
        """
        try:
            self._verify(customer, snapshot)
        except VaultError as error:
            self._cache.evict(customer)
            return reason_code(error.reason)
        return 0

    def _verify(self, customer: bytes, snapshot: Snapshot) -> None:
        row = snapshot.get(customer + _ROW)
        if row is None:
            raise DataLossError("a genuine token's customer is missing from the store")
        parsed, mac = CustomerRow.unpack(row), row[-ROW_MAC_BYTES:]
        message = self._vault_id + customer + _ROW + row[:-ROW_MAC_BYTES]
        if parsed.state == RowState.SHREDDED:
            if not constant_time_equal(self._tombstone_mac(message), mac):
                raise IntegrityFailedError
            raise ShreddedError("the customer was shredded")
        if parsed.state not in (RowState.ACTIVE, RowState.RESTRICTED):
            raise IntegrityFailedError
        cache = self._cache
        known = cache.find(customer)
        if known is None or known.generation != parsed.dek_generation:
            dek_row, epoch = self._dek_row(customer, parsed.dek_generation)
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

    def _dek_row(self, customer: bytes, generation: int) -> tuple[bytes, int]:
        """A wrapped DEK, and the epoch of the keyring that it was read from."""
        for judged in (False, True):
            with self._store.keyring() as keyring:
                found = keyring.dek(customer[0], int.from_bytes(customer[1:], "big"), generation)
            if found is not None:
                return found, keyring.epoch
            if not judged:
                self._judge(customer)
        raise StaleSnapshotError
