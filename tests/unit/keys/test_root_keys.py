import json

import pytest

from tests.unit.keys.provider_services import PIN, TOKEN_LABEL
from vault.config import load_settings
from vault.errors import KeyUnavailableError
from vault.keys.provider import Assurance, KeyState
from vault.keys.root_keys import (
    check_provider,
    describe_root_key,
    destroy_root_key,
    disable_root_key,
    enable_root_key,
)
from vault.keys.unlock import EdkFile, create_epoch_key, unlock
from vault.model.secret import Secret

VAULT_ID = bytes(range(16))


def make_data_dir(tmp_path, settings: str):
    data = tmp_path / "data"
    (data / "keyring" / "1").mkdir(parents=True)
    (data / "vault.toml").write_text(settings)
    (data / "FORMAT").write_text(json.dumps({"format": 1, "vault_id": VAULT_ID.hex(), "region": 1}))
    (data / "CURRENT").write_text("1\n")
    return data


def make_epoch(data_dir, epoch: int, root_key_id: str, passphrase: Secret | None = None) -> bytes:
    memory = create_epoch_key(
        data_dir,
        load_settings(data_dir),
        passphrase,
        vault_id=VAULT_ID,
        epoch=epoch,
        root_key_id=root_key_id,
    )
    try:
        return bytes(memory.view(0, 32))
    finally:
        memory.free()


def current_edk(data_dir, passphrase: Secret | None = None) -> bytes:
    memory = unlock(data_dir, load_settings(data_dir), passphrase)
    try:
        return bytes(memory.view(0, 32))
    finally:
        memory.free()


@pytest.fixture
def data_dir(tmp_path, key_file):
    return make_data_dir(tmp_path, f'[keys]\nkey_file = "{key_file}"\n')


def test_a_root_key_is_described_disabled_enabled_and_destroyed_by_the_child(data_dir):
    edk = make_epoch(data_dir, 1, "root-1-aa")
    key = {"provider": "file", "root_key_id": "root-1-aa"}
    assert describe_root_key(data_dir, None, **key).state is KeyState.ACTIVE
    assert disable_root_key(data_dir, None, **key).state is KeyState.DISABLED
    with pytest.raises(KeyUnavailableError, match="root key root-1-aa is disabled"):
        current_edk(data_dir)
    assert enable_root_key(data_dir, None, **key).state is KeyState.ACTIVE
    assert current_edk(data_dir) == edk
    said = destroy_root_key(data_dir, None, **key)
    assert said.assurance is Assurance.BEST_EFFORT
    assert said.holds(describe_root_key(data_dir, None, **key))
    with pytest.raises(KeyUnavailableError, match="root key root-1-aa was destroyed"):
        current_edk(data_dir)


def test_a_create_cut_off_before_the_edk_was_written_is_repeated_and_one_after_it_is_refused(data_dir):
    make_epoch(data_dir, 1, "root-1-aa")
    (data_dir / "keyring" / "1" / "EDK").unlink()
    edk = make_epoch(data_dir, 1, "root-1-aa")
    assert current_edk(data_dir) == edk
    (data_dir / "keyring" / "2").mkdir()
    for epoch in (1, 2):
        with pytest.raises(KeyUnavailableError, match="root-1-aa wraps epoch 1 already"):
            make_epoch(data_dir, epoch, "root-1-aa")
    assert current_edk(data_dir) == edk


def test_an_epoch_moves_to_a_token_and_each_opens_where_it_is(tmp_path, key_file, softhsm):
    token = f'[keys.pkcs11]\nmodule = "{softhsm}"\ntoken_label = "{TOKEN_LABEL}"\n'
    data_dir = make_data_dir(tmp_path, f'[keys]\nkey_file = "{key_file}"\n{token}')
    old = make_epoch(data_dir, 1, "move-1")
    moved = f'[keys]\nprovider = "pkcs11"\nkey_file = "{key_file}"\n{token}'
    (data_dir / "vault.toml").write_text(moved)
    assert current_edk(data_dir) == old
    (data_dir / "keyring" / "2").mkdir()
    new = make_epoch(data_dir, 2, "move-2", Secret(PIN))
    (data_dir / "CURRENT").write_text("2\n")
    assert current_edk(data_dir, Secret(PIN)) == new != old
    assert EdkFile.read(data_dir / "keyring" / "2").provider == "pkcs11"
    said = destroy_root_key(data_dir, None, provider="file", root_key_id="move-1")
    assert said.holds(describe_root_key(data_dir, None, provider="file", root_key_id="move-1"))
    assert current_edk(data_dir, Secret(PIN)) == new


def test_a_check_takes_a_key_through_its_life_and_leaves_none(data_dir):
    said = check_provider(data_dir, None)
    assert said.effective_ms is not None
    assert [path.suffix for path in (data_dir / "root").iterdir()] == [".destroyed"]


def test_what_is_wrong_with_the_provider_reaches_the_parent(data_dir, key_file):
    key_file.unlink()
    with pytest.raises(KeyUnavailableError, match=r"the key file .* cannot be read"):
        check_provider(data_dir, None)
    (data_dir / "vault.toml").write_text('[keys]\nprovider = "transit"\n')
    with pytest.raises(KeyUnavailableError, match=r"keys\.transit\.url"):
        check_provider(data_dir, None)
