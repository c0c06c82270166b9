from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID, add_customer, sign, verify
from vault.errors import IntegrityFailedError
from vault.store.copying import PlaneCopy, adopt_values, copy_keyring, copy_values
from vault.store.layout import value_key
from vault.store.meta import Meta
from vault.store.snapshot import KEYRING_TABLES, VALUES_TABLES
from vault.store.store import Store


@pytest.fixture
def filled(root: Path) -> Path:
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0) as store, store.write() as session:
        for _ in range(50):
            add_customer(session)
        session.commit()
    return root


def test_a_copy_is_of_one_moment_and_says_so(filled: Path, tmp_path: Path) -> None:
    meta = copy_values(filled, tmp_path / "copy", VAULT_ID)
    with PlaneCopy(tmp_path / "copy", VALUES_TABLES) as copied:
        assert copied.meta(VAULT_ID) == meta
        assert copied.counts() == copied.counted()
        assert (copied.counts()["sheets"], copied.counts()["values"]) == (50, 150)
    assert [each.name for each in (tmp_path / "copy").iterdir()] == ["data.mdb"]


def test_a_copy_is_made_of_what_this_process_has_open(filled: Path, tmp_path: Path) -> None:
    with Store.open(filled, sign=sign, verify=verify, low_water_bytes=0) as store:
        store.copy_values(tmp_path / "values")
        assert store.copy_keyring(tmp_path / "keyring") == 1
    copy_keyring(filled, 1, tmp_path / "again")
    for name in ("keyring", "again"):
        with PlaneCopy(tmp_path / name, KEYRING_TABLES) as copied:
            assert copied.counted() == {"deks": 50, "secrets": 1}


def test_what_was_deleted_is_not_copied(filled: Path, tmp_path: Path) -> None:
    with Store.open(filled, sign=sign, verify=verify, low_water_bytes=0) as store:
        with store.write() as session:
            session.put_value(value_key(REGION, 1, 9), b"a value that goes again")
            session.commit()
        with store.write() as session:
            session.delete_value(value_key(REGION, 1, 9))
            session.commit()
        store.copy_values(tmp_path / "copy")
    needle = b"a value that goes again"
    assert needle in (filled / "values" / "data.mdb").read_bytes()
    assert needle not in (tmp_path / "copy" / "data.mdb").read_bytes()


def test_an_adopted_copy_is_taken_for_the_vaults_own(filled: Path, tmp_path: Path) -> None:
    copy_values(filled, tmp_path / "copy", VAULT_ID)

    def change(meta: Meta) -> None:
        meta.next_customer_no = meta.reserved_until = 1_000

    adopt_values(tmp_path / "copy", VAULT_ID, change)
    (tmp_path / "copy" / "data.mdb").replace(filled / "values" / "data.mdb")
    (filled / "values" / "lock.mdb").unlink()
    with Store.open(filled, sign=sign, verify=verify, low_water_bytes=0) as store, store.write() as session:
        assert session.meta.next_customer_no == 1_000
        assert add_customer(session) == 1_000


def test_a_copy_that_is_none(filled: Path, tmp_path: Path) -> None:
    copy_keyring(filled, 1, tmp_path / "copy")
    with pytest.raises(IntegrityFailedError):
        PlaneCopy(tmp_path / "copy", VALUES_TABLES)
    with pytest.raises(IntegrityFailedError):
        PlaneCopy(tmp_path, VALUES_TABLES)
    (tmp_path / "copy" / "data.mdb").write_bytes(bytes(8192))
    with pytest.raises(IntegrityFailedError):
        PlaneCopy(tmp_path / "copy", KEYRING_TABLES)
