"""A vault watched by a witness in another process: no older copy brings back what was shredded."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked, checked_shred
from tests.scenarios.support.deployment import Deployment, by_id, new_id
from tests.scenarios.support.witness import log_key, remembered, watch, witnessing
from vault.core.engine import Engine
from vault.erasure.certificate import Statement
from vault.errors import LedgerBehindError, Reason, WitnessUnavailableError
from vault.store.proofs import ledger_key
from vault.tlog import notes
from vault.tlog.notes import Note, VerifierKey


def copied(deployment: Deployment, directory: Path) -> Path:
    return Path(shutil.copytree(deployment.data_dir, directory, symlinks=True))


def put_back(deployment: Deployment, older: Path) -> None:
    shutil.rmtree(deployment.data_dir)
    shutil.copytree(older, deployment.data_dir, symlinks=True)


def signers(statement: Statement, *keys: str) -> list[str]:
    """Which of the keys have signed the checkpoint that a certificate quotes."""
    assert statement.proof is not None
    note = Note.parse(statement.proof.checkpoint.encode())
    return [str(each.key) for each in notes.verify(note, [VerifierKey.parse(key) for key in keys])]


def proved(engine: Engine, seq: int, witness_key: str) -> list[VerifierKey]:
    key = ledger_key(engine.vault_id, engine.secrets.public_key)
    proof = engine.store.prove([seq], key, engine.secrets.signing_key.sign)[0]
    return [each.key for each in proof.verify(key, [VerifierKey.parse(witness_key)])]


def test_a_shred_undone_by_putting_an_older_copy_back_is_not_served(
    deployment: Deployment, tmp_path: Path
) -> None:
    with witnessing(tmp_path / "witness", log_key(deployment)) as witness:
        watch(deployment, witness)
        with deployment.opened() as desks:
            (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        older = copied(deployment, tmp_path / "older")
        with deployment.opened() as desks:
            assert desks.crm.plain(token) == "Jane Doe"
            gone = desks.eraser.shred(by_id("crm-1"))
            assert desks.crm.denied([token]) == [Reason.SHREDDED]
            statement = checked_shred(deployment, gone).statement
            assert statement.held_outside
            assert not [each for each in statement.not_covered if "roll-back" in each]
            seq = statement.entry_seq
            both = [log_key(deployment), witness.key]
            assert signers(statement, *both) == both
            assert remembered(tmp_path / "witness")["size"] == seq
            keys = proved(desks.vault.engine, seq, witness.key)
            assert [str(each) for each in keys] == [log_key(deployment), witness.key]
        put_back(deployment, older)
        with pytest.raises(LedgerBehindError), deployment.opened():
            pass
        command = [str(Path(sys.executable).parent / "cvault"), "serve", "--data", str(deployment.data_dir)]
        served = subprocess.run(
            [*command, "--listen", "127.0.0.1:0"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert served.returncode == 4
        assert "LEDGER_BEHIND" in served.stderr


def test_the_mirror_tells_as_much_as_the_witness(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    with witnessing(tmp_path / "witness", log_key(deployment)) as witness:
        watch(deployment, witness, tmp_path / "mirror")
        with deployment.opened() as desks:
            tokens = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        older = copied(deployment, tmp_path / "older")
        with deployment.opened() as desks:
            desks.eraser.shred(by_id("crm-1"))
        newest = (deployment.data_dir / "ledger" / "entries").read_bytes().rstrip(b"\0")
        assert (tmp_path / "mirror" / "entries").read_bytes().rstrip(b"\0") == newest
        put_back(deployment, older)
        with pytest.raises(LedgerBehindError, match="mirror"), deployment.opened():
            pass
        # The way back: the older copy with the ledger of the mirror. Recovery finishes the shred.
        shutil.copy(tmp_path / "mirror" / "entries", deployment.data_dir / "ledger" / "entries")
        with deployment.opened() as desks:
            desks.crm.store("crm-2", {"name": "Bob Roe"})  # whoever writes next finishes it first
            assert desks.crm.denied(tokens) == [Reason.SHREDDED]


def test_without_the_witness_reads_go_on_and_shreds_wait(deployment: Deployment, tmp_path: Path) -> None:
    directory, request_id = tmp_path / "witness", new_id()
    with witnessing(directory, log_key(deployment)) as witness:
        watch(deployment, witness)
        vault = deployment.opened()
        desks = vault.__enter__()
        tokens = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    try:
        with pytest.raises(WitnessUnavailableError):
            desks.eraser.shred(by_id("crm-1"), request_id)
        assert desks.crm.plain(tokens[0]) == "Jane Doe"
        listen = witness.address.removeprefix("http://")
        with witnessing(directory, log_key(deployment), listen=listen):
            again = desks.eraser.shred(by_id("crm-1"), request_id)
            assert again.erasure is not None
            assert desks.crm.denied(tokens) == [Reason.SHREDDED]
            seq = checked_shred(deployment, again).statement.entry_seq
            assert remembered(directory)["size"] == seq
        # A certificate is to be had without the witness, too: signed by the vault alone.
        followers = desks.vault.engine.store._shared.followers
        assert followers is not None
        assert followers._witnessing is not None
        followers._witnessing.newest = None
        alone = checked(deployment, desks.vault.get_certificate(desks.eraser.caller, again.erasure.shred_id))
        assert signers(alone.statement, log_key(deployment), witness.key) == [log_key(deployment)]
    finally:
        vault.__exit__(None, None, None)
