"""`cvault backup restore` asks mirror and witness: a ledger can be whole, and older than they know."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, by_id
from tests.scenarios.support.witness import Witness, log_key, watch, witnessing
from tests.scenarios.test_epoch_rotation import findings
from tests.scenarios.test_witness import copied, put_back
from vault.core.backup import create_backup
from vault.core.keycopies import copy_keyring
from vault.errors import Reason
from vault.store.mirror import MIRRORED_FILE

LEDGER = Path("ledger") / "entries"
JANE = {"name": "Jane Doe"}


def restore(deployment: Deployment, backup: Path, *options: object) -> tuple[int, str]:
    """The command's exit code, and what it says on standard error."""
    command = [sys.executable, "-m", "vault.cli", "backup", "restore", backup, "--yes", *options]
    arguments = [*map(str, command), "--data", str(deployment.data_dir)]
    ran = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=120)
    return ran.returncode, ran.stderr


def refused(deployment: Deployment, backup: Path, *options: object) -> tuple[int, str]:
    """The same, and nothing of the vault was changed."""

    def content() -> dict[str, bytes]:
        files = [each for each in deployment.data_dir.rglob("*") if each.is_file()]
        kept = [each for each in files if each.name != "lock.mdb" and "run" not in each.parts]
        return {str(each): each.read_bytes() for each in kept}

    before = content()
    code, said = restore(deployment, backup, *options)
    assert code != 0
    assert content() == before
    return code, said


def rolled_back(deployment: Deployment, tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """A backup, the newest ledger, a shredded customer's token; the vault is as before the shred."""
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    backup = create_backup(deployment.data_dir, tmp_path / "backups").path
    older = copied(deployment, tmp_path / "older")
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-1"))
    newest = Path(shutil.copy(deployment.data_dir / LEDGER, tmp_path / "newest"))
    put_back(deployment, older)
    return backup, newest, tokens


def assert_shredded(deployment: Deployment, tokens: list[str]) -> None:
    with deployment.opened() as desks:
        assert desks.crm.denied(tokens) == [Reason.SHREDDED]
    assert findings(deployment) == []


@pytest.fixture
def mirror(deployment: Deployment, tmp_path: Path) -> Path:
    directory = tmp_path / "mirror"
    directory.mkdir()
    path = deployment.data_dir / "vault.toml"
    path.write_text(f'{path.read_text()}\n[ledger]\nmirror = "{directory}"\n')
    return directory


def test_a_ledger_behind_its_mirror(deployment: Deployment, mirror: Path, tmp_path: Path) -> None:
    backup, _, tokens = rolled_back(deployment, tmp_path)
    code, said = refused(deployment, backup)
    assert (code, "the ledger's mirror knows entry" in said) == (1, True)
    assert restore(deployment, backup, "--ledger", mirror)[0] == 0
    assert (deployment.data_dir / "ledger" / MIRRORED_FILE).exists()
    assert_shredded(deployment, tokens)


def test_a_mirror_that_is_not_mounted(deployment: Deployment, mirror: Path, tmp_path: Path) -> None:
    """Its empty mount point is no new mirror, in a vault's own directory or on another machine."""
    backup, _, tokens = rolled_back(deployment, tmp_path)
    mirror.rename(tmp_path / "unmounted")
    mirror.mkdir()
    for _ in range(2):
        code, said = refused(deployment, backup)
        assert (code, "mirror is missing" in said) == (4, True)
        assert list(mirror.iterdir()) == []
        (deployment.data_dir / "ledger" / MIRRORED_FILE).unlink(missing_ok=True)
    mirror.rmdir()
    (tmp_path / "unmounted").rename(mirror)
    assert restore(deployment, backup, "--ledger", mirror)[0] == 0
    assert_shredded(deployment, tokens)


@pytest.fixture
def witness(deployment: Deployment, tmp_path: Path) -> Iterator[Witness]:
    with witnessing(tmp_path / "witness", log_key(deployment)) as witness:
        watch(deployment, witness)
        yield witness


def test_a_ledger_behind_its_witness(deployment: Deployment, witness: Witness, tmp_path: Path) -> None:
    assert witness.key
    backup, newest, tokens = rolled_back(deployment, tmp_path)
    code, said = refused(deployment, backup)
    assert (code, "LEDGER_BEHIND" in said) == (4, True)
    assert restore(deployment, backup, "--ledger", newest)[0] == 0
    assert_shredded(deployment, tokens)


def test_a_lost_machine_and_an_older_ledger(deployment: Deployment, witness: Witness, tmp_path: Path) -> None:
    """Backup, ledger and copy of the keyring fit together; only the witness has seen more."""
    assert witness.key
    data_dir = deployment.data_dir
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    keys = copy_keyring(data_dir, deployment.settings, None, tmp_path / "keys").path
    backup = create_backup(data_dir, tmp_path / "backups").path
    with deployment.opened() as desks:
        desks.eraser.shred(by_id("crm-1"))
    newest = Path(shutil.copy(data_dir / LEDGER, tmp_path / "newest"))
    other = Deployment(tmp_path / "other", deployment.founded)
    other.data_dir.mkdir()
    (other.data_dir / "run").mkdir()
    shutil.copy(data_dir / "vault.toml", other.data_dir)
    shutil.copytree(data_dir / "root", other.data_dir / "root")
    shutil.rmtree(data_dir)
    code, said = refused(other, backup, "--keyring", keys, "--ledger", backup / LEDGER)
    assert (code, "LEDGER_BEHIND" in said) == (4, True)
    assert restore(other, backup, "--keyring", keys, "--ledger", newest)[0] == 0
    assert_shredded(other, tokens)


def test_a_witness_that_is_away(deployment: Deployment, tmp_path: Path) -> None:
    with witnessing(tmp_path / "witness", log_key(deployment)) as witness:
        watch(deployment, witness)
        backup, newest, _ = rolled_back(deployment, tmp_path)
    for options in ((), ("--ledger", newest)):
        code, said = refused(deployment, backup, *options)
        assert (code, "WITNESS_UNAVAILABLE" in said) == (4, True)
