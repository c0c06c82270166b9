"""A customer's rows as the next epoch is to hold them: the inner loop of a rotation.

Slot (96 bytes of guarded memory): DEK | sheet subkey | key of the new index.

Rules:
- One customer at a time, so one slot does for all: what each DEK needs is derived in place and overwritten by
  the next, without the bookkeeping of `DekOpener`. Whoever uses it does so from one thread at a time.
- A DEK is checked against its key check value when it is opened, and again when it is wrapped.
"""

from collections.abc import Sequence
from typing import Final

from vault.core.book import Book
from vault.core.indexkeys import external_hash, index_row
from vault.crypto import hazmat, subkeys
from vault.errors import IntegrityFailedError
from vault.keys.keyring import Keyring
from vault.model.ids import CustomerNo
from vault.store.layout import CUSTOMER_KEY_BYTES, customer_key, live_generation, split_dek_key
from vault.store.snapshot import KeyringReader, ValuesReader
from vault.store.staging import Changed, Row

_KEY_BYTES: Final = 32
_CUSTOMER_ROW: Final = bytes(3)  # its value number
_CHECK: Final = slice(1, 9)  # key check value within a wrapped DEK's row


class Rewrapping:
    """Takes customers from the keyring of one epoch to that of another."""

    def __init__(self, book: Book, old: Keyring, new: Keyring) -> None:
        self._book = book
        self._old, self._new = old, new
        self._memory = hazmat.GuardedMemory(3 * _KEY_BYTES)
        self._dek, self._sheet, self._index = [self._memory.pointer(n * _KEY_BYTES) for n in range(3)]
        self._opener = hazmat.Opener()

    def use_index_key(self, key: bytes) -> None:
        """Sets the key of the new index; before `carried`."""
        hazmat.load_key(self._index, key)

    def carried(self, reader: ValuesReader, customer: bytes, wrapped: Sequence[Row]) -> Changed:
        """A customer's wrapped DEKs and index rows in the new epoch: nothing, once it is shredded.

        Args:
            reader: of the same moment as the keyring that `wrapped` is from, or of a later one.
            customer: region and number, 6 bytes.
            wrapped: all of its rows in the old keyring.

        Raises:
            IntegrityFailedError: a row is damaged; DataLossError: the sheet is missing.
        """
        row = reader.get(customer + _CUSTOMER_ROW)
        current = live_generation(row) if row is not None else None
        if current is None:
            return customer, [], b"", [], []
        rows: list[Row] = []
        hashed, surrogates, search = b"", list[Row](), list[bytes]()
        for key, old in wrapped:
            names = split_dek_key(key)
            self._old.unwrap_dek(old, *names, self._dek)
            new = self._new.wrap_dek(self._dek, *names)
            if new[_CHECK] != old[_CHECK]:
                raise IntegrityFailedError
            rows.append((key, new))
            if names[2] == current:
                hashed, surrogates, search = self._indexed(reader, customer, names[1])
        return customer, rows, hashed, surrogates, search

    def verify(self, keys: KeyringReader, key: bytes, row: bytes) -> None:
        """Opens a row of the new keyring, and compares its key check value with the old one's.

        Raises:
            IntegrityFailedError: it does not open, or is another key.
        """
        names = split_dek_key(key)
        self._new.unwrap_dek(row, *names, self._dek)
        former = keys.dek(*names)
        # One that is gone was shredded or replaced meanwhile: the ledger names it.
        if former is not None and former[_CHECK] != row[_CHECK]:
            raise IntegrityFailedError

    def free(self) -> None:
        """Zeroes the slot and what was opened last."""
        self._opener.wipe()
        self._memory.free()

    def _indexed(
        self, reader: ValuesReader, customer: bytes, number: CustomerNo
    ) -> tuple[bytes, list[Row], list[bytes]]:
        book, key = self._book, self._index
        subkeys.derive_sheet_key(self._dek, self._sheet)
        external_id, surrogates, pairs = book.indexed(reader, number, self._sheet, self._opener)
        rows = [index_row(key, each, book.value_key(number, each.value_no)) for each in surrogates]
        search = book.search.rows_under(reader, key, customer, pairs)
        return external_hash(key, external_id), rows, search


def next_customers(keys: KeyringReader, region: int, after: int, limit: int) -> dict[bytes, list[Row]]:
    """The wrapped DEKs of customers with higher numbers, in order, of at most `limit` customers."""
    found: dict[bytes, list[Row]] = {}
    for each in keys.deks(customer_key(region, after + 1)):
        customer = each[0][:CUSTOMER_KEY_BYTES]
        if customer not in found:
            if len(found) == limit:
                break
            found[customer] = []
        found[customer].append(each)
    return found
