"""Rows of table `search` on their way into an index that is being made."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION
from vault.errors import IntegrityFailedError
from vault.store.copying import PlaneCopy
from vault.store.epochs import index_path
from vault.store.layout import customer_key
from vault.store.searchnotes import SEARCH_ROW_BYTES, SearchNotes
from vault.store.snapshot import INDEX_TABLES
from vault.store.staging import NextEpoch


def row(number: int, value: int, entry: int = 4) -> bytes:
    made = hashlib.sha256(value.to_bytes(4, "big")).digest()[:16] + bytes((entry,))
    return made + customer_key(REGION, number)


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[NextEpoch]:
    staged = NextEpoch.create(tmp_path, 2)
    yield staged
    staged.close()


def written(root: Path) -> list[bytes]:
    with PlaneCopy(index_path(root, 2), INDEX_TABLES) as index:
        return [key for key, value in index.rows("search") if value == b""]


def test_rows_fill_the_table_in_order_and_equal_values_side_by_side(
    staged: NextEpoch, tmp_path: Path
) -> None:
    rows = [row(number, number // 3) for number in range(1, 400)]
    staged.note_search(rows[:150])
    staged.note_search([])
    staged.note_search(rows[150:])
    staged.fill_index(REGION)
    staged.finish()
    assert written(tmp_path) == sorted(rows)
    assert {len(each) for each in rows} == {SEARCH_ROW_BYTES}
    assert not (index_path(tmp_path, 2) / "search").exists()


def test_whoever_changed_has_other_rows_and_whoever_was_shredded_none(
    staged: NextEpoch, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        staged.note_search([row(number, number), row(number, 99)])
    staged.fill_index(REGION)

    def changed(
        number: int, *values: int
    ) -> tuple[bytes, list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]], list[bytes]]:
        return customer_key(REGION, number), [], b"", [], [row(number, value) for value in values]

    staged.replace_customers([changed(1), changed(2, 7, 99), changed(4, 4)])
    staged.replace_customers([changed(2, 8), changed(4)])
    staged.finish()
    assert written(tmp_path) == sorted([row(2, 8), row(3, 3), row(3, 99)])


def test_customers_are_noted_in_order(tmp_path: Path) -> None:
    with SearchNotes(tmp_path / "notes") as notes:
        notes.note_keys([row(2, 1), row(3, 1)])
        with pytest.raises(IntegrityFailedError):
            notes.note_keys([row(2, 2)])
        assert notes.of(customer_key(REGION, 2)) == [row(2, 1)]
        assert notes.of(customer_key(REGION, 1)) == []
