"""The guard before an old root key is destroyed: first, verified copies of the keyring that replaces it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_id, open_vault
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.server import serving
from tests.scenarios.test_epoch_rotation import findings, root_keys
from tests.scenarios.test_epoch_rotation_served import finished, pid_of, tokens_of, wait_until
from vault.core.keycopies import copy_keyring, note_verified, verify_copy
from vault.model.erasure import MissingCopies, Stage, Step
from vault.store.bundle import Bundle
from vault.store.entries import KeyringVerified
from vault.store.staging import epochs_present

JANE = {"name": "Jane Doe", "email": "jane@example.com"}


@pytest.fixture
def guarded(deployment: Deployment) -> Deployment:
    """A vault that wants two verified copies."""
    want(deployment, 2)
    return deployment


def want(deployment: Deployment, copies: int) -> None:
    path = deployment.data_dir / "vault.toml"
    path.write_text(path.read_text().replace("[keys]", f"[keys]\nverified_copies = {copies}"))


def copy(deployment: Deployment, directory: Path) -> Bundle:
    return copy_keyring(deployment.data_dir, deployment.settings, None, directory)


def verify(deployment: Deployment, path: Path) -> bool:
    bundle, problems = verify_copy(path, deployment.data_dir, None)
    assert problems == []
    return note_verified(deployment.data_dir, deployment.settings, None, bundle)


def erasure_of(desks: Desks, shred_id: str):
    return desks.vault.get_erasure(desks.eraser.caller, shred_id)


def shredded(desks: Desks) -> str:
    desks.crm.tokens("gone", JANE)
    receipt = desks.eraser.shred(by_id("gone")).erasure
    assert receipt is not None
    return receipt.shred_id


def test_the_old_root_key_stands_until_there_are_verified_copies(guarded: Deployment, tmp_path: Path) -> None:
    before_the_rotation = copy(guarded, tmp_path / "keys")
    assert verify(guarded, before_the_rotation.path)
    old = root_keys(guarded)
    with guarded.opened() as desks:
        tokens, gone = desks.crm.tokens("crm-1", JANE), shredded(desks)
        rotating = rotation(desks.vault)
        assert rotating.rotate() == 2
        assert rotating.waits_for == MissingCopies(2, 2)  # copies of the old keyring do not count
        assert rotating.waits_for.in_words() == "waiting for 2 copies of the keyring of epoch 2"
        assert desks.crm.read(tokens).values == list(JANE.values())
        assert desks.crm.tokens("crm-2", JANE)
        (awaited,) = erasure_of(desks, gone).waits_for
        assert (awaited.epoch, awaited.step, awaited.copies) == (1, Step.COPIES, MissingCopies(2, 2))
        assert erasure_of(desks, gone).stage is Stage.EFFECTIVE
    assert set(old) < set(root_keys(guarded))
    assert findings(guarded) == []

    first, second = copy(guarded, tmp_path / "keys"), copy(guarded, tmp_path / "keys")
    with guarded.opened() as desks:
        assert resumed(desks) == MissingCopies(2, 2)  # copies that nobody has opened do not count either
    duplicate = Path(shutil.copytree(first.path, tmp_path / "elsewhere" / first.path.name))
    for path in (first.path, first.path, duplicate):
        assert verify(guarded, path)
    with guarded.opened() as desks:
        assert resumed(desks) == MissingCopies(1, 2)
        assert erasure_of(desks, gone).waits_for[0].copies == MissingCopies(1, 2)
        assert epochs_present(guarded.data_dir) == [1, 2]
    assert verify(guarded, second.path)
    with guarded.opened() as desks:
        (awaited,) = erasure_of(desks, gone).waits_for
        assert awaited.step is Step.DESTRUCTION
        assert resumed(desks) is None
        assert erasure_of(desks, gone).stage is Stage.FINAL_BEST_EFFORT
        verified = [each.payload for each in desks.vault.engine.store.ledger()
                    if isinstance(each.payload, KeyringVerified)]  # fmt: skip
        assert [each.epoch for each in verified] == [1, 2, 2]
    assert epochs_present(guarded.data_dir) == [2]
    assert not set(old) & set(root_keys(guarded))
    assert not verify_is_possible(guarded, before_the_rotation.path)
    assert findings(guarded) == []


def resumed(desks: Desks) -> MissingCopies | None:
    resuming = rotation(desks.vault)
    resuming.resume()
    return resuming.waits_for


def verify_is_possible(deployment: Deployment, path: Path) -> bool:
    command = [sys.executable, "-m", "vault.cli", "keys", "verify", str(path)]
    ran = subprocess.run([*command, "--data", str(deployment.data_dir)], capture_output=True, check=False)
    return ran.returncode == 0


def test_a_copy_that_does_not_open_or_is_unknown_does_not_count(guarded: Deployment, tmp_path: Path) -> None:
    made = copy(guarded, tmp_path / "keys")
    manifest = made.path / "MANIFEST.json"
    document = json.loads(manifest.read_text())
    document["facts"]["entry"] += 1  # an entry of another kind, or none
    genuine = manifest.read_text()
    manifest.write_text(json.dumps(document))
    assert not verify(guarded, made.path)
    manifest.write_text(genuine)
    assert verify_is_possible(guarded, made.path)
    with (made.path / "keyring" / "data.mdb").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    assert not verify_is_possible(guarded, made.path)


def test_another_rotation_meanwhile_waits_for_copies_of_its_own_keyring(
    guarded: Deployment, tmp_path: Path
) -> None:
    with guarded.opened() as desks:
        gone = shredded(desks)
        rotation(desks.vault).rotate()
    for _ in range(2):
        assert verify(guarded, copy(guarded, tmp_path / "keys").path)
    with guarded.opened() as desks:
        rotating = rotation(desks.vault)
        assert rotating.rotate() == 3
        assert rotating.waits_for == MissingCopies(2, 3)
        assert [each.epoch for each in erasure_of(desks, gone).waits_for] == []  # it ended with epoch 1
    assert epochs_present(guarded.data_dir) == [2, 3]
    for _ in range(2):
        assert verify(guarded, copy(guarded, tmp_path / "keys").path)
    with guarded.opened() as desks:
        assert resumed(desks) is None
    assert len(root_keys(guarded)) == 1
    assert findings(guarded) == []


def test_kill_9_while_it_waits_loses_nothing(guarded: Deployment, tmp_path: Path) -> None:
    with guarded.opened() as desks:
        tokens, gone = desks.crm.tokens("crm-1", JANE), shredded(desks)
    command = [sys.executable, "-m", "tests.scenarios.support.rotating", str(guarded.data_dir), "waiting"]
    killed = subprocess.run(command, check=False, timeout=60, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    for _ in range(2):
        with open_vault(guarded.data_dir, "after", unlocking=True) as desks:
            assert desks.crm.read(tokens).values == list(JANE.values())
            assert resumed(desks) == MissingCopies(2, 2)
            assert erasure_of(desks, gone).stage is Stage.EFFECTIVE
        assert epochs_present(guarded.data_dir) == [1, 2]
        assert len(root_keys(guarded)) == 2
    for _ in range(2):
        assert verify(guarded, copy(guarded, tmp_path / "keys").path)
    with open_vault(guarded.data_dir, "after", unlocking=True) as desks:
        assert resumed(desks) is None
        assert desks.crm.read(tokens).values == list(JANE.values())
    assert len(root_keys(guarded)) == 1
    assert findings(guarded) == []


def test_a_served_vault_says_what_it_waits_for_and_finishes_by_itself(
    deployment: Deployment, tmp_path: Path
) -> None:
    want(deployment, 1)
    with serving(deployment, tmp_path) as server:
        with server.connect("crm", purpose="support") as crm, server.connect("eraser") as eraser:
            tokens = tokens_of(crm.tokenize("crm-1", JANE))
            crm.tokenize("gone", JANE)
            gone = eraser.shred(external_id="gone").erasure
        with server.connect("admin") as admin, server.connect("eraser") as eraser:
            asked = admin.rotate_epoch()
            wait_until(lambda: admin.epoch_rotation(asked.name).waits_for != "")
            waiting = admin.epoch_rotation(asked.name)
            assert (waiting.finished, waiting.step, waiting.epoch) == (False, "copies", 2)
            assert waiting.waits_for == "waiting for 1 copy of the keyring of epoch 2"
            (awaited,) = eraser.get_erasure(gone.shred_id).waits_for
            assert (awaited.step, awaited.missing_copies, awaited.missing_copies_epoch) == ("copies", 1, 2)
            os.kill(pid_of("keeper", deployment), signal.SIGKILL)
            assert cvault("keys", "copy", tmp_path / "keys", "--data", deployment.data_dir) == 0
            (made,) = (tmp_path / "keys").iterdir()
            assert not admin.epoch_rotation(asked.name).finished
            assert admin.keyring_status().epoch == 2
            assert cvault("keys", "verify", made, "--data", deployment.data_dir) == 0
            done = finished(admin, admin.epoch_rotation(asked.name))
            assert (done.error, done.waits_for, done.epoch) == (None, "", 2)
            assert eraser.get_erasure(gone.shred_id).stage == "final-best-effort"
        with server.connect("crm", purpose="support") as crm:
            assert crm.detokenize(tokens).plain_list() == list(JANE.values())
    assert epochs_present(deployment.data_dir) == [2]
    assert len(root_keys(deployment)) == 1


def cvault(*arguments: object) -> int:
    command = [sys.executable, "-m", "vault.cli", *map(str, arguments)]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
