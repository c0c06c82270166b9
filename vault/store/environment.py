"""Opens LMDB environments and turns LMDB's errors into the vault's.

Rules:
- Every environment is opened with a map far beyond any disk and never resized: resizing under a live reader
  kills the process. Never `writemap` (a full disk is then SIGBUS) and never without sync.
- An environment is opened once per process: LMDB's locks belong to (process, file).
- Tables are opened inside a write transaction that this module begins itself, since a handle opened in a
  read transaction is lost with it, and LMDB's own shortcut waits for the write lock while holding the GIL.
- A read transaction pins pages: keep it short.
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb

from vault.errors import (
    IntegrityFailedError,
    OverloadedError,
    StorageFormatError,
    StorageFullError,
    StorageStoppedError,
    VaultError,
)
from vault.store.files import sync_directory, sync_file

MAP_BYTES = 8 << 40
# Later than the first environments; made where missing.
ADDED_TABLES = frozenset({"surrogates", "changes", "search"})
MAX_READERS = 4096
DATA_FILE = "data.mdb"
_SPARE_TRANSACTIONS = 16
_MAX_TABLES = 16
_FULL_BELOW_BYTES = 1 << 20
_META_READS = 3
_TRANSACTION_AT = 144  # mm_txnid in a meta page of LMDB 0.9, 64 bit: page header 16, 128 of MDB_meta

Rows = Mapping[str, Mapping[bytes, bytes]]
"""Rows by table."""
_DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)


@dataclass(frozen=True, slots=True)
class ReaderSlot:
    """A read transaction of some process; `behind` counts the commits since its snapshot, 0 when idle."""

    plane: str
    pid: int
    behind: int


class Environment:
    """One plane: an LMDB environment and its tables. Not for use outside this package."""

    def __init__(self, path: Path, tables: Sequence[str], *, read_only: bool, readahead: bool) -> None:
        """Opens an existing environment; its tables are open once `open_tables` was called.

        Raises:
            IntegrityFailedError: the environment is missing, or its file is damaged.
            StorageFormatError: it was written by another version of LMDB.
        """
        self.path = path
        self.read_only = read_only
        self.tables: dict[str, lmdb._Database] = {}
        self._names = tuple(tables)
        if not (path / DATA_FILE).is_file():
            raise IntegrityFailedError(plane=path.name)
        with translated(path):
            self._env = _open(path, read_only=read_only, readahead=readahead)
            if not _meta_pages_agree(path, self._env.stat()["psize"]):
                self._env.close()
                raise IntegrityFailedError(plane=path.name)

    @classmethod
    def create(cls, path: Path, tables: Sequence[str], rows: Rows | None = None) -> None:
        """Makes an environment (directory 0700, files 0600) with its tables and first rows, and closes it."""
        path.mkdir(mode=0o700, parents=True)
        with translated(path):
            env = _open(path, read_only=False, readahead=False)
            try:
                with env.begin(write=True) as transaction:
                    for name in tables:
                        table = env.open_db(name.encode(), txn=transaction)
                        for key, row in (rows or {}).get(name, {}).items():
                            transaction.put(key, row, db=table)
            finally:
                env.close()
        sync_directory(path)

    def open_tables(self, transaction: "lmdb.Transaction[bytes] | None" = None) -> None:
        """Opens the tables, in a write transaction of the caller's or of its own; in none if read-only.

        A read-only environment is without those of `ADDED_TABLES` that it lacks.

        The handles last once that transaction has been committed.

        Raises:
            IntegrityFailedError: a table is missing.
        """
        with translated(self.path):
            if transaction is not None or self.read_only:
                self._open_tables(transaction)
                return
            own = self.write()
            try:
                self._open_tables(own)
                own.commit()
            finally:
                own.abort()

    def read(self) -> "lmdb.Transaction[bytes]":
        """Begins a read transaction."""
        return self._env.begin()

    def write(self) -> "lmdb.Transaction[bytes]":
        """Begins a write transaction; waits for the lock without holding the GIL."""
        return self._env.begin(write=True)

    def copy(self, target: Path) -> None:
        """Writes a compact copy of one moment into the new directory `target`, while others go on writing.

        Free pages are left out, so nothing that was deleted is in it. Transactions are numbered anew.
        """
        target.mkdir(mode=0o700, parents=True)
        with translated(target):
            self._env.copy(str(target), compact=True)
        (target / DATA_FILE).chmod(0o600)
        sync_file(target / DATA_FILE)
        sync_directory(target)

    def close(self) -> None:
        """Closes the environment; transactions still open become invalid."""
        self._env.close()

    def reader_check(self) -> int:
        """Frees the slots of readers whose process has died; returns how many."""
        with translated(self.path):
            return self._env.reader_check()

    def readers(self) -> list[ReaderSlot]:
        """The reader slots in use, of all processes."""
        with translated(self.path):
            newest = self._env.info()["last_txnid"]
            lines = self._env.readers().splitlines()[1:]
        slots = []
        for pid, _thread, snapshot in (line.split() for line in lines if line.strip()):
            behind = 0 if snapshot == "-" else newest - int(snapshot)
            slots.append(ReaderSlot(self.path.name, int(pid), behind))
        return slots

    def used_bytes(self) -> int:
        """Bytes of the data file that LMDB uses; the file may be longer."""
        with translated(self.path):
            return (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]

    def entries(self) -> dict[str, int]:
        """Rows in each table."""
        with translated(self.path), self._env.begin() as transaction:
            return {name: transaction.stat(table)["entries"] for name, table in self.tables.items()}

    def _open_tables(self, transaction: "lmdb.Transaction[bytes] | None") -> None:
        for name in self._names:
            try:
                # In a read-only environment py-lmdb must begin the transaction itself for the handle to stay.
                self.tables[name] = self._env.open_db(name.encode(), txn=transaction, create=False)
            except lmdb.NotFoundError as error:
                if name in ADDED_TABLES:
                    if transaction is not None:
                        self.tables[name] = self._env.open_db(name.encode(), txn=transaction)
                    continue
                raise IntegrityFailedError(plane=self.path.name) from error


def _meta_pages_agree(path: Path, page_bytes: int) -> bool:
    """Whether the environment's two meta pages belong to two commits in a row.

    LMDB goes by whichever of them bears the higher transaction number, and nothing protects that
    number: one flipped bit would quietly bring back the commit before the last. Commits alternate
    between the pages, even numbers on the first, so a genuine pair differs by one.
    """
    for _ in range(_META_READS):  # a commit of another process may be written between the two reads
        with (path / DATA_FILE).open("rb") as file:
            numbers = [
                int.from_bytes(os.pread(file.fileno(), 8, page * page_bytes + _TRANSACTION_AT), sys.byteorder)
                for page in (0, 1)
            ]
        if numbers[0] % 2 == 0 and numbers[1] % 2 == 1 and abs(numbers[0] - numbers[1]) == 1:
            return True
    return False


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises the vault's error for any of LMDB's that the block raises."""
    try:
        yield
    except (lmdb.Error, OSError) as error:
        raise translate(error, path) from error


def translate(error: Exception, path: Path) -> VaultError:
    """The vault's error for one of LMDB's or the system's; `path` tells the file system in question."""
    if isinstance(error, _DAMAGED):
        return IntegrityFailedError()
    if isinstance(error, lmdb.VersionMismatchError):
        return StorageFormatError("the environment was written by another version of LMDB")
    if isinstance(error, lmdb.ReadersFullError):
        return OverloadedError("too many read transactions are open")
    number: int = (error.errno if isinstance(error, OSError) else getattr(error, "code", 0)) or 0
    if isinstance(error, lmdb.MapFullError) or number in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk is full")
    # LMDB reports a short write, which is how a full disk shows first, as EIO.
    if number == errno.EIO and _is_full(path):
        return StorageFullError("the disk is full")
    cause = os.strerror(number) if number in errno.errorcode else str(error)
    return StorageStoppedError(f"the storage failed: {cause}")


def _is_full(path: Path) -> bool:
    try:
        status = os.statvfs(path)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _FULL_BELOW_BYTES


def _open(path: Path, *, read_only: bool, readahead: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=MAP_BYTES,
        max_dbs=_MAX_TABLES,
        max_readers=MAX_READERS,
        max_spare_txns=_SPARE_TRANSACTIONS,
        mode=0o600,
        readonly=read_only,
        create=not read_only,
        readahead=readahead,
    )
