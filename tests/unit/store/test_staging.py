"""The next epoch's keyring and index, as they are filled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.store.copying import PlaneCopy
from vault.store.epochs import EpochPlanes, index_path, keyring_path
from vault.store.layout import customer_key, dek_key, value_key
from vault.store.snapshot import INDEX_TABLES
from vault.store.staging import NextEpoch, discard_epoch, epochs_present

REGION = 1


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[NextEpoch]:
    staged = NextEpoch.create(tmp_path, 2)
    yield staged
    staged.close()


def hashed(number: int) -> bytes:
    return (number * 7919 % 65536).to_bytes(2, "big") + number.to_bytes(14, "big")


def index_of(root: Path) -> dict[bytes, bytes]:
    planes = EpochPlanes(root, 2, read_only=True)
    try:
        with planes.index.read() as transaction:
            rows = transaction.cursor(db=planes.index.tables["external"])
            return dict(iter(rows))
    finally:
        planes.release()


def test_the_index_is_what_was_noted(staged: NextEpoch, tmp_path: Path) -> None:
    staged.note_hashes(1, [hashed(1), b"", hashed(3)])
    staged.note_hashes(1000, [hashed(1000)])
    staged.fill_index(REGION)
    assert staged.counts() == (0, 3)
    staged.finish()
    assert index_of(tmp_path) == {hashed(n): customer_key(REGION, n) for n in (1, 3, 1000)}
    assert not (index_path(tmp_path, 2) / "hashes").exists()


def test_an_index_of_several_parts_is_whole(
    staged: NextEpoch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.store.hashnotes._PARTITION", 64)
    staged.note_hashes(1, [hashed(number) for number in range(1, 1001)])
    staged.fill_index(REGION)
    staged.finish()
    assert index_of(tmp_path) == {hashed(n): customer_key(REGION, n) for n in range(1, 1001)}


def test_customers_change_after_they_were_copied(staged: NextEpoch, tmp_path: Path) -> None:
    staged.put_deks([(dek_key(REGION, n, 1), b"old") for n in (1, 2, 3)])
    staged.note_hashes(1, [hashed(1), hashed(2), hashed(3)])
    staged.fill_index(REGION)
    staged.replace_customers(
        [
            (customer_key(REGION, 1), [], b"", [], []),  # shredded
            (
                customer_key(REGION, 2),
                [(dek_key(REGION, 2, 2), b"new")],
                hashed(2),
                [],
                [],
            ),  # under another generation
            (customer_key(REGION, 4), [(dek_key(REGION, 4, 1), b"made")], hashed(4), [], []),  # new
        ]
    )
    assert staged.deks() == [
        (dek_key(REGION, 2, 2), b"new"),
        (dek_key(REGION, 3, 1), b"old"),
        (dek_key(REGION, 4, 1), b"made"),
    ]
    assert staged.deks_of([customer_key(REGION, 4), customer_key(REGION, 1)]) == [
        (dek_key(REGION, 4, 1), b"made")
    ]
    assert staged.counts() == (3, 3)
    staged.finish()
    assert index_of(tmp_path) == {hashed(n): customer_key(REGION, n) for n in (2, 3, 4)}


def surrogate(number: int, value_no: int) -> tuple[bytes, bytes]:
    return hashed(1_000 * number + value_no), value_key(REGION, number, value_no)


def test_surrogates_of_who_changed_are_replaced_and_of_who_was_shredded_removed(
    staged: NextEpoch, tmp_path: Path
) -> None:
    wrapped = {n: [(dek_key(REGION, n, 1), b"row")] for n in (1, 2, 3, 4)}
    for n in (1, 2, 3):
        staged.put_deks(wrapped[n])
        staged.note_surrogates([surrogate(n, 1), surrogate(n, 2)])
    staged.fill_index(REGION)
    three = [surrogate(3, value_no) for value_no in (1, 2, 3)]
    staged.replace_customers(
        [
            (customer_key(REGION, 1), [], b"", [], []),
            (customer_key(REGION, 3), wrapped[3], b"", three, []),
            (customer_key(REGION, 4), wrapped[4], b"", [surrogate(4, 1)], []),
        ]
    )
    staged.replace_customers([(customer_key(REGION, 4), [], b"", [], [])])
    staged.finish()
    with PlaneCopy(index_path(tmp_path, 2), INDEX_TABLES) as index:
        assert dict(index.rows("surrogates")) == dict([surrogate(2, 1), surrogate(2, 2), *three])
    assert not (index_path(tmp_path, 2) / "surrogates").exists()


def test_a_surrogate_that_a_customer_has_no_more_leaves_the_index(staged: NextEpoch, tmp_path: Path) -> None:
    wrapped = [(dek_key(REGION, 1, 1), b"row")]
    staged.put_deks(wrapped)
    staged.note_surrogates([surrogate(1, 1), surrogate(1, 2)])
    staged.fill_index(REGION)
    staged.replace_customers([(customer_key(REGION, 1), wrapped, b"", [surrogate(1, 2)], [])])
    staged.finish()
    with PlaneCopy(index_path(tmp_path, 2), INDEX_TABLES) as index:
        assert list(index.rows("surrogates")) == [surrogate(1, 2)]


def test_rows_come_in_pieces(staged: NextEpoch) -> None:
    staged.put_deks([(dek_key(REGION, n, 1), b"row") for n in range(1, 8)])
    first = staged.deks(b"", 3)
    assert [key for key, _ in first] == [dek_key(REGION, n, 1) for n in (1, 2, 3)]
    assert len(staged.deks(first[-1][0] + b"\0", 100)) == 4


def test_an_epoch_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    NextEpoch.create(tmp_path, 2).close()
    assert epochs_present(tmp_path) == [2]
    discard_epoch(tmp_path, 2)
    discard_epoch(tmp_path, 2)
    assert epochs_present(tmp_path) == []
    assert not keyring_path(tmp_path, 2).exists()
