from pathlib import Path

from tests.unit.erasure.test_publickeys import GENESIS
from tests.unit.store.samples import VAULT_ID
from tests.unit.store.test_signers import CHAIN, KEYS
from vault.core.keyhistory import KEYS_FILE, listed_keys, publish


def test_a_list_is_written_when_it_lacks_a_key_and_not_otherwise(tmp_path: Path) -> None:
    path = tmp_path / KEYS_FILE
    path.parent.mkdir()
    assert listed_keys(tmp_path) is None
    for count in range(len(CHAIN) + 1):
        publish(tmp_path, VAULT_ID, [GENESIS, *CHAIN[:count]])
        assert listed_keys(tmp_path) == KEYS[: count + 1]
    with path.open("ab") as file:
        file.write(b"\n")
    publish(tmp_path, VAULT_ID, [GENESIS, *CHAIN])
    assert path.read_bytes().endswith(b"\n\n")  # as it was


def test_a_list_with_a_key_that_the_ledger_does_not_name_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / KEYS_FILE
    path.parent.mkdir()
    publish(tmp_path, VAULT_ID, [GENESIS, *CHAIN])
    publish(tmp_path, VAULT_ID, [GENESIS, *CHAIN[:1]])
    assert listed_keys(tmp_path) == KEYS[:2]


def test_a_damaged_list_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / KEYS_FILE
    path.parent.mkdir()
    path.write_text("[]")
    assert listed_keys(tmp_path) is None
    publish(tmp_path, VAULT_ID, [GENESIS])
    assert listed_keys(tmp_path) == KEYS[:1]
