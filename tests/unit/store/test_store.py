"""Making, opening and closing a vault's stores."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID, add_customer, make_vault, sign, verify
from vault.errors import IntegrityFailedError, InvalidRequestError, StorageFormatError
from vault.store.entries import Genesis
from vault.store.store import Store


def test_a_new_vault_is_empty_and_private(root: Path) -> None:
    with Store.open(root, sign=sign, verify=verify) as store:
        assert (store.vault_id, store.region, store.epoch) == (VAULT_ID, REGION, 1)
        assert [entry.payload for entry in store.ledger()] == [Genesis(VAULT_ID, bytes(32))]
        sizes = store.sizes()
        assert sizes["values"].entries["values"] == 0
        assert sizes["ledger"].entries == {"entries": 1}
        assert set(sizes) == {"values", "keyring", "index", "ledger"}
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_vault_is_made_once(root: Path) -> None:
    with pytest.raises(InvalidRequestError):
        Store.create(root, VAULT_ID, REGION)


def test_an_unfinished_creation_is_no_vault_and_can_be_done_again(tmp_path: Path) -> None:
    with Store.create(tmp_path, VAULT_ID, REGION, sign=sign) as store, store.write() as session:
        add_customer(session)
        session.commit()
    with pytest.raises(StorageFormatError):
        Store.open(tmp_path)
    make_vault(tmp_path)
    with Store.open(tmp_path) as store, store.snapshot() as snapshot:
        assert not list(snapshot.customers())
    assert not (tmp_path / "INCOMPLETE").exists()


def test_creation_cut_off_at_any_file_can_be_done_again(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with Store.create(whole, VAULT_ID, REGION, sign=sign):
        pass
    made = sorted(path.relative_to(whole) for path in whole.rglob("*"))
    for missing in made:
        cut = tmp_path / "-".join(("without", *missing.parts))
        shutil.copytree(whole, cut)
        if missing.name == "INCOMPLETE":
            continue  # written first, removed last
        victim = cut / missing
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
        make_vault(cut)
        Store.open(cut).close()


def test_stores_that_lost_their_format_are_not_overwritten(root: Path) -> None:
    (root / "FORMAT").unlink()
    with pytest.raises(StorageFormatError):
        Store.create(root, VAULT_ID, REGION)
    assert (root / "values" / "data.mdb").exists()


def test_a_mark_left_beside_a_finished_vault_does_not_endanger_it(root: Path) -> None:
    (root / "INCOMPLETE").touch()
    Store.open(root).close()
    assert not (root / "INCOMPLETE").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (json.dumps({"format": 2, "vault_id": "00" * 16, "region": 1}), StorageFormatError),
        (json.dumps({"format": 1, "vault_id": "00" * 15, "region": 1}), IntegrityFailedError),
        (json.dumps({"format": 1, "vault_id": "00" * 16, "region": 256}), IntegrityFailedError),
        (json.dumps({"format": 1, "vault_id": "00" * 16}), IntegrityFailedError),
        (json.dumps([1]), IntegrityFailedError),
        ("", IntegrityFailedError),
    ],
)
def test_a_format_that_is_not_ours_is_refused(root: Path, content: str, error: type[Exception]) -> None:
    (root / "FORMAT").write_text(content)
    with pytest.raises(error):
        Store.open(root)


@pytest.mark.parametrize("content", [None, "", "0", "one", "2"])
def test_an_epoch_that_is_not_there_is_refused(root: Path, content: str | None) -> None:
    if content is None:
        (root / "CURRENT").unlink()
    else:
        (root / "CURRENT").write_text(content)
    with pytest.raises(IntegrityFailedError):
        Store.open(root)


@pytest.mark.parametrize(
    "missing", ["values/data.mdb", "keyring/1/data.mdb", "index/1/data.mdb", "ledger/entries"]
)
def test_a_missing_file_is_refused_and_not_made_anew(root: Path, missing: str) -> None:
    (root / missing).unlink()
    with pytest.raises(IntegrityFailedError):
        Store.open(root)
    assert not (root / missing).exists()


def test_an_environment_of_other_bytes_is_refused(root: Path) -> None:
    (root / "keyring" / "1" / "data.mdb").write_bytes(b"\1" * 65_536)
    with pytest.raises(IntegrityFailedError):
        Store.open(root)


def test_a_ledger_behind_what_the_planes_have_applied_is_refused(store: Store, root: Path) -> None:
    with store.write() as session:
        add_customer(session)
        session.commit()
    store.close()
    (root / "ledger" / "entries").write_bytes(bytes(4096))
    with pytest.raises(IntegrityFailedError):
        Store.open(root)


def test_opening_failed_leaves_nothing_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (root / "ledger" / "entries").rename(root / "ledger" / "away")
    for _ in range(3):
        with pytest.raises(IntegrityFailedError):
            Store.open(root)
    (root / "ledger" / "away").rename(root / "ledger" / "entries")
    Store.open(root).close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_reading_only_takes_no_lock_and_cannot_write(store: Store, root: Path) -> None:
    with store.write() as session:
        add_customer(session)
        session.commit()
    store.close()
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with Store.open(root, read_only=True, verify=verify) as reading:
        with reading.snapshot() as snapshot, reading.keyring() as keys:
            assert len(list(snapshot.customers())) == keys.count_deks() == 1
        assert reading.ledger_entries() == 2
        with pytest.raises(RuntimeError, match="reading only"), reading.write("erase"):
            pass
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before[path]} <= set(root.rglob("lock.mdb"))


def test_the_ledger_is_read_while_others_append(store: Store, root: Path) -> None:
    with store.write() as session:
        add_customer(session)
        session.commit()
    assert store.ledger_entries() == 2
    with store.write() as session:
        session.append(Genesis(VAULT_ID, bytes(32)))
        session.commit()
    assert [entry.seq for entry in store.ledger(1)] == [2, 3]
    store.verify_ledger()
