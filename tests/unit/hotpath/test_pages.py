"""The reading of LMDB's pages, against LMDB."""

import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

from vault.crypto.suites import XCHACHA20_POLY1305
from vault.errors import IntegrityFailedError, StorageStoppedError
from vault.hotpath import native
from vault.hotpath.native import NativeLoop
from vault.store.environment import DATA_FILE
from vault.store.meta import Meta

pytestmark = pytest.mark.skipif(not native.LIBRARY.exists(), reason="no C compiler was there at installation")
VAULT_ID = bytes(16)
TABLES = ("meta", "values", "names", "sheets")


class Store:
    """An environment with a table of random rows, and the same rows in a dictionary."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[bytes, bytes] = {}
        self.env = lmdb.open(str(path), max_dbs=8, map_size=1 << 30, sync=False)
        self.tables = {name: self.env.open_db(name.encode()) for name in TABLES}

    def change(self, put: dict[bytes, bytes], gone: set[bytes], *, note: bool = True) -> int:
        """One commit; its number."""
        with self.env.begin(write=True) as transaction:
            for key, row in put.items():
                transaction.put(key, row, db=self.tables["values"])
            for key in gone:
                transaction.delete(key, db=self.tables["values"])
            if note:
                meta = Meta(region=1, epoch=1, transaction=transaction.id())
                transaction.put(b"meta", meta.pack(VAULT_ID), db=self.tables["meta"])
            number = transaction.id()
        self.rows = {key: row for key, row in (self.rows | put).items() if key not in gone}
        return number

    def loop(self) -> NativeLoop:
        library = native.load()
        assert library is not None
        return NativeLoop(library, XCHACHA20_POLY1305, VAULT_ID, 1, self.path)


def at(number: int) -> SimpleNamespace:
    return SimpleNamespace(number=number)


def key_of(number: int) -> bytes:
    return b"\1" + number.to_bytes(8, "big")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "plane")


def test_rows_are_those_of_lmdb_while_the_tree_grows_and_shrinks(store: Store) -> None:
    order, loop = random.Random(3), store.loop()
    for step in range(30):
        put = {
            key_of(order.randrange(20_000)): order.randbytes(
                order.choice([0, 1, 54, 150, 300, 1500, 2100, 9000, 70_000])
            )
            for _ in range(1 + 40 * step)
        }
        gone = (
            set(order.sample(sorted(store.rows), len(store.rows) // 3)) - put.keys()
            if step % 4 == 3
            else set()
        )
        number = store.change(put, gone)
        with store.env.begin() as reader:
            assert reader.id() == number
            assert loop.begin(at(number))
            asked = [*store.rows, *gone, *(key_of(order.randrange(20_000)) for _ in range(300))]
            for keys in (sorted(asked), order.sample(asked, len(asked))):
                assert [loop.row(key) for key in keys] == [store.rows.get(key) for key in keys]
            loop.end()
    with store.env.begin() as reader:
        assert reader.stat(store.tables["values"])["depth"] > 2
        assert reader.stat(store.tables["values"])["overflow_pages"]
    loop.close()


def test_a_moment_that_has_gone_by_and_one_that_was_never_written_down_are_not_met(store: Store) -> None:
    loop = store.loop()
    first = store.change({key_of(1): b"1"}, set())
    assert loop.begin(at(first))
    second = store.change({key_of(1): b"2"}, set())
    assert loop.begin(at(first))
    assert loop.begin(at(second))
    third = store.change({key_of(1): b"3"}, set())
    assert not loop.begin(at(first))
    assert loop.begin(at(second))
    assert not loop.begin(at(third + 1))
    unsaid = store.change({key_of(1): b"4"}, set(), note=False)
    assert not loop.begin(at(unsaid))
    loop.close()


def test_an_empty_table_has_no_rows(store: Store) -> None:
    loop = store.loop()
    assert loop.begin(at(store.change({}, set())))
    assert loop.row(key_of(1)) is None
    loop.close()


def test_flipped_bits_end_in_an_error_or_in_bytes_that_do_not_open_and_never_in_a_crash(store: Store) -> None:
    order = random.Random(9)
    number = store.change(
        {key_of(n): order.randbytes(order.choice([54, 150, 2100, 9000])) for n in range(3000)}, set()
    )
    store.env.close()
    whole, found = (store.path / DATA_FILE).read_bytes(), {"same": 0, "other": 0, "error": 0}
    pages = [page for page in range(len(whole) // 4096) if whole[4096 * page + 10] & 3]
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(order.choice([1, 1, 4])):
            page = order.choice([0, 1, *pages])
            place = 4096 * page + order.choice(
                [order.randrange(4096), order.randrange(64), order.randrange(200)]
            )
            damaged[place] ^= 1 << order.randrange(8)
        (store.path / DATA_FILE).write_bytes(damaged)
        try:
            loop = store.loop()
        except StorageStoppedError:
            found["error"] += 1
            continue
        try:
            if loop.begin(at(number)):
                for n in order.sample(range(3000), 200):
                    found["same" if loop.row(key_of(n)) == store.rows[key_of(n)] else "other"] += 1
        except IntegrityFailedError:
            found["error"] += 1
        loop.close()
    assert all(found.values())


def test_a_file_that_ends_before_its_last_page_is_whole(store: Store) -> None:
    """LMDB never writes pages that a transaction took at the end of the file and gave back."""
    store.change({key_of(n): bytes(150) for n in range(3000)}, set())
    store.change({}, {key_of(n) for n in range(0, 3000, 7)})
    with store.env.begin(write=True) as transaction:
        transaction.put(key_of(9000), bytes(900_000), db=store.tables["values"])
        transaction.delete(key_of(9000), db=store.tables["values"])
        meta = Meta(region=1, epoch=1, transaction=transaction.id())
        transaction.put(b"meta", meta.pack(VAULT_ID), db=store.tables["meta"])
        number = transaction.id()
    assert (store.path / DATA_FILE).stat().st_size < 4096 * (store.env.info()["last_pgno"] + 1)
    loop = store.loop()
    with store.env.begin():
        assert loop.begin(at(number))
        assert all(loop.row(key_of(n)) == store.rows.get(key_of(n)) for n in range(3000))
    loop.close()


def test_a_file_cut_short_is_damaged(store: Store, tmp_path: Path) -> None:
    number = store.change({key_of(n): bytes(150) for n in range(3000)}, set())
    store.env.close()
    shutil.copytree(store.path, tmp_path / "cut")
    with (tmp_path / "cut" / DATA_FILE).open("r+b") as file:
        file.truncate(20 * 4096)
    store.path = tmp_path / "cut"
    loop = store.loop()
    with pytest.raises(IntegrityFailedError):
        loop.begin(at(number))
    loop.close()


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(8192), b"\xff" * 8192])
def test_what_is_no_such_file_is_not_opened(tmp_path: Path, content: bytes) -> None:
    library = native.load()
    assert library is not None
    with pytest.raises(StorageStoppedError):
        NativeLoop(library, XCHACHA20_POLY1305, VAULT_ID, 1, tmp_path)
    (tmp_path / DATA_FILE).write_bytes(content)
    with pytest.raises(StorageStoppedError):
        NativeLoop(library, XCHACHA20_POLY1305, VAULT_ID, 1, tmp_path)
