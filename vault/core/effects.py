"""What the ledger's entries do to the stores. Idempotent; used by the use cases and by recovery."""

import struct
from dataclasses import dataclass
from typing import Final

from vault.core.book import Book
from vault.core.receipts import Receipts
from vault.core.rows import Rows
from vault.errors import CustomerUnknownError, DataLossError, IntegrityFailedError, ShreddedError
from vault.model.ids import CUSTOMER_ROW, CustomerNo, Region
from vault.store.entries import Shred
from vault.store.layout import customer_key, value_key
from vault.store.session import WriteSession

_ERASURE: Final = struct.Struct(">QQBIHH32s64s")
ERASURES: Final = "erasures"


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """A row of `erasures`, by shred id: what the receipt says, and the receipt.

    ledger_seq u64 | effective_ms u64 | region u8 | values u32 | generations u16 | key id length u16
    | commitment 32 | signature 64 | key id | statement
    """

    ledger_seq: int
    effective_ms: int
    region: int
    values: int
    generations: int
    commitment: bytes
    signature: bytes
    key_id: str
    statement: bytes

    def pack(self) -> bytes:
        """The row's body."""
        key_id = self.key_id.encode()
        head = _ERASURE.pack(
            self.ledger_seq,
            self.effective_ms,
            self.region,
            self.values,
            self.generations,
            len(key_id),
            self.commitment,
            self.signature,
        )
        return head + key_id + self.statement

    @classmethod
    def unpack(cls, body: bytes) -> "ErasureRow":
        """Reads a row's body."""
        seq, effective_ms, region, values, generations, length, commitment, signature = _ERASURE.unpack_from(
            body
        )
        end = _ERASURE.size + length
        key_id, statement = body[_ERASURE.size : end].decode(), body[end:]
        return cls(seq, effective_ms, region, values, generations, commitment, signature, key_id, statement)


class Effects:
    """Applies ledger entries to the stores of one vault."""

    def __init__(self, *, book: Book, rows: Rows, receipts: Receipts, region: Region) -> None:
        self._book = book
        self._rows = rows
        self._receipts = receipts
        self._region = region

    def shred(
        self, session: WriteSession, seq: int, time_ms: int, entry: Shred, index_hash: bytes | None = None
    ) -> ErasureRow:
        """Ends a customer. `index_hash` spares the scan for the customer's index row.

        Keyring first, by the order of commits: from then on no value can be opened again.
        """
        number = CustomerNo(entry.customer_no)
        for generation in session.generations(self._region, number):
            session.delete_dek(self._region, number, generation)
        if index_hash is None:
            session.index_delete_customer(self._region, number)
        else:
            session.index_delete(index_hash)
        if not self._book.is_shredded(session, number):
            session.delete_customer_values(self._region, number)
            session.delete_sheet(customer_key(self._region, number))
            tombstone = self._book.tombstone(session, number, seq)
            session.put_value(value_key(self._region, number, CUSTOMER_ROW), tombstone.pack())
        receipt = self._receipts.effective(session, seq, time_ms, entry)
        erasure = ErasureRow(
            ledger_seq=seq,
            effective_ms=time_ms,
            region=self._region,
            values=entry.values,
            generations=len(entry.generations),
            commitment=entry.commitment,
            signature=receipt.signature,
            key_id=receipt.key_id,
            statement=receipt.statement,
        )
        self._rows.put(session, ERASURES, entry.shred_id, erasure.pack())
        return erasure

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
