"""Reading: one read transaction, over `values` or over an epoch's keyring and index.

Rules:
- Everything read through one snapshot is of one moment: the one at which it was entered.
- Within the context, a damaged page surfaces as the context's own error on leaving it, which is the vault's
  (`IntegrityFailedError`, mostly): `get` is LMDB's bare function, with no wrapper to pay for on the hot path.
- A snapshot belongs to one thread, and is short: while it lives, no page it can see is used again.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import lmdb

from vault.errors import IntegrityFailedError
from vault.store.environment import ADDED_TABLES, Environment, translate
from vault.store.layout import CUSTOMER_KEY_BYTES, ROW_VALUE_NO, customer_key, dek_key
from vault.store.meta import META_KEY, Meta, VerifiedMeta

if TYPE_CHECKING:
    from vault.store.epochs import EpochPlanes

VALUES_TABLES: Final = (
    *("values", "sheets", "consents", "meta"),
    *("names", "principals", "policies", "requests", "erasures", "operations", "approvals", "search"),
)
KEYRING_TABLES: Final = ("deks", "secrets")
INDEX_TABLES: Final = ("external", "surrogates", "changes", "search")
_AFTER_VALUES = b"\xff\xff\xff\xff"
_Tables = dict[str, "lmdb._Database"]


class ValuesReader:
    """What one transaction of `values` can read."""

    def _bind(self, transaction: "lmdb.Transaction[bytes]", tables: _Tables) -> None:
        self._transaction = transaction
        self._tables = tables

    @cached_property
    def get(self) -> Callable[[bytes], bytes | None]:
        """Maps a value key (9 bytes) to a row or None."""
        found: Callable[[bytes], bytes | None] = self._transaction.cursor(db=self._tables["values"]).get
        return found

    def meta_bytes(self) -> bytes:
        """The meta row; compare its first `META_HOT_BYTES` to see whether anything about access changed."""
        row = self._transaction.get(META_KEY, db=self._tables["meta"])
        if row is None:
            raise IntegrityFailedError
        return row

    def sheet(self, customer: bytes) -> bytes | None:
        """The sealed sheet of a customer (key of 6 bytes)."""
        return self.row("sheets", customer)

    def row(self, table: str, key: bytes) -> bytes | None:
        """One row of any table."""
        return self._transaction.get(key, db=self._tables[table])

    def rows(self, table: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of a table in the order of their keys, from `start` on."""
        if table in ADDED_TABLES and table not in self._tables:
            return iter(())
        return _from(self._transaction, self._tables[table], start)

    def scan_customer(self, region: int, customer_no: int) -> Iterator[tuple[bytes, bytes]]:
        """Every row of one customer, the customer row (value_no 0) first if it is there."""
        return _with_prefix(self._transaction, self._tables["values"], customer_key(region, customer_no))

    def consents_of(self, customer: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every consent event of a customer (6 bytes) as (key of 10 bytes, row), by ascending number."""
        return _with_prefix(self._transaction, self._tables["consents"], customer)

    def customers(self, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Customer rows as (value key of 9 bytes, row), seeking past the values.

        `after` (6 bytes) leaves out that customer and those before it.
        """
        cursor = self._transaction.cursor(db=self._tables["values"])
        found = cursor.set_range(b"" if after is None else after + _AFTER_VALUES)
        while found:
            key, row = cursor.item()
            customer = key[:CUSTOMER_KEY_BYTES]
            if key[CUSTOMER_KEY_BYTES:] == ROW_VALUE_NO:
                yield key, row
            found = cursor.set_range(customer + _AFTER_VALUES)


class Snapshot(ValuesReader):
    """One read transaction of `values`, begun on entering the context."""

    def __init__(self, environment: Environment, metas: VerifiedMeta) -> None:
        self._environment = environment
        self._metas = metas
        self._meta: Meta | None = None

    def __enter__(self) -> Self:
        environment = self._environment
        try:
            self._bind(environment.read(), environment.tables)
        except lmdb.Error as error:
            raise translate(error, environment.path) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transaction.abort()
        if isinstance(error, lmdb.Error):
            raise translate(error, self._environment.path) from error

    @property
    def number(self) -> int:
        """The number of the commit that it shows."""
        return self._transaction.id()

    @property
    def meta(self) -> Meta:
        """The meta row, verified: its checksum, and that it is of this very commit. Not to be changed."""
        meta = self._meta
        if meta is None:
            meta = self._metas.unpack(self.meta_bytes())
            if meta.transaction != self._transaction.id():
                raise IntegrityFailedError
            self._meta = meta
        return meta


class KeyringReader:
    """What one transaction of a keyring, and one of the index beside it, can read. `epoch` is theirs."""

    epoch: int

    def _bind_epoch(
        self,
        epoch: int,
        keyring: "lmdb.Transaction[bytes]",
        keyring_tables: _Tables,
        index: "lmdb.Transaction[bytes]",
        index_tables: _Tables,
    ) -> None:
        self.epoch = epoch
        self._keyring = keyring
        self._keyring_tables = keyring_tables
        self._index = index
        self._index_tables = index_tables

    @property
    def keyring_transaction(self) -> int:
        """Number of the keyring's commit that is read; grows with each, within an epoch."""
        return int(self._keyring.id())

    def dek(self, region: int, customer_no: int, generation: int) -> bytes | None:
        """The wrapped DEK of one generation."""
        return self._keyring.get(dek_key(region, customer_no, generation), db=self._keyring_tables["deks"])

    def generations(self, region: int, customer_no: int) -> list[int]:
        """Generations of a customer's DEK that are in the keyring, ascending."""
        prefix = customer_key(region, customer_no)
        rows = _with_prefix(self._keyring, self._keyring_tables["deks"], prefix)
        return [int.from_bytes(key[CUSTOMER_KEY_BYTES:], "big") for key, _ in rows]

    def deks_of(self, customer: bytes) -> list[tuple[bytes, bytes]]:
        """The wrapped DEKs of one customer (6 bytes) as (key of 8 bytes, row), by ascending generation."""
        return list(_with_prefix(self._keyring, self._keyring_tables["deks"], customer))

    def deks(self, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Every wrapped DEK as (key of 8 bytes, row), from `start` on."""
        return _from(self._keyring, self._keyring_tables["deks"], start)

    def count_deks(self) -> int:
        """Number of wrapped DEKs."""
        return self._keyring.stat(self._keyring_tables["deks"])["entries"]

    def count_index(self) -> int:
        """Number of rows of the index."""
        return self._index.stat(self._index_tables["external"])["entries"]

    def secret(self, name: str) -> bytes | None:
        """One wrapped secret of the vault."""
        return self._keyring.get(name.encode(), db=self._keyring_tables["secrets"])

    def secrets(self) -> Iterator[tuple[str, bytes]]:
        """Every wrapped secret of the vault, as (name, row)."""
        for name, row in _from(self._keyring, self._keyring_tables["secrets"], b""):
            yield name.decode(), row

    def index_lookup(self, keyed_hash: bytes) -> bytes | None:
        """The customer key (6 bytes) at a keyed hash (16 bytes)."""
        return self._index.get(keyed_hash, db=self._index_tables["external"])

    def surrogate(self, keyed_hash: bytes) -> bytes | None:
        """The value key (9 bytes) at a surrogate's keyed hash (16 bytes)."""
        table = self._index_tables.get("surrogates")
        return None if table is None else self._index.get(keyed_hash, db=table)

    def surrogates(self) -> Iterator[tuple[bytes, bytes]]:
        """Every surrogate's row, as (keyed hash 16, value key 9)."""
        table = self._index_tables.get("surrogates")
        return iter(()) if table is None else _from(self._index, table, b"")

    def tagged(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """Value keys (9 bytes) of issued tokens whose tag has this prefix (8 bytes), ascending.

        `after` is a value key behind which to begin.
        """
        table = self._index_tables.get("surrogates")
        if table is None:
            return
        start = prefix + after[1:] + b"\0" if after else prefix
        for key, value in _from(self._index, table, start):
            if not key.startswith(prefix):
                return
            if key[len(prefix) :] == value[1:]:
                yield value

    def count_surrogates(self) -> int:
        """Number of rows of surrogates."""
        table = self._index_tables.get("surrogates")
        return 0 if table is None else self._index.stat(table)["entries"]

    def search_rows(self, prefix: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
        """Rows of table `search` (23 bytes) that begin with `prefix`, behind `after` if it is given."""
        table = self._index_tables.get("search")
        start = after + b"\0" if after else prefix
        for row, _ in () if table is None else _from(self._index, table, start):
            if not row.startswith(prefix):
                return
            yield row

    def count_search(self) -> int:
        """Number of rows of table `search`."""
        table = self._index_tables.get("search")
        return 0 if table is None else self._index.stat(table)["entries"]

    def index_changes(self, after: int) -> Iterator[bytes]:
        """Customers (6 bytes) with other surrogates or search rows since commit `after` of `values`."""
        start = (after + 1).to_bytes(8, "big")
        for key, _ in _from(self._index, self._index_tables["changes"], start):
            yield key[8:]

    def index_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row of the index, as (keyed hash 16, customer key 6)."""
        return _from(self._index, self._index_tables["external"], b"")


class KeyringSnapshot(KeyringReader):
    """One read transaction of the keyring and one of the index of the epoch in use."""

    def __init__(self, hold_planes: Callable[[], "EpochPlanes"]) -> None:
        """`hold_planes` gives the planes of the epoch in use, held until the snapshot releases them."""
        self._hold_planes = hold_planes

    def __enter__(self) -> Self:
        planes = self._planes = self._hold_planes()
        try:
            keyring = _begin(planes.keyring)
            try:
                index = _begin(planes.index)
            except BaseException:
                keyring.abort()
                raise
        except BaseException:
            planes.release()
            raise
        self._bind_epoch(planes.epoch, keyring, planes.keyring.tables, index, planes.index.tables)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keyring.abort()
        self._index.abort()
        self._planes.release()
        if isinstance(error, lmdb.Error):
            raise translate(error, self._planes.keyring.path) from error


def _begin(environment: Environment) -> "lmdb.Transaction[bytes]":
    try:
        return environment.read()
    except lmdb.Error as error:
        raise translate(error, environment.path) from error


def _from(
    transaction: "lmdb.Transaction[bytes]", table: "lmdb._Database", start: bytes
) -> Iterator[tuple[bytes, bytes]]:
    cursor = transaction.cursor(db=table)
    found = cursor.set_range(start) if start else cursor.first()
    if found:
        yield from cursor.iternext()


def _with_prefix(
    transaction: "lmdb.Transaction[bytes]", table: "lmdb._Database", prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    for key, row in _from(transaction, table, prefix):
        if not key.startswith(prefix):
            return
        yield key, row
