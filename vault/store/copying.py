"""Copies of environments: made while a vault is served, read without a lock, made fit to be opened again.

Rules:
- A copy is compact: it has no free pages, so nothing that was deleted is in it.
- A compact copy numbers its transactions anew, and the meta row names its own: `adopt_values` writes it.
- Reading a copy takes no lock and writes no file beside it, so it may lie on a medium that is read-only.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import lmdb

from vault.errors import IntegrityFailedError
from vault.store.environment import DATA_FILE, MAP_BYTES, Environment, translate, translated
from vault.store.epochs import keyring_path
from vault.store.files import VALUES
from vault.store.meta import META_KEY, Meta
from vault.store.snapshot import KEYRING_TABLES, VALUES_TABLES

Change = Callable[[Meta], None]


def copy_values(root: Path, target: Path, vault_id: bytes, open_already: Environment | None = None) -> Meta:
    """Copies the values of a vault, served or not, into the new directory `target`; returns their meta row.

    Args:
        root: the vault's directory.
        target: the copy's directory.
        vault_id: 16 bytes.
        open_already: the environment, if this process has it open: no process may have it open twice.
    """
    source = open_already or Environment(root / VALUES, VALUES_TABLES, read_only=True, readahead=True)
    try:
        source.copy(target)
    finally:
        if source is not open_already:
            source.close()
    return adopt_values(target, vault_id, lambda _: None)


def copy_keyring(root: Path, epoch: int, target: Path) -> None:
    """Copies the wrapped keys of an epoch, not open in this process, into the new directory `target`."""
    source = Environment(keyring_path(root, epoch), KEYRING_TABLES, read_only=True, readahead=True)
    try:
        source.copy(target)
    finally:
        source.close()


def adopt_values(path: Path, vault_id: bytes, change: Change) -> Meta:
    """Writes the meta row of a copy again, as of the copy's own transaction, after `change` saw it.

    Raises:
        IntegrityFailedError: there is no meta row, or it fails its checksum.
    """
    environment = Environment(path, VALUES_TABLES, read_only=False, readahead=False)
    try:
        environment.open_tables()
        table = environment.tables["meta"]
        with translated(path), environment.write() as transaction:
            row = transaction.get(META_KEY, db=table)
            if row is None:
                raise IntegrityFailedError
            meta = Meta.unpack(row, vault_id)
            change(meta)
            meta.transaction = transaction.id()
            transaction.put(META_KEY, meta.pack(vault_id), db=table)
    finally:
        environment.close()
    (path / "lock.mdb").unlink(missing_ok=True)
    return meta


class PlaneCopy:
    """One environment that nobody writes to, open for reading."""

    def __init__(self, path: Path, tables: tuple[str, ...]) -> None:
        """Opens `path`, a directory with an environment's file.

        Raises:
            IntegrityFailedError: the file is missing or damaged, or lacks a table.
        """
        self._path = path
        if not (path / DATA_FILE).is_file():
            raise IntegrityFailedError(file=DATA_FILE)
        with translated(path):
            self._env = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=len(tables), readonly=True, lock=False, create=False
            )
        try:
            self._tables = {name: self._env.open_db(name.encode(), create=False) for name in tables}
            self._transaction = self._env.begin()
        except lmdb.Error as error:
            self._env.close()
            if isinstance(error, lmdb.NotFoundError):
                raise IntegrityFailedError(file=DATA_FILE) from error
            raise translate(error, path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transaction.abort()
        self._env.close()
        if isinstance(error, lmdb.Error):
            raise translate(error, self._path) from error

    def rows(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Every row of a table, in the order of their keys."""
        yield from self._transaction.cursor(db=self._tables[table])

    def counts(self) -> dict[str, int]:
        """Rows by table, as the tables' heads say."""
        return {name: self._transaction.stat(table)["entries"] for name, table in self._tables.items()}

    def counted(self) -> dict[str, int]:
        """Rows by table, read one by one: it goes through every page."""
        return {name: sum(1 for _ in self.rows(name)) for name in self._tables}

    def meta(self, vault_id: bytes) -> Meta:
        """The meta row of values.

        Raises:
            IntegrityFailedError: it is missing, fails its checksum, or is of another transaction.
        """
        row = self._transaction.get(META_KEY, db=self._tables["meta"])
        if row is None:
            raise IntegrityFailedError
        meta = Meta.unpack(row, vault_id)
        if meta.transaction != self._transaction.id():
            raise IntegrityFailedError
        return meta
