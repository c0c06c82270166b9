"""One flipped bit must not bring back the commit before the last."""

from pathlib import Path

import pytest

from vault.errors import IntegrityFailedError
from vault.store.environment import DATA_FILE
from vault.store.meta import META_KEY
from vault.store.store import Store

PAGE_BYTES = 4096
TRANSACTION_AT = 144
VAULT_ID = bytes(range(16))


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "v", VAULT_ID, 1, sign=lambda *_: bytes(64)) as store:
        store.finish_creation()
        for row in (b"first", b"second", b"third"):
            with store.write() as session:
                session.put_row("names", b"key", row)
                session.commit()
    return tmp_path / "v" / "values" / DATA_FILE


def reopened(data_file: Path) -> bytes | None:
    with Store.open(data_file.parents[1], sign=lambda *_: bytes(64)) as store, store.snapshot() as snapshot:
        assert snapshot.meta.region == 1
        return snapshot.row("names", b"key")


@pytest.mark.parametrize("page", [0, 1])
def test_every_flipped_bit_of_a_transaction_number_is_refused(data_file: Path, page: int) -> None:
    assert reopened(data_file) == b"third"
    genuine = data_file.read_bytes()
    for bit in range(64):
        changed = bytearray(genuine)
        changed[page * PAGE_BYTES + TRANSACTION_AT + bit // 8] ^= 1 << bit % 8
        data_file.write_bytes(changed)
        with pytest.raises(IntegrityFailedError):
            reopened(data_file)
    data_file.write_bytes(genuine)
    assert reopened(data_file) == b"third"


def test_a_meta_row_of_another_commit_is_refused(data_file: Path) -> None:
    """As if a root page's number led to an older page: the row is whole, but not of this commit."""
    with Store.open(data_file.parents[1], sign=lambda *_: bytes(64)) as store:
        with store.snapshot() as snapshot:
            older = snapshot.meta_bytes()
        transaction = store._shared.values.write()
        transaction.put(META_KEY, older, db=store._shared.values.tables["meta"])
        transaction.commit()
        with store.snapshot() as snapshot, pytest.raises(IntegrityFailedError):
            _ = snapshot.meta
        with pytest.raises(IntegrityFailedError), store.write():
            pass
