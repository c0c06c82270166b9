"""The keyring and index of an epoch that is being made, before any process uses them.

Their one writer is the rotation, so their write transactions begin without the vault's write lock: nobody
else waits for them. Every method commits, and a commit is durable.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vault.errors import IntegrityFailedError
from vault.store.environment import DATA_FILE, Environment, translated
from vault.store.epochs import create_epoch, index_path, keyring_path
from vault.store.files import remove_gradually, sync_directory
from vault.store.hashnotes import HashNotes
from vault.store.searchnotes import SearchNotes
from vault.store.snapshot import INDEX_TABLES, KEYRING_TABLES
from vault.store.surrogatenotes import SurrogateNotes

if TYPE_CHECKING:
    import lmdb

_GENERATIONS = 2**16

Row = tuple[bytes, bytes]
Changed = tuple[bytes, Sequence[Row], bytes, Sequence[Row], Sequence[bytes]]
"""A customer (6 bytes), its wrapped DEKs, its index hash, index rows of its surrogates, its rows in table
`search`; none of them for one that was shredded."""


class NextEpoch:
    """Two environments under construction, and what is noted for the index beside them."""

    def __init__(self, root: Path, epoch: int) -> None:
        """Opens what `create` made."""
        self.epoch = epoch
        with translated(root):
            path = keyring_path(root, epoch)
            self._keyring = Environment(path, KEYRING_TABLES, read_only=False, readahead=True)
            path = index_path(root, epoch)
            self._index = Environment(path, INDEX_TABLES, read_only=False, readahead=False)
            self._keyring.open_tables()
            self._index.open_tables()
        self._hashes = HashNotes(index_path(root, epoch) / "hashes")
        self._surrogates = SurrogateNotes(index_path(root, epoch) / "surrogates")
        self._search = SearchNotes(index_path(root, epoch) / "search")
        self._closed = False

    @classmethod
    def create(cls, root: Path, epoch: int) -> Self:
        """Makes both, empty, and opens them."""
        create_epoch(root, epoch)
        return cls(root, epoch)

    def put_deks(self, rows: Sequence[Row]) -> None:
        """Appends wrapped DEKs: pairs of a key (8 bytes) and a row, ascending and behind all that are there.

        Raises:
            IntegrityFailedError: they are not.
        """
        with translated(self._keyring.path), self._keyring.write() as transaction:
            cursor = transaction.cursor(db=self._keyring.tables["deks"])
            if cursor.putmulti(rows, append=True) != (len(rows), len(rows)):
                raise IntegrityFailedError

    def put_secrets(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Writes wrapped secrets of the vault, by name."""
        table = self._keyring.tables["secrets"]
        with translated(self._keyring.path), self._keyring.write() as transaction:
            for name, row in rows:
                transaction.put(name.encode(), row, db=table)

    def note_hashes(self, first: int, hashes: Sequence[bytes]) -> None:
        """Notes the index hashes of customers `first`, `first` + 1, ...; empty ones for those without."""
        self._hashes.note(first, hashes)

    def note_surrogates(self, rows: Sequence[Row]) -> None:
        """Notes the index rows of surrogates; customers ascend from call to call."""
        self._surrogates.note(rows)

    def note_search(self, rows: Sequence[bytes]) -> None:
        """Notes rows of table `search`; customers ascend from call to call."""
        self._search.note_keys(list(rows))

    def fill_index(self, region: int) -> None:
        """Writes what is noted into the index in its order, which makes it small and quick to write."""
        self._hashes.fill(self._index, region)
        self._surrogates.fill(self._index)
        self._search.fill(self._index)

    def replace_customers(self, changed: Sequence[Changed]) -> None:
        """Makes customers what they have become since they were copied."""
        with translated(self._keyring.path), self._keyring.write() as transaction:
            table = self._keyring.tables["deks"]
            cursor = transaction.cursor(db=table)
            for customer, deks, _, _, _ in changed:
                while cursor.set_range(customer) and cursor.key().startswith(customer):
                    cursor.delete()
                for key, row in deks:
                    transaction.put(key, row, db=table)
        with translated(self._index.path), self._index.write() as transaction:
            table = self._index.tables["external"]
            for customer, _, hashed, surrogates, search in changed:
                number = int.from_bytes(customer[1:], "big")
                former = self._hashes.at(number)
                if former:
                    transaction.delete(former, db=table)
                if hashed:
                    transaction.put(hashed, customer, db=table)
                self.note_hashes(number, [hashed])
                self._replace_surrogates(transaction, customer, surrogates)
                self._replace_search(transaction, customer, search)

    def _replace_surrogates(
        self, transaction: "lmdb.Transaction[bytes]", customer: bytes, rows: Sequence[Row]
    ) -> None:
        table = self._index.tables["surrogates"]
        for keyed_hash in self._surrogates.of(customer):
            if (transaction.get(keyed_hash, db=table) or b"").startswith(customer):
                transaction.delete(keyed_hash, db=table)
        for keyed_hash, value in rows:
            transaction.put(keyed_hash, value, db=table)
        self._surrogates.add(customer, [keyed_hash for keyed_hash, _ in rows])

    def _replace_search(
        self, transaction: "lmdb.Transaction[bytes]", customer: bytes, rows: Sequence[bytes]
    ) -> None:
        table = self._index.tables["search"]
        for row in self._search.of(customer):
            transaction.delete(row, db=table)
        for row in rows:
            transaction.put(row, b"", db=table)
        self._search.add(customer, rows)

    def deks(self, start: bytes = b"", limit: int = 2**31) -> list[Row]:
        """Wrapped DEKs from `start` on, at most `limit`."""
        with translated(self._keyring.path), self._keyring.read() as transaction:
            cursor = transaction.cursor(db=self._keyring.tables["deks"])
            if not (cursor.set_range(start) if start else cursor.first()):
                return []
            return [row for row, _ in zip(cursor.iternext(), range(limit), strict=False)]

    def deks_of(self, customers: Sequence[bytes]) -> list[Row]:
        """The wrapped DEKs of some customers (6 bytes each)."""
        found = []
        for customer in customers:
            rows = self.deks(customer, _GENERATIONS)
            found += [row for row in rows if row[0].startswith(customer)]
        return found

    def counts(self) -> tuple[int, int]:
        """Rows of wrapped DEKs, and of the index."""
        return self._keyring.entries()["deks"], self._index.entries()["external"]

    def finish(self) -> None:
        """Drops the notes and closes; everything is durable."""
        self.close()
        self._hashes.path.unlink()
        self._surrogates.path.unlink()
        self._search.path.unlink()
        sync_directory(self._hashes.path.parent)

    def close(self) -> None:
        """Closes both environments; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._hashes.close()
        self._surrogates.close()
        self._search.close()
        self._keyring.close()
        self._index.close()


def fill_new_index(
    root: Path, epoch: int, region: int, notes: HashNotes, others: Sequence[SurrogateNotes]
) -> None:
    """Fills the empty index of an epoch that no process has open."""
    path = index_path(root, epoch)
    index = Environment(path, INDEX_TABLES, read_only=False, readahead=False)
    try:
        index.open_tables()
        notes.fill(index, region)
        for each in others:
            each.fill(index)
    finally:
        index.close()


def discard_epoch(root: Path, epoch: int) -> None:
    """Removes the keyring and index of an epoch, durably; ones that are not there count as removed.

    No process may have them open.
    """
    for path in (keyring_path(root, epoch), index_path(root, epoch)):
        if path.exists():
            if (path / DATA_FILE).exists():
                remove_gradually(path / DATA_FILE)
            shutil.rmtree(path)
            sync_directory(path.parent)


def epochs_present(root: Path) -> list[int]:
    """Epochs of which a keyring or an index is there, ascending."""
    found = {
        int(each.name)
        for plane in (keyring_path(root, 0).parent, index_path(root, 0).parent)
        if plane.is_dir()
        for each in plane.iterdir()
        if each.name.isdigit()
    }
    return sorted(found)
