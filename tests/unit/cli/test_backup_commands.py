import fcntl
import json
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cvault, Ran
from vault.audit.reader import Entry, records
from vault.audit.records import ActRecord
from vault.cli.main import main


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("founded")
    (folder / "key-file").write_bytes(bytes(range(64)))
    (folder / "vault").mkdir()
    (folder / "vault" / "vault.toml").write_text(f'[keys]\nkey_file = "{folder / "key-file"}"\n')
    assert main(["init", "--admin", "alice", "--data", str(folder / "vault")]) == 0
    return folder / "vault"


@pytest.fixture
def data(founded: Path, tmp_path: Path) -> Path:
    """A vault of its own for each test; founding one takes its time."""
    return Path(shutil.copytree(founded, tmp_path / "vault"))


def made(ran: Ran) -> Path:
    assert (ran.code, ran.err) == (0, "")
    return Path(ran.document["path"])


def create(cvault: Cvault, data: Path) -> Path:
    return made(cvault("backup", "create", data.parent / "backups", "--data", data, "--json"))


def copy(cvault: Cvault, data: Path, *options: str) -> Path:
    return made(cvault("keys", "copy", data.parent / "keys", "--data", data, "--json", *options))


def test_create_verify_list(cvault: Cvault, data: Path) -> None:
    path = create(cvault, data)
    assert cvault("backup", "verify", path).out == f"{path.name} is whole\n"
    listed = cvault("backup", "list", path.parent, "--json").document
    assert (listed["name"], listed["epoch"]) == (path.name, 1)
    assert path.name in cvault("backup", "list", path.parent).out


def test_a_backup_is_made_while_the_vault_runs(cvault: Cvault, data: Path) -> None:
    with (data / "run" / "supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert create(cvault, data).is_dir()
        assert copy(cvault, data).is_dir()


def test_a_damaged_backup_is_exit_1(cvault: Cvault, data: Path) -> None:
    path = create(cvault, data)
    (path / "tls" / "ca.crt").write_text("another")
    ran = cvault("backup", "verify", path, "--json")
    assert (ran.code, ran.document["whole"]) == (1, False)
    assert [each["file"] for each in ran.document["problems"]] == ["tls/ca.crt"]
    ran = cvault("backup", "restore", path, "--data", data, "--yes")
    assert (ran.code, "INTEGRITY_FAILED" in ran.err) == (1, True)


def test_what_is_no_backup_is_refused(cvault: Cvault, data: Path) -> None:
    ran = cvault("backup", "verify", data)
    assert (ran.code, "MANIFEST.json" in ran.err) == (1, True)
    keys = copy(cvault, data)
    ran = cvault("backup", "restore", keys, "--data", data, "--yes")
    assert (ran.code, "another kind" in ran.err) == (1, True)


def test_prune_keeps_the_newest(cvault: Cvault, data: Path) -> None:
    paths = [create(cvault, data) for _ in range(3)]
    ran = cvault("backup", "prune", paths[0].parent, "--keep", "1", "--older-than", "1", "--json")
    assert ran.document["removed"] == []
    ran = cvault("backup", "prune", paths[0].parent, "--keep", "1", "--json")
    assert ran.document == {"removed": [each.name for each in paths[:2]], "kept": [paths[2].name]}
    assert [each.exists() for each in paths] == [False, False, True]


def test_prune_keeps_what_the_vault_keeps_keys_for(cvault: Cvault, data: Path) -> None:
    paths = [create(cvault, data) for _ in range(2)]
    prune = "backup", "prune", paths[0].parent, "--data", data, "--json"
    assert cvault(*prune).document["removed"] == []
    with (data / "vault.toml").open("a") as settings:
        settings.write("[backup]\nkeep_days = 0\n")
    assert cvault(*prune).document == {"removed": [paths[0].name], "kept": [paths[1].name]}


def test_restore_looks_first_then_asks(cvault: Cvault, data: Path) -> None:
    path = create(cvault, data)
    assert cvault("backup", "restore", path, "--data", data).code == 2
    ran = cvault("backup", "restore", path, "--data", data, "--dry-run", "--json")
    assert (ran.code, ran.document["exact"], ran.document["incarnation"]) == (0, True, 1)
    assert "Nothing was restored" in ran.err
    assert not (data / "restore").exists()
    ran = cvault("backup", "restore", path, "--data", data, "--yes")
    assert ran.code == 0
    assert "opened" in ran.out
    assert cvault("check", "--data", data).code == 0
    again = cvault("backup", "restore", path, "--data", data, "--yes", "--json")
    assert again.document["incarnation"] == 2


def test_a_running_vault_is_not_restored(cvault: Cvault, data: Path) -> None:
    path = create(cvault, data)
    with (data / "run" / "supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = cvault("backup", "restore", path, "--data", data, "--yes")
    assert (ran.code, "is running" in ran.err) == (4, True)


def test_an_interrupted_restore_blocks_the_vault_and_is_finished(cvault: Cvault, data: Path) -> None:
    path = create(cvault, data)
    report = cvault("backup", "restore", path, "--data", data, "--dry-run", "--json").document
    (data / "RESTORING").write_text(json.dumps({"names": [], "report": report}))
    for command in (["check", "--data", data], ["serve", "--data", data], ["backup", "create", path.parent]):
        ran = cvault(*command, *(["--data", data] if command[0] == "backup" else []))
        assert "cvault backup restore" in ran.err
        assert ran.code == 4
    ran = cvault("backup", "restore", path, "--data", data, "--yes")
    assert (ran.code, "was finished" in ran.err) == (0, True)
    assert cvault("check", "--data", data).code == 0


def test_a_lost_machine(cvault: Cvault, data: Path, tmp_path: Path) -> None:
    path, keys = create(cvault, data), copy(cvault, data, "--with-root-keys")
    mirror = Path(shutil.copy(data / "ledger" / "entries", tmp_path / "mirror"))
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(data / "vault.toml", new)
    shutil.copytree(keys / "root", new / "root")
    shutil.rmtree(data)
    options = ["--data", new, "--yes"]
    ran = cvault("backup", "restore", path, *options, "--keyring", keys)
    assert (ran.code, "--ledger" in ran.err) == (1, True)
    ran = cvault("backup", "restore", path, *options, "--ledger", mirror)
    assert (ran.code, "--keyring" in ran.err) == (1, True)
    assert cvault("backup", "restore", path, *options, "--keyring", keys, "--ledger", mirror).code == 0
    assert cvault("check", "--data", new).code == 0


def test_copies_of_the_keyring(cvault: Cvault, data: Path) -> None:
    path = copy(cvault, data)
    assert not (path / "root").exists()
    assert cvault("keys", "verify", path, "--data", data).code == 0
    listed = cvault("keys", "copies", path.parent, "--data", data, "--json").document
    assert (listed["worth"], listed["epoch"], listed["provider"]) == ("in use", 1, "file")
    assert cvault("keys", "prune", path.parent, "--data", data, "--json").document["removed"] == []
    assert cvault("keys", "prune", path.parent, "--data", data, "--keep", "0").code == 0
    assert not path.exists()


def test_a_copy_without_its_root_key_opens_nothing(cvault: Cvault, data: Path) -> None:
    path = copy(cvault, data)
    shutil.rmtree(data / "root")
    assert cvault("keys", "verify", path, "--data", data, "--locked").code == 0
    assert cvault("keys", "verify", path, "--data", data).code == 4


def acts(data: Path) -> list[tuple[str, dict[str, object]]]:
    """What the operator did, by the access log."""
    found = [each.record for each in records(data / "audit") if isinstance(each, Entry)]
    assert {each.principal for each in found if isinstance(each, ActRecord)} == {"local operator"}
    return [(each.action, json.loads(each.detail)) for each in found if isinstance(each, ActRecord)]


def test_backups_copies_and_restores_are_in_the_access_log(cvault: Cvault, data: Path) -> None:
    path, keys = create(cvault, data), copy(cvault, data)
    assert cvault("backup", "restore", path, "--data", data, "--yes").code == 0
    (data.parent / "new-key-file").write_bytes(bytes(64))
    changed = cvault("keys", "passphrase", "--data", data, "--new-key-file", data.parent / "new-key-file")
    assert changed.code == 0
    backup, copied, restored, passphrase = acts(data)
    assert (backup[0], backup[1]["name"]) == ("CreateBackup", path.name)
    assert copied == ("CopyKeyring", {"epoch": 1, "name": keys.name, "with_root_key": False})
    assert (restored[0], restored[1]["backup"], restored[1]["lost"]) == ("Restore", path.name, 0)
    assert passphrase == ("ChangePassphrase", {"key_file": True})


def test_what_cannot_be_recorded_is_not_made(cvault: Cvault, data: Path) -> None:
    shutil.rmtree(data / "audit")
    for command in (("backup", "create", data.parent / "b"), ("keys", "copy", data.parent / "b")):
        ran = cvault(*command, "--data", data)
        assert (ran.code, "AUDIT_UNAVAILABLE" in ran.err) == (4, True)
    assert not list(data.parent.glob("b/*"))
