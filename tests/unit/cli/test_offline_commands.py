import fcntl
import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cvault
from vault.cli.main import main

PASSPHRASE = "correct horse battery staple\n"


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    return file


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("founded")
    (folder / "passphrase").write_text(PASSPHRASE)
    options = ["--data", str(folder / "vault"), "--passphrase-file", str(folder / "passphrase")]
    assert main(["init", "--admin", "alice", *options]) == 0
    return folder / "vault"


@pytest.fixture
def data(founded: Path, tmp_path: Path) -> Path:
    """A vault of its own for each test; founding one takes its time."""
    return Path(shutil.copytree(founded, tmp_path / "vault"))


def test_init_founds_a_vault_and_says_what_matters(cvault: Cvault, tmp_path: Path, passphrase: Path) -> None:
    folder = tmp_path / "a vault"
    ran = cvault("init", "--data", folder, "--passphrase-file", passphrase)
    assert (ran.code, ran.err) == (0, "")
    assert "Losing every copy of either is losing every value" in ran.out
    commands = [line.strip() for line in ran.out.rpartition("Next:")[2].splitlines() if line.strip()]
    assert [command.split()[0] for command in commands] == ["cvault", "export", "cvault"]
    assert commands[0] == f"cvault serve --data '{folder}'"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "correct horse" not in ran.out + ran.err


def test_init_speaks_json(cvault: Cvault, tmp_path: Path, passphrase: Path) -> None:
    ran = cvault("init", "--data", tmp_path / "vault", "--passphrase-file", passphrase, "--json")
    for name in ("certificate", "key", "ca"):
        assert Path(ran.document[name]).is_file()
    assert stat.S_IMODE(Path(ran.document["key"]).stat().st_mode) == 0o600


def test_a_vault_is_not_founded_twice(cvault: Cvault, data: Path, passphrase: Path) -> None:
    ran = cvault("init", "--data", data, "--passphrase-file", passphrase)
    assert ran.code == 1
    assert "INVALID_REQUEST" in ran.err


def test_a_new_vault_is_clean(cvault: Cvault, data: Path, passphrase: Path) -> None:
    ran = cvault("check", "--data", data, "--passphrase-file", passphrase, "--json")
    assert ran.code == 0
    assert (ran.document["clean"], ran.document["opened"]) == (True, True)
    locked = cvault("check", "--data", data, "--locked")
    assert locked.code == 0
    assert "keys and records not opened" in locked.out


@pytest.mark.parametrize("place", [10, 100, 200])
def test_a_damaged_ledger_is_found(cvault: Cvault, data: Path, place: int) -> None:
    ledger = data / "ledger" / "entries"
    content = bytearray(ledger.read_bytes())
    content[place] ^= 1
    ledger.write_bytes(content)
    ran = cvault("check", "--data", data, "--locked", "--json")
    assert ran.code == 1
    assert ran.document["clean"] is False
    assert {each["severity"] for each in ran.document["findings"]} == {"error"}


def test_a_wrong_passphrase_is_exit_4(cvault: Cvault, data: Path, passphrase: Path) -> None:
    passphrase.write_text("another")
    ran = cvault("check", "--data", data, "--passphrase-file", passphrase, "--json")
    assert ran.code == 4
    assert json.loads(ran.err)["error"]["reason"] == "KEY_UNAVAILABLE"


def test_a_vault_that_runs_is_not_checked(cvault: Cvault, data: Path) -> None:
    (data / "run").mkdir(exist_ok=True)
    with (data / "run" / "supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = cvault("check", "--data", data, "--locked")
    assert (ran.code, "is running" in ran.err) == (4, True)


def test_a_misspelt_setting_is_named(cvault: Cvault, data: Path) -> None:
    (data / "vault.toml").write_text("[server]\nlissten = 'x'\n")
    ran = cvault("check", "--data", data, "--locked")
    assert (ran.code, "server.lissten" in ran.err) == (1, True)


def test_provider_check_tries_the_provider_without_a_vault(cvault: Cvault, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(64))
    (tmp_path / "vault.toml").write_text(f'[keys]\nkey_file = "{tmp_path / "key"}"\n')
    ran = cvault("keys", "provider-check", "--data", tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("The key provider makes, uses and destroys root keys.\n")
    said = json.loads(cvault("keys", "provider-check", "--data", tmp_path, "--json").out)
    assert (said["provider"], said["assurance"]) == ("file", "best-effort")
    assert said["destroyed"].endswith("Z")
    assert not (tmp_path / "FORMAT").exists()


def test_provider_check_says_what_is_wrong(cvault: Cvault, tmp_path: Path) -> None:
    (tmp_path / "vault.toml").write_text('[keys]\nprovider = "aws-kms"\n')
    ran = cvault("keys", "provider-check", "--data", tmp_path)
    assert ran.code == 4
    assert "keys.aws_kms.region: must be set" in ran.err


def test_the_passphrase_changes(cvault: Cvault, data: Path, passphrase: Path, tmp_path: Path) -> None:
    new = tmp_path / "new passphrase"
    new.write_text("another one\n")
    options = ("--data", data, "--passphrase-file", passphrase, "--new-passphrase-file", new)
    ran = cvault("keys", "passphrase", *options)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("1 root key sealed anew: root-1-")
    assert "Restart the vault" in ran.out
    assert cvault("check", "--data", data, "--passphrase-file", new).code == 0
    assert cvault("check", "--data", data, "--passphrase-file", passphrase).code == 4
    again = cvault("keys", "passphrase", *options, "--json")
    assert (again.document["resealed"], len(again.document["resealed_before"])) == ([], 1)


def test_a_key_file_takes_the_place_of_the_passphrase(
    cvault: Cvault, data: Path, passphrase: Path, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(bytes(range(64)))
    ran = cvault(
        "keys", "passphrase", "--data", data, "--passphrase-file", passphrase, "--new-key-file", key_file
    )
    assert f'Set key_file = "{key_file}"' in ran.out
    (data / "vault.toml").write_text(f'[keys]\nkey_file = "{key_file}"\n')
    assert cvault("check", "--data", data).code == 0
    back = cvault("keys", "passphrase", "--data", data, "--new-passphrase-file", passphrase)
    assert "Take key_file out of vault.toml" in back.out
    (data / "vault.toml").unlink()
    assert cvault("check", "--data", data, "--passphrase-file", passphrase).code == 0


def test_a_wrong_passphrase_is_not_changed(
    cvault: Cvault, data: Path, passphrase: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")
    ran = cvault(
        "keys", "passphrase", "--data", data, "--passphrase-file", wrong, "--new-passphrase-file", wrong
    )
    assert (ran.code, "KEY_UNAVAILABLE" in ran.err) == (4, True)
    assert cvault("check", "--data", data, "--passphrase-file", passphrase).code == 0


def test_a_new_passphrase_needs_a_file_or_a_terminal(cvault: Cvault, data: Path, passphrase: Path) -> None:
    ran = cvault("keys", "passphrase", "--data", data, "--passphrase-file", passphrase)
    assert ran.code == 2
    both = ("--new-passphrase-file", passphrase, "--new-key-file", passphrase)
    assert cvault("keys", "passphrase", "--data", data, *both).code == 2
