"""The yardstick really stores and opens what it is asked for."""

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from benchmarks.plain_loop import PlainStore

CUSTOMERS = [[f"value {number}.{value} é" for value in range(3)] for number in range(1200)]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[lmdb.Environment]:
    with lmdb.open(str(tmp_path), map_size=1 << 30) as opened:
        yield opened


@pytest.fixture
def store(environment: lmdb.Environment) -> PlainStore:
    return PlainStore(environment)


def key(customer: int, value_no: int) -> bytes:
    return customer.to_bytes(6, "big") + value_no.to_bytes(3, "big")


def test_what_was_written_is_read_in_the_order_asked(store: PlainStore) -> None:
    assert store.write(CUSTOMERS).values == 3600
    assert store.read([key(1200, 3), key(1, 1), key(1, 2)]) == [
        CUSTOMERS[1199][2], CUSTOMERS[0][0], CUSTOMERS[0][1],
    ]  # fmt: skip


def test_a_changed_record_does_not_open(store: PlainStore, environment: lmdb.Environment) -> None:
    store.write(CUSTOMERS[:1])
    with environment.begin(write=True) as transaction:
        record = transaction.get(key(1, 1))
        assert record is not None
        transaction.put(key(1, 1), record[:-1] + bytes((record[-1] ^ 1,)))
    with pytest.raises(ValueError, match="does not open"):
        store.read([key(1, 1)])


def test_values_are_not_stored_in_the_clear(store: PlainStore, environment: lmdb.Environment) -> None:
    store.write(CUSTOMERS[:1])
    with environment.begin() as transaction:
        assert all(b"value" not in bytes(record) for _, record in transaction.cursor())


@pytest.mark.parametrize("missing", [key(2, 1), key(1, 9)])
def test_what_is_not_there_is_an_error(store: PlainStore, missing: bytes) -> None:
    store.write(CUSTOMERS[:1])
    with pytest.raises(ValueError, match="no such"):
        store.read([missing])


def test_a_lap_counts_what_it_read(store: PlainStore) -> None:
    store.write(CUSTOMERS)
    lap = store.lap([[key(1, 1), key(1, 2)], [key(2, 1)]], seconds=0.05)
    assert lap.values > 3
    assert lap.seconds >= 0.05
    assert 0 < lap.cpu_seconds <= lap.seconds * 1.5
