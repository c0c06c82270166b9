"""What the ledger's entries do to the stores. Idempotent; used by the use cases and by recovery."""

from collections.abc import Sequence

from vault.core.book import Book
from vault.core.erasures import ERASURES, ErasureRow
from vault.core.rows import Rows
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Region
from vault.store.entries import Shred
from vault.store.layout import customer_key, value_key
from vault.store.session import WriteSession


class Effects:
    """Applies ledger entries to the stores of one vault."""

    def __init__(self, *, book: Book, rows: Rows, region: Region) -> None:
        self._book = book
        self._rows = rows
        self._region = region

    def shred(
        self,
        session: WriteSession,
        seq: int,
        time_ms: int,
        entry: Shred,
        index_hash: bytes | None = None,
        surrogates: Sequence[bytes] = (),
    ) -> None:
        """Ends a customer. `index_hash` and those of its surrogates spare the scan for its index rows.

        Keyring first, by the order of commits: from then on no value can be opened again.
        """
        number = CustomerNo(entry.customer_no)
        for generation in session.generations(self._region, number):
            session.delete_dek(self._region, number, generation)
        if index_hash is None:
            session.index_delete_customer(self._region, number)
            session.surrogates_delete_customer(self._region, number)
        else:
            session.index_delete(index_hash)
            for keyed_hash in surrogates:
                session.surrogate_delete(keyed_hash)
        if not self._book.is_shredded(session, number):
            session.delete_customer_values(self._region, number)
            session.delete_sheet(customer_key(self._region, number))
            tombstone = self._book.tombstone(session, number, seq)
            session.put_value(value_key(self._region, number, CUSTOMER_ROW), tombstone.pack())
        row = ErasureRow.of(seq, time_ms, entry)
        self._rows.put(session, ERASURES, entry.shred_id, row.pack())

    def delete_value(self, session: WriteSession, number: CustomerNo, value_no: int) -> None:
        """Turns a value into a tombstone, unless it is one or its customer is gone."""
        try:
            with self._book.open(session, session, number) as customer:
                held = customer.entry(value_no)
                if held is not None:
                    self._book.bury(session, customer, held)
        except (CustomerUnknownError, ShreddedError):
            return  # gone altogether, which is more than deleted
        except (DataLossError, IntegrityFailedError):
            # No tombstone can be sealed for a damaged customer: without its record the value is not
            # readable either, and the vault goes on writing.
            session.delete_value(value_key(self._region, number, value_no))
