"""The signing key changes: what the old one signed stays verifiable, whatever crashes meanwhile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked, checked_shred, published_keys
from tests.scenarios.support.deployment import Deployment, Desks, by_id
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.server import serving
from tests.scenarios.support.witness import log_key, remembered, watch, witnessing
from tests.scenarios.test_epoch_rotation import findings
from tests.scenarios.test_epoch_rotation_served import Traffic
from vault.cli.main import main
from vault.core.backup import create_backup, verify_backup
from vault.core.keycopies import copy_keyring
from vault.core.signingkey import rotate_signing_key
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.erasure.verifying import verify
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError
from vault.model.requests import Certificate
from vault.store.entries import SigningKeyChanged
from vault.store.files import Format
from vault.store.ledger import Ledger, pack_body

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
KILLED = """
import os, sys
from pathlib import Path
from tests.scenarios.support.deployment import open_vault
from vault.core.signingkey import rotate_signing_key
from vault.core.trail import Trail

wanted, seen = sys.argv[2], []

def at(step):
    seen.append(step)
    if " ".join(seen) == wanted:
        os.kill(os.getpid(), 9)

with open_vault(Path(sys.argv[1]), "rotating", unlocking=True) as desks:
    desks.vault.engine.store._shared.after_step = at
    rotate_signing_key(desks.vault.engine, Trail(desks.vault.engine.audit))
print(seen)
"""
PREPARE, ENTER = ["keyring", "values"], ["ledger", "keyring", "values"]
STEPS = [" ".join((PREPARE + ENTER)[:length]) for length in range(1, 6)]


def rotate(desks: Desks) -> str:
    return rotate_signing_key(desks.vault.engine, Trail(desks.vault.engine.audit))


def shred(deployment: Deployment, desks: Desks, external_id: str) -> Certificate:
    """Its certificate, which holds by what the vault has published."""
    desks.crm.store(external_id, JANE)
    gone = desks.eraser.shred(by_id(external_id))
    checked_shred(deployment, gone)
    assert gone.certificate is not None
    return gone.certificate


def test_both_keys_verify_what_they_have_signed(deployment: Deployment, tmp_path: Path) -> None:
    keys_file = deployment.data_dir / "public" / "keys.json"
    with deployment.opened() as desks:
        old = shred(deployment, desks, "crm-1")
        before = published_keys(deployment.data_dir)
        key_id = rotate(desks)
        new = shred(deployment, desks, "crm-2")
        assert (old.key_id != key_id, new.key_id) == (True, key_id)
        assert desks.vault.keyring_status(desks.admin.caller).signing_key_id == key_id
    assert list(published_keys(deployment.data_dir)) == [old.key_id, new.key_id]
    for certificate in (old, new):
        checked(deployment, certificate)
        file = tmp_path / f"{certificate.key_id}.json"
        file.write_bytes(certificate.content)
        command = ["erasure", "verify", str(file), "--keys", str(keys_file)]
        assert main([*command, "--trust", old.key_id]) == 0
        assert main([*command, "--trust", new.key_id]) == (0 if certificate is new else 1)
    with pytest.raises(InvalidRequestError):
        verify(new.content, before, now_ms=2**60)
    assert findings(deployment) == []


def test_it_goes_on_through_restarts_rotations_and_new_epochs(deployment: Deployment) -> None:
    made = []
    for number in range(3):
        with deployment.opened() as desks:
            made.append(rotate(desks))
            shred(deployment, desks, f"crm-{number}")
            rotation(desks.vault).rotate()
            shred(deployment, desks, f"other-{number}")
            desks.vault.engine.store.verify_ledger()
            assert desks.vault.engine.secrets.signing_key.key_id == made[-1]
    assert list(published_keys(deployment.data_dir))[1:] == made
    assert findings(deployment) == []


def test_the_former_private_key_is_gone(desks: Desks) -> None:
    secrets = desks.vault.engine.secrets
    former = secrets.public_key
    rotate(desks)
    assert former in secrets.public_keys
    assert not secrets.can_sign(former)
    with desks.vault.engine.store.keyring() as keys:
        names = [name for name, _ in keys.secrets() if name.startswith("signing-key")]
    assert [name.rpartition("/")[0] for name in names] == ["", "signing-key/former"]


@pytest.mark.parametrize("steps", STEPS)
def test_killed_at_any_step_it_can_be_repeated(deployment: Deployment, steps: str) -> None:
    command = [sys.executable, "-c", KILLED, str(deployment.data_dir), steps]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    entered = "ledger" in steps
    with deployment.opened() as desks:
        certificate = shred(deployment, desks, "crm-1")
        changes = [each for each in desks.vault.engine.store.ledger()
                   if isinstance(each.payload, SigningKeyChanged)]  # fmt: skip
        assert len(changes) == entered
        keys = list(published_keys(deployment.data_dir))
        assert (len(keys), certificate.key_id) == (1 + entered, keys[-1])
        again = rotate(desks)
        assert shred(deployment, desks, "crm-2").key_id == again
        desks.vault.engine.store.verify_ledger()
    assert findings(deployment) == []


def test_a_ledger_continued_with_the_former_key_is_found(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        seed = desks.vault.engine.secrets.signing_key._seed
        rotate(desks)
        desks.vault.engine.store.sign = lambda _, message: hazmat.sign(seed, message)
        desks.crm.store("crm-1", JANE)
        desks.eraser.shred(by_id("crm-1"))
    assert any("LEDGER_DAMAGED" in each for each in findings(deployment))


def test_a_chain_that_forks_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    """Whoever has the former key names a key of his own in a ledger from before the change."""
    ledger = deployment.data_dir / "ledger" / "entries"
    with deployment.opened() as desks:
        former = desks.vault.engine.secrets.signing_key._seed
        before = ledger.read_bytes()
    stranger = hazmat.random_bytes(32)
    seeds = {hazmat.public_key(each): each for each in (former, stranger)}
    with deployment.opened() as desks:
        rotate(desks)
        length = desks.vault.engine.store.ledger_entries()
    ledger.write_bytes(before)
    forged = Forger(deployment, seeds)
    forged.append(SigningKeyChanged(hazmat.public_key(stranger)))
    while forged.length < length:
        forged.append(SigningKeyChanged(forged.new_key()))
    with pytest.raises(IntegrityFailedError), deployment.opened():
        pass
    assert any("LEDGER" in each for each in findings(deployment))


class Forger:
    """Writes a ledger with private keys of his own."""

    def __init__(self, deployment: Deployment, seeds: dict[bytes, bytes]) -> None:
        self._deployment = deployment
        self._seeds = seeds
        self.length = 0

    def new_key(self) -> bytes:
        """The public key of a new private key."""
        seed = hazmat.random_bytes(32)
        self._seeds[hazmat.public_key(seed)] = seed
        return hazmat.public_key(seed)

    def append(self, payload: SigningKeyChanged) -> None:
        """Appends an entry, signed with the key that the forged ledger names."""
        path, vault_id = (
            self._deployment.data_dir / "ledger" / "entries",
            Format.read(self._deployment.data_dir).vault_id,
        )
        ledger = Ledger.open(path, vault_id)
        body = pack_body(ledger.last.seq + 1, 0, payload)
        ledger.append_all([body], lambda public_key, message: hazmat.sign(self._seeds[public_key], message))
        self.length = ledger.last.seq
        ledger.close()


def test_backups_from_before_are_restored(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        kept = desks.crm.tokens("kept", JANE)
        desks.crm.store("gone", JANE)
        backup = create_backup(deployment.data_dir, tmp_path, store=desks.vault.engine.store)
        rotate(desks)
        gone = shred(deployment, desks, "gone")
    assert verify_backup(backup.path)[1] == []
    restore(deployment, backup.path)
    with deployment.opened() as desks:
        assert desks.crm.plain(kept[0]) == "Jane Doe"
        again = shred(deployment, desks, "later")
        assert again.key_id == gone.key_id
    assert findings(deployment) == []


def test_a_copy_of_the_keyring_from_before_is_too_old(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        backup = create_backup(deployment.data_dir, tmp_path / "data", store=desks.vault.engine.store)
    copy = copy_keyring(deployment.data_dir, deployment.settings, None, tmp_path / "keys")
    with deployment.opened() as desks:
        rotate(desks)
    with pytest.raises(KeyUnavailableError, match="older than the ledger"):
        restore(deployment, backup.path, keyring_copy=copy.path)
    with deployment.opened() as desks:
        shred(deployment, desks, "crm-1")


def test_every_process_goes_over_to_the_new_key(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["keys", "rotate-signing-key", "--data", str(deployment.data_dir), "--json"]
    with serving(deployment, tmp_path) as server:
        with Traffic(server) as traffic:
            for _ in range(2):
                assert main(command) == 0
        key_id = json.loads(capsys.readouterr().out.splitlines()[-1])["signing_key_id"]
        assert traffic.failures == []
        for number in range(6):
            with server.connect("crm") as crm, server.connect("eraser") as eraser:
                crm.tokenize(f"crm-{number}", JANE)
                assert eraser.shred(external_id=f"crm-{number}").certificate.key_id == key_id
    assert findings(deployment) == []


def test_a_witness_follows_from_the_key_that_it_was_given(deployment: Deployment, tmp_path: Path) -> None:
    first = log_key(deployment)
    directory = tmp_path / "witness"
    with witnessing(directory, first) as witness:
        watch(deployment, witness)
        with deployment.opened() as desks:
            rotate(desks)
            rotate(desks)
            shred(deployment, desks, "crm-1")
            entries = desks.vault.engine.store.ledger_entries()
        assert remembered(directory)["size"] == entries
    assert log_key(deployment) != first
    listen = witness.address.removeprefix("http://")
    for known in (first, log_key(deployment)):  # it remembers what it followed; the newest key will do, too
        with witnessing(directory, known, listen=listen), deployment.opened() as desks:
            certificate = shred(deployment, desks, f"crm-{known[-6:]}")
            assert checked(deployment, certificate).statement.held_outside


def test_a_new_witness_follows_a_ledger_whose_key_has_changed(deployment: Deployment, tmp_path: Path) -> None:
    first = log_key(deployment)
    with deployment.opened() as desks:
        rotate(desks)
    with witnessing(tmp_path / "witness", first) as witness:
        watch(deployment, witness)
        with deployment.opened() as desks:
            shred(deployment, desks, "crm-1")
            entries = desks.vault.engine.store.ledger_entries()
        assert remembered(tmp_path / "witness")["size"] == entries
