import json
import os

import pytest

from vault.config import load_settings
from vault.crypto.hazmat import GuardedMemory
from vault.errors import KeyUnavailableError
from vault.keys import unlock as module
from vault.keys.unlock import EdkFile, create_epoch_key, receive_edk, send_edk, unlock

VAULT_ID = bytes(range(16))


def contents(memory: GuardedMemory) -> bytes:
    try:
        return bytes(memory.view(0, 32))
    finally:
        memory.free()


@pytest.fixture
def data_dir(tmp_path, key_file):
    """What the child reads of a vault: settings, FORMAT, CURRENT, and where the keyring will stand."""
    data = tmp_path / "data"
    (data / "keyring" / "1").mkdir(parents=True)
    (data / "vault.toml").write_text(f'[keys]\nkey_file = "{key_file}"\n')
    (data / "FORMAT").write_text(json.dumps({"format": 1, "vault_id": VAULT_ID.hex(), "region": 1}))
    (data / "CURRENT").write_text("1\n")
    return data


@pytest.fixture
def edk(data_dir) -> bytes:
    settings = load_settings(data_dir)
    made = create_epoch_key(data_dir, settings, None, vault_id=VAULT_ID, epoch=1, root_key_id="root-1-aa")
    return contents(made)


def test_the_child_opens_what_the_child_made(data_dir, edk):
    assert len(edk) == 32
    assert contents(unlock(data_dir, load_settings(data_dir), None)) == edk


def test_what_stands_beside_the_keyring_names_the_root_key_and_does_not_hold_the_edk(data_dir, edk):
    record = EdkFile.read(data_dir / "keyring" / "1")
    assert (record.epoch, record.provider, record.root_key_id) == (1, "file", "root-1-aa")
    assert record.assurance == "best-effort"
    assert edk not in record.wrapped


def test_the_only_copy_of_a_wrapped_edk_is_never_overwritten(data_dir, edk):
    record = EdkFile.read(data_dir / "keyring" / "1")
    with pytest.raises(FileExistsError):
        record.write(data_dir / "keyring" / "1")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("FORMAT", json.dumps({"format": 1, "vault_id": bytes(16).hex(), "region": 1})),
        ("FORMAT", "rot"),
        ("CURRENT", "2\n"),
        ("CURRENT", "rot"),
        ("keyring/1/EDK", "{}"),
        ("keyring/1/EDK", "rot"),
        ("root/root-1-aa.json", "rot"),
        ("vault.toml", "[keys\n"),
    ],
)
def test_an_edk_of_another_vault_or_epoch_or_a_damaged_file_opens_nothing(data_dir, edk, name, content):
    settings = load_settings(data_dir)
    (data_dir / name).write_text(content)
    with pytest.raises(KeyUnavailableError) as caught:
        unlock(data_dir, settings, None)
    assert "without a word" not in str(caught.value)


def test_a_missing_key_file_is_said_to_be_missing(data_dir, edk, key_file):
    key_file.unlink()
    with pytest.raises(KeyUnavailableError, match="key file"):
        unlock(data_dir, load_settings(data_dir), None)


def test_a_child_that_does_not_end_is_ended_and_is_an_error(data_dir, edk, key_file, monkeypatch):
    monkeypatch.setattr(module, "_CHILD_SECONDS", 0.5)
    key_file.unlink()
    os.mkfifo(key_file)  # reading it waits for a writer that never comes
    with pytest.raises(KeyUnavailableError, match="in time"):
        unlock(data_dir, load_settings(data_dir), None)


def test_an_edk_travels_through_a_pipe(data_dir, edk):
    memory = unlock(data_dir, load_settings(data_dir), None)
    reading, writing = os.pipe()
    try:
        send_edk(memory, writing)
        assert contents(receive_edk(reading)) == edk
    finally:
        memory.free()
        os.close(reading)
        os.close(writing)


def test_an_edk_that_comes_in_pieces_is_put_together(data_dir, edk):
    reading, writing = os.pipe()
    os.write(writing, edk[:5])
    os.write(writing, edk[5:])
    os.close(writing)
    assert contents(receive_edk(reading)) == edk
    os.close(reading)


def test_a_pipe_that_ends_early_is_an_error():
    reading, writing = os.pipe()
    os.write(writing, bytes(31))
    os.close(writing)
    with pytest.raises(KeyUnavailableError, match="before the key was whole"):
        receive_edk(reading)
    os.close(reading)


def test_a_secret_that_does_not_open_the_present_epoch_makes_no_further_one(data_dir, edk, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(64))
    (data_dir / "vault.toml").write_text(f'[keys]\nkey_file = "{other}"\n')
    (data_dir / "keyring" / "2").mkdir()
    with pytest.raises(KeyUnavailableError, match="no new epoch, as the present one does not open"):
        create_epoch_key(
            data_dir, load_settings(data_dir), None, vault_id=VAULT_ID, epoch=2, root_key_id="root-2-bb"
        )
    assert [path.name for path in (data_dir / "root").iterdir()] == ["root-1-aa.json"]
