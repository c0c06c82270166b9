"""Puts and deletes of a write session, and which planes they touched.

Iterators must be read to their end before the same table is written: make a list first.
"""

from collections.abc import Iterable, Sequence

import lmdb

from vault.errors import IntegrityFailedError
from vault.store.layout import CUSTOMER_KEY_BYTES, customer_key, dek_key
from vault.store.snapshot import KeyringReader, ValuesReader

_CUSTOMER_ROW = bytes(3)
Rows = Sequence[tuple[bytes, bytes]]
"""Keys and rows, in the order of the keys."""


class PlaneWriter(ValuesReader, KeyringReader):
    """The writing half of a session: every table of every plane, nothing durable before the commit."""

    def __init__(self) -> None:
        self.writes = 0  # changes so far, those of rows and those of the ledger
        self._values_changed = False
        self._keyring_changed = False
        self._index_changed = False

    def put_value(self, key: bytes, row: bytes) -> None:
        """Writes a value record or a customer row at a value key (9 bytes)."""
        self._transaction.put(key, row, db=self._tables["values"])
        self._values_changed = True
        self.writes += 1

    def put_customers(self, values: Rows, sheets: Rows, deks: Rows, external: Rows) -> None:
        """Writes new customers at once: rows and value records, sheets, wrapped DEKs, rows of the index.

        Each is key and row, as for `put_value`, `put_sheet`, `put_dek` (key of 8 bytes) and `index_put`.

        Raises:
            IntegrityFailedError: one of them has a DEK already.
        """
        deks_table, tables = self._keyring_tables["deks"], self._tables
        if self._keyring.cursor(db=deks_table).putmulti(deks, overwrite=False)[1] != len(deks):
            raise IntegrityFailedError
        self._index.cursor(db=self._external).putmulti(external)
        self._transaction.cursor(db=tables["values"]).putmulti(values)
        self._transaction.cursor(db=tables["sheets"]).putmulti(sheets)
        self._values_changed = self._keyring_changed = self._index_changed = True
        self.writes += len(values) + len(sheets) + len(deks) + len(external)

    def delete_value(self, key: bytes) -> bool:
        """Removes a row at a value key; returns whether it was there."""
        return self.delete_row("values", key)

    def put_sheet(self, customer: bytes, row: bytes) -> None:
        """Writes the sealed sheet of a customer (key of 6 bytes)."""
        self.put_row("sheets", customer, row)

    def delete_sheet(self, customer: bytes) -> bool:
        """Removes a customer's sheet; returns whether it was there."""
        return self.delete_row("sheets", customer)

    def put_row(self, table: str, key: bytes, value: bytes) -> None:
        """Writes a row of any table of `values` but `meta`, which is `WriteSession.meta`."""
        self._transaction.put(key, value, db=self._writable(table))
        self._values_changed = True
        self.writes += 1

    def delete_row(self, table: str, key: bytes) -> bool:
        """Removes a row of any table of `values`; returns whether it was there."""
        deleted = self._transaction.delete(key, db=self._writable(table))
        self._values_changed = self._values_changed or deleted
        self.writes += deleted
        return deleted

    def delete_customer_values(self, region: int, customer_no: int) -> int:
        """Removes a customer's value records, tombstones of deleted values included; the customer row stays.

        Returns how many records were removed.
        """
        keys = [key for key, _ in self.scan_customer(region, customer_no)]
        return sum([self.delete_value(key) for key in keys if key[CUSTOMER_KEY_BYTES:] != _CUSTOMER_ROW])

    def delete_consents(self, customer: bytes) -> int:
        """Removes every consent event of a customer (6 bytes); returns how many."""
        keys = [key for key, _ in self.consents_of(customer)]
        return sum([self.delete_row("consents", key) for key in keys])

    def put_dek(
        self, region: int, customer_no: int, generation: int, row: bytes, overwrite: bool = False
    ) -> bool:
        """Writes a wrapped DEK; without `overwrite`, returns False and writes nothing if there is one."""
        written = self._keyring.put(
            dek_key(region, customer_no, generation),
            row,
            overwrite=overwrite,
            db=self._keyring_tables["deks"],
        )
        return self._keyring_write(written)

    def delete_dek(self, region: int, customer_no: int, generation: int) -> bool:
        """Removes a wrapped DEK; returns whether it was there."""
        key = dek_key(region, customer_no, generation)
        return self._keyring_write(self._keyring.delete(key, db=self._keyring_tables["deks"]))

    def put_secret(self, name: str, row: bytes) -> None:
        """Writes a wrapped secret of the vault."""
        self._keyring_write(self._keyring.put(name.encode(), row, db=self._keyring_tables["secrets"]))

    def delete_secret(self, name: str) -> bool:
        """Removes a wrapped secret; returns whether it was there."""
        return self._keyring_write(self._keyring.delete(name.encode(), db=self._keyring_tables["secrets"]))

    def index_put(self, keyed_hash: bytes, customer: bytes) -> None:
        """Points a keyed hash (16 bytes) at a customer (key of 6 bytes)."""
        self._index_write(self._index.put(keyed_hash, customer, db=self._external))

    def index_delete(self, keyed_hash: bytes) -> bool:
        """Removes a row of the index; returns whether it was there."""
        return self._index_write(self._index.delete(keyed_hash, db=self._external))

    def index_delete_customer(self, region: int, customer_no: int) -> int:
        """Removes every index row of a customer, by a scan of the whole index; returns how many."""
        customer = customer_key(region, customer_no)
        found = [keyed_hash for keyed_hash, owner in self.index_rows() if owner == customer]
        return sum([self.index_delete(keyed_hash) for keyed_hash in found])

    def surrogate_put(self, keyed_hash: bytes, value: bytes) -> None:
        """Points a surrogate's keyed hash (16 bytes) at a value (key of 9 bytes).

        The customer is noted with the number of this session's commit, for a rotation that is under way.
        """
        self._index_write(self._index.put(keyed_hash, value, db=self._index_tables["surrogates"]))
        self._note_change(value[:CUSTOMER_KEY_BYTES])

    def surrogate_delete(self, keyed_hash: bytes) -> bool:
        """Removes a surrogate's row; returns whether it was there."""
        return self._index_write(self._index.delete(keyed_hash, db=self._index_tables["surrogates"]))

    def note_index_change(self, customer: bytes) -> None:
        """Notes that a customer (6 bytes) lost rows of the index, for a rotation that is under way."""
        change = self._transaction.id().to_bytes(8, "big") + customer
        self._index_write(self._index.put(change, b"", db=self._index_tables["changes"]))

    def surrogates_delete_customer(self, region: int, customer_no: int) -> int:
        """Removes every surrogate of a customer, by a scan of all surrogates; returns how many."""
        customer = customer_key(region, customer_no)
        found = [keyed_hash for keyed_hash, value in self.surrogates() if value.startswith(customer)]
        return sum([self.surrogate_delete(keyed_hash) for keyed_hash in found])

    def search_change(
        self, customer: bytes, gone: Iterable[bytes], made: Iterable[bytes], *, note: bool = True
    ) -> None:
        """Removes and adds rows (23 bytes) of a customer (6 bytes) in table `search`.

        Noted for a rotation that is under way, as in `surrogate_put`; a new customer needs no `note`.
        """
        table, changed = self._index_tables["search"], False
        for row in gone:
            changed |= self._index_write(self._index.delete(row, db=table))
        for row in made:
            changed |= self._index_write(self._index.put(row, b"", overwrite=False, db=table))
        if changed and note:
            self._note_change(customer)

    def search_delete_customer(self, region: int, customer_no: int) -> None:
        """Removes every row of a customer in table `search`, by a scan of all of them."""
        customer = customer_key(region, customer_no)
        self.search_change(customer, [row for row in self.search_rows() if row.endswith(customer)], ())

    def _note_change(self, customer: bytes) -> None:
        change = self._transaction.id().to_bytes(8, "big") + customer
        self._index_write(self._index.put(change, b"", db=self._index_tables["changes"]))

    @property
    def _external(self) -> "lmdb._Database":
        return self._index_tables["external"]

    def _writable(self, table: str) -> "lmdb._Database":
        if table == "meta":
            raise ValueError("the meta row is written by the commit")
        return self._tables[table]

    def _keyring_write(self, changed: bool) -> bool:
        self._keyring_changed = self._keyring_changed or changed
        self.writes += changed
        return changed

    def _index_write(self, changed: bool) -> bool:
        self._index_changed = self._index_changed or changed
        self.writes += changed
        return changed
