"""Reading: what a snapshot shows, and that nothing of LMDB leaves it."""

from pathlib import Path

import lmdb
import pytest

from tests.unit.store.samples import REGION, add_customer, record, sign
from vault.errors import IntegrityFailedError, VaultError
from vault.store.layout import customer_key, value_key
from vault.store.meta import META_HOT_BYTES
from vault.store.store import Store


@pytest.fixture
def customers(store: Store) -> list[int]:
    with store.write() as session:
        numbers = [add_customer(session, values=count) for count in (0, 3, 1, 2)]
        session.put_value(value_key(REGION, 90, 1), record())  # a value without its customer
        session.put_value(value_key(REGION + 1, 2), b"another region's")
        session.commit()
    return numbers


def test_customers_are_listed_in_order_without_their_values(store: Store, customers: list[int]) -> None:
    with store.snapshot() as snapshot:
        keys = [key for key, _ in snapshot.customers()]
        assert keys == [value_key(REGION, number) for number in customers] + [value_key(REGION + 1, 2)]
        assert [key for key, _ in snapshot.customers(customer_key(REGION, 2))] == keys[2:]
        assert [key for key, _ in snapshot.customers(customer_key(REGION, 50))] == keys[4:]
        assert list(snapshot.customers(customer_key(255, 1))) == []


def test_a_customers_rows_begin_with_the_customer_row(store: Store, customers: list[int]) -> None:
    with store.snapshot() as snapshot:
        found = [key for key, _ in snapshot.scan_customer(REGION, customers[1])]
        assert found == [value_key(REGION, customers[1], value_no) for value_no in range(4)]
        assert [key for key, _ in snapshot.scan_customer(REGION, customers[0])] == [value_key(REGION, 1)]
        assert list(snapshot.scan_customer(REGION, 70)) == []


def test_rows_of_a_table_from_a_key_on(store: Store) -> None:
    with store.write() as session:
        for name in (b"a", b"b", b"c"):
            session.put_row("requests", name, name * 2)
        session.commit()
    with store.snapshot() as snapshot:
        assert list(snapshot.rows("requests")) == [(b"a", b"aa"), (b"b", b"bb"), (b"c", b"cc")]
        assert list(snapshot.rows("requests", b"aa")) == [(b"b", b"bb"), (b"c", b"cc")]
        assert list(snapshot.rows("requests", b"d")) == []
        assert list(snapshot.rows("policies")) == []
        assert snapshot.row("requests", b"b") == b"bb"
        assert snapshot.row("requests", b"x") is None


def test_generations_of_one_customer_only(store: Store) -> None:
    with store.write() as session:
        for number, generation in ((1, 3), (1, 1), (2, 2), (1, 300)):
            session.put_dek(REGION, number, generation, b"row")
        assert session.generations(REGION, 1) == [1, 3, 300]
        assert session.generations(REGION, 3) == []


def test_a_snapshot_stays_at_its_moment(store: Store, customers: list[int]) -> None:
    key = value_key(REGION, customers[1], 1)
    with store.snapshot() as before, store.keyring() as keys_before:
        with store.write() as session:
            session.put_value(key, record(version=2))
            session.delete_dek(REGION, customers[1], 1)
            session.meta.access_version += 1
            session.commit()
        assert before.get(key) == record()
        assert keys_before.dek(REGION, customers[1], 1) is not None
        with store.snapshot() as after, store.keyring() as keys_after:
            assert after.get(key) == record(version=2)
            assert keys_after.dek(REGION, customers[1], 1) is None
            assert after.meta_bytes()[:META_HOT_BYTES] != before.meta_bytes()[:META_HOT_BYTES]


def test_the_hot_bytes_of_meta_stand_still_while_values_change(store: Store, customers: list[int]) -> None:
    with store.snapshot() as snapshot:
        before = snapshot.meta_bytes()
    with store.write() as session:
        add_customer(session)
        session.commit()
    with store.snapshot() as snapshot:
        assert snapshot.meta_bytes() != before
        assert snapshot.meta_bytes()[:META_HOT_BYTES] == before[:META_HOT_BYTES]


def test_an_error_of_lmdb_leaves_as_one_of_the_vaults(store: Store) -> None:
    with pytest.raises(IntegrityFailedError), store.snapshot():
        raise lmdb.PageNotFoundError("made up", -30797)
    with pytest.raises(VaultError), store.keyring():
        raise lmdb.Error("made up", 5)
    with pytest.raises(IntegrityFailedError), store.write():
        raise lmdb.CorruptedError("made up", -30796)
    with store.snapshot() as snapshot:
        assert snapshot.meta.region == REGION


def test_a_damaged_page_is_an_integrity_failure(store: Store, customers: list[int], root: Path) -> None:
    store.close()
    data = root / "values" / "data.mdb"
    content = bytearray(data.read_bytes())
    for start in range(2 * 4096, len(content), 4096):  # every page but the two meta pages
        content[start : start + 8] = b"\xff" * 8
        content[start + 10 : start + 12] = b"\xff\xff"
    data.write_bytes(content)
    with pytest.raises(IntegrityFailedError):
        Store.open(root, sign=sign)
