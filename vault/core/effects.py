"""What the ledger's entries do to the stores. Idempotent; used by the use cases and by recovery."""

from collections.abc import Sequence
from dataclasses import replace

from vault.core.aliases import Aliases
from vault.core.book import Book
from vault.core.consents import ConsentLedger
from vault.core.erasures import ERASURES, ErasureRow, Waiting
from vault.core.holding import changed_terms
from vault.core.opencustomer import OpenCustomer
from vault.core.rows import Rows
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Region
from vault.store.entries import ConsentEnded, ErasureWaits, Shred, TermsNarrowed, TokensEnded
from vault.store.layout import customer_key, value_key
from vault.store.session import WriteSession
from vault.store.sheet import SheetField

_UNREADABLE = (CustomerUnknownError, ShreddedError, DataLossError, IntegrityFailedError)


class Effects:
    """Applies ledger entries to the stores of one vault."""

    def __init__(self, *, book: Book, rows: Rows, aliases: Aliases, region: Region) -> None:
        self._book = book
        self._aliases = aliases
        self._rows = rows
        self._region = region
        self._consents = ConsentLedger(book, rows)

    def shred(
        self,
        session: WriteSession,
        seq: int,
        time_ms: int,
        entry: Shred,
        index_hash: bytes | None = None,
        surrogates: Sequence[bytes] = (),
        search: Sequence[bytes] = (),
    ) -> None:
        """Ends a customer.

        `index_hash`, those of its surrogates and its rows of table `search` spare scans of the index.

        Keyring first, by the order of commits: from then on no value can be opened again.
        """
        number = CustomerNo(entry.customer_no)
        for generation in session.generations(self._region, number):
            session.delete_dek(self._region, number, generation)
        if index_hash is None:
            session.index_delete_customer(self._region, number)
            session.surrogates_delete_customer(self._region, number)
            session.search_delete_customer(self._region, number)
        else:
            session.index_delete(index_hash)
            for keyed_hash in surrogates:
                session.surrogate_delete(keyed_hash)
            session.search_change(customer_key(self._region, number), search, ())
        if not self._book.is_shredded(session, number):
            session.delete_customer_values(self._region, number)
            session.delete_sheet(customer_key(self._region, number))
            session.delete_consents(customer_key(self._region, number))
            tombstone = self._book.tombstone(session, number, seq)
            session.put_value(value_key(self._region, number, CUSTOMER_ROW), tombstone.pack())
        row = ErasureRow.of(seq, time_ms, entry)
        self._rows.put(session, ERASURES, entry.shred_id, row.pack())

    def end_consent(self, session: WriteSession, entry: ConsentEnded) -> None:
        """Ends a consent whose end is not in the store, and adds the event of it."""
        try:
            self._consents.end(session, entry)
        except (CustomerUnknownError, ShreddedError):
            return  # gone altogether
        except (DataLossError, IntegrityFailedError):
            self._consents.end_without_sheet(session, entry)

    def delete_value(self, session: WriteSession, number: CustomerNo, value_no: int) -> None:
        """Turns a value into a tombstone, unless it is one or its customer is gone."""
        try:
            with self._book.open(session, session, number) as customer:
                held = customer.entry(value_no)
                if held is not None:
                    self.bury(session, customer, held)
        except (CustomerUnknownError, ShreddedError):
            return  # gone altogether, which is more than deleted
        except (DataLossError, IntegrityFailedError):
            # No tombstone can be sealed for a damaged customer: without its record the value is not
            # readable either, and the vault goes on writing.
            session.delete_value(value_key(self._region, number, value_no))

    def bury(self, session: WriteSession, customer: OpenCustomer, line: SheetField) -> None:
        """Turns a value into a tombstone, removes its aliases, and writes the customer back."""
        self._aliases.remove_those_of(session, customer, line.value_no, session.now_ms)
        self._book.bury(session, customer, line)

    def end_tokens(self, session: WriteSession, entry: TokensEnded, time_ms: int) -> None:
        """Ends issued tokens that were used or revoked, unless they have ended."""
        self._aliases.end(session, entry, time_ms)

    def narrow(self, session: WriteSession, entry: TermsNarrowed) -> None:
        """Sets or ends a restriction, hold or expiry; nothing, where there is nobody to open."""
        try:
            with self._book.open(session, session, CustomerNo(entry.customer_no)) as customer:
                customer.set_terms(changed_terms(customer.terms, entry, session.now_ms))
                self._book.save(session, customer)
                if customer.terms.erasure_pending:
                    self.note_kept(session, customer)
        except _UNREADABLE:
            return

    def wait(self, session: WriteSession, seq: int, time_ms: int, entry: ErasureWaits) -> None:
        """Closes a customer whose shred waits for a hold, and writes the erasure's row."""
        waiting = Waiting(entry.principal_id)
        try:
            with self._book.open(session, session, CustomerNo(entry.customer_no)) as customer:
                if customer.terms.shred_id != entry.shred_id:
                    customer.set_terms(replace(customer.terms, shred_id=entry.shred_id))
                    self._book.save(session, customer)
                waiting = Waiting.of(customer, entry.principal_id, session.now_ms)
        except _UNREADABLE:
            pass  # the row says that the erasure is not done, which is what matters
        self.note_waiting(session, seq, time_ms, entry, waiting)

    def note_waiting(
        self, session: WriteSession, seq: int, time_ms: int, entry: ErasureWaits, waiting: Waiting
    ) -> None:
        """Writes the row of an erasure that waits; of a further entry it keeps when it was asked for."""
        row = ErasureRow.of(seq, time_ms, entry, waiting)
        before = self._erasure(session, entry.shred_id)
        if before is not None:
            row = replace(row, ledger_seq=before.ledger_seq, effective_ms=before.effective_ms)
        self._rows.put(session, ERASURES, entry.shred_id, row.pack())

    def note_kept(self, session: WriteSession, customer: OpenCustomer) -> None:
        """Brings what the erasure's row says of holds up to date."""
        shred_id = customer.terms.shred_id
        row = self._erasure(session, shred_id)
        if row is None or row.waiting is None:
            return
        waiting = Waiting.of(customer, row.waiting.principal_id, session.now_ms)
        if waiting != row.waiting:
            self._rows.put(session, ERASURES, shred_id, replace(row, waiting=waiting).pack())

    def _erasure(self, session: WriteSession, shred_id: bytes) -> ErasureRow | None:
        body = self._rows.get(session, ERASURES, shred_id)
        return None if body is None else ErasureRow.unpack(body)
