"""The access log of a vault, sealed: served, watched, proven, thinned out, and of a customer who is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_id
from tests.scenarios.support.server import serving
from tests.scenarios.support.witness import log_key, watch, witnessing
from tests.scenarios.test_epoch_rotation_served import pid_of
from vault.audit.reader import Entry, records
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.verifying import verify
from vault.core.checking import check
from vault.core.sealing import Sealing, audit_keys
from vault.core.signingkey import rotate_signing_key
from vault.core.trail import Trail
from vault.errors import ActionDeniedError, CustomerUnknownError, IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from vault.tlog.notes import Note, VerifierKey

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
CVAULT = str(Path(sys.executable).parent / "cvault")


def seal(desks: Desks, *, remove_old: bool = False) -> Path:
    """One round; where the tree is."""
    sealing = Sealing(desks.vault.engine)
    sealing.sealer.open()
    try:
        sealing.sealer.seal()
        if remove_old:
            sealing.remove_old()
            sealing.sealer.seal()
    finally:
        sealing.close()
    return sealing.files.root


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.05)


def cvault(*arguments: str | Path, code: int = 0) -> dict[str, object]:
    done = subprocess.run(
        [CVAULT, *map(str, arguments), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout.splitlines()[0]))


def test_accesses_are_listed_alike_before_and_after_sealing(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.crm.read(jane)
    desks.agent.read([*jane, *bob])
    desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    before = desks.privacy.accesses(customer=by_id("crm-1"), principal="agent")
    assert [each.leaf for each in before] == [None]
    seal(desks)
    after = desks.privacy.accesses(customer=by_id("crm-1"), principal="agent")
    assert [(each.time_ms, each.values_masked) for each in after] == [
        (each.time_ms, each.values_masked) for each in before
    ]
    assert after[0].leaf is not None
    status = desks.vault.audit_status(desks.privacy.caller)
    assert status.sealed > 0
    assert status.records > status.sealed


def test_a_listed_access_is_proven_to_be_sealed_and_the_log_to_have_only_grown(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(tokens)
    seal(desks)
    old = desks.vault.audit_status(desks.privacy.caller).sealed
    desks.crm.read(tokens)
    seal(desks)
    (access, *_) = desks.privacy.accesses(principal="crm")
    proof = desks.vault.inclusion_proof(desks.privacy.caller, access.leaf)
    newest = Checkpoint.parse(Note.parse(proof.checkpoint).text)
    assert leaf_hash(proof.entry) == proof.leaf_hash
    verify_inclusion(access.leaf, newest.size, proof.leaf_hash, proof.hashes, newest.root)
    grown = desks.vault.consistency_proof(desks.privacy.caller, old)
    verify_consistency(old, newest.size, grown.old_root, newest.root, grown.hashes)
    with pytest.raises(InvalidRequestError):
        desks.vault.inclusion_proof(desks.privacy.caller, newest.size)
    with pytest.raises(InvalidRequestError):
        desks.vault.consistency_proof(desks.privacy.caller, newest.size + 1)
    for call in (desks.vault.inclusion_proof, desks.vault.consistency_proof):
        with pytest.raises(ActionDeniedError):
            call(desks.crm.caller, 1)


def test_old_entries_are_removed_provably_and_the_log_says_so(deployment: Deployment):
    settings = deployment.data_dir / "vault.toml"
    settings.write_text(settings.read_text().replace("[audit]", "[audit]\nretain_days = 1"))
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
        for _ in range(300):
            desks.crm.read(tokens)
        tree = seal(desks, remove_old=True)
        assert SealedLog.open(tree.parent).first == 0  # they are not old enough
        desks.vault.engine.now_ms = lambda: time.time_ns() // 1_000_000 + 2 * 86_400_000
        seal(desks, remove_old=True)
        log = SealedLog.open(tree.parent)
        assert log.first == 256
        acts = [
            each for each in desks.privacy.accesses(page_size=1000) if each.action == "RemoveAuditEntries"
        ]
        assert [json.loads(each.detail)["removed"] for each in acts] == [256]
        assert not desks.vault.inclusion_proof(desks.privacy.caller, 3).entry
    keys = deployment.data_dir / "public" / "keys.json"
    assert cvault("audit", "verify", tree, "--keys", keys)["first_held"] == 256
    assert not [
        each for each in check(deployment.data_dir, deployment.settings, None) if each.severity == "error"
    ]


def test_nothing_leads_from_a_shredded_customer_to_its_records(deployment: Deployment):
    with deployment.opened() as desks:
        jane = desks.crm.tokens("crm-1", JANE)
        desks.crm.read(jane)
        with desks.vault.engine.store.snapshot() as snapshot, desks.vault.engine.store.keyring() as keys:
            number = next(iter(snapshot.customers(None)))[0]
            book = desks.vault.engine.book
            with book.open(snapshot, keys, int.from_bytes(number[1:6], "big")) as customer:
                locator = customer.dek.locator(number[:6])
        tree = seal(desks)
        assert SealedLog.open(tree.parent).locations([locator])  # who has the key finds the records
        desks.eraser.shred(by_id("crm-1"))
        seal(desks)
        with pytest.raises(CustomerUnknownError):
            desks.privacy.accesses(customer=by_id("crm-1"))
        held = b"".join(path.read_bytes() for path in tree.rglob("*") if path.is_file())
        for text in (*JANE.values(), "crm-1", *jane, *(token[4:] for token in jane)):
            assert text.encode() not in held
        assert not any(bytes.fromhex(token[4:]) in held for token in jane)
    keys = deployment.data_dir / "public" / "keys.json"
    assert cvault("audit", "verify", tree, "--keys", keys)["valid"] is True


def test_what_a_former_key_signed_holds_beside_what_the_new_one_signs(deployment: Deployment, tmp_path: Path):
    keys = deployment.data_dir / "public" / "keys.json"
    with deployment.opened() as desks:
        tokens, engine = desks.crm.tokens("crm-1", JANE), desks.vault.engine
        tree = seal(desks)
        kept = tmp_path / "seen"
        kept.write_bytes((tree / "checkpoint").read_bytes())
        old, sealing = desks.vault.audit_status(desks.privacy.caller).sealed, Sealing(engine)
        rotate_signing_key(engine, Trail(engine.audit))
        assert (sealing.is_current, Sealing(engine).is_current) == (False, True)
        assert desks.vault.inclusion_proof(desks.privacy.caller, 0).checkpoint == kept.read_bytes()
        desks.crm.read(tokens)
        seal(desks)
        former, newest = audit_keys(engine)
        note = Note.parse((tree / "checkpoint").read_bytes())
        assert [each.key for each in notes.verify(note, [newest])] == [newest]
        with pytest.raises(IntegrityFailedError):
            notes.verify(note, [former])
        grown = desks.vault.consistency_proof(desks.privacy.caller, old)
        assert grown.old_root == Checkpoint.parse(Note.parse(kept.read_bytes()).text).root
        assert desks.vault.inclusion_proof(desks.privacy.caller, 0).checkpoint == note.encode()
    assert cvault("audit", "verify", tree, "--keys", keys, "--seen", kept)["valid"] is True


def test_a_served_vault_and_its_witness_go_over_to_a_new_key(deployment: Deployment, tmp_path: Path):
    settings = deployment.data_dir / "vault.toml"
    settings.write_text(settings.read_text().replace("[audit]", "[audit]\nseal_seconds = 1"))
    tree, keys = deployment.data_dir / "audit" / "tree", deployment.data_dir / "public" / "keys.json"
    given = audit_log_key(deployment)
    with witnessing(tmp_path / "witness", log_key(deployment), given) as witness:
        watch(deployment, witness)
        with serving(deployment, tmp_path) as server, server.connect("crm", purpose="support") as crm:
            tokens = list(crm.tokenize("crm-1", JANE).tokens.values())
            wait_until(lambda: (tree / "cosigned").exists())
            cvault("keys", "rotate-signing-key", "--data", deployment.data_dir)
            newest = audit_log_key(deployment)
            crm.detokenize(tokens)
            wait_until(lambda: signed_by((tree / "cosigned").read_bytes(), newest))
        report = cvault("audit", "verify", tree, "--keys", keys, "--witness-key", witness.key)
        assert (report["valid"], report["cosigned"], newest == given) == (True, report["leaves"], False)


def audit_log_key(deployment: Deployment) -> str:
    """The verifier key of a vault's access log, as an operator gets it."""
    shown = [CVAULT, "witness", "log", "--data", str(deployment.data_dir), "--audit"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout.strip()


def signed_by(note: bytes, key: str) -> bool:
    try:
        return bool(notes.verify(Note.parse(note), [VerifierKey.parse(key)]))
    except IntegrityFailedError:
        return False


def published(tree: Path) -> int:
    """Leaves that the newest checkpoint comprises: a moment after sealing, the witness having answered."""
    note = tree / "checkpoint"
    return Checkpoint.parse(Note.parse(note.read_bytes()).text).size if note.exists() else 0


def test_a_served_vault_seals_and_goes_on_after_its_keeper_was_killed(deployment: Deployment, tmp_path: Path):
    settings = deployment.data_dir / "vault.toml"
    settings.write_text(settings.read_text().replace("[audit]", "[audit]\nseal_seconds = 1"))
    tree, keys = deployment.data_dir / "audit" / "tree", deployment.data_dir / "public" / "keys.json"
    with witnessing(tmp_path / "witness", log_key(deployment), audit_log_key(deployment)) as witness:
        watch(deployment, witness)
        with serving(deployment, tmp_path) as server, server.connect("crm", purpose="support") as crm:
            tokens = list(crm.tokenize("crm-1", JANE).tokens.values())
            for _ in range(50):
                crm.detokenize(tokens)
            wait_until(lambda: SealedLog.open(tree.parent).size > 50)
            os.kill(pid_of("keeper", deployment), signal.SIGKILL)
            before = SealedLog.open(tree.parent).size
            for _ in range(50):
                crm.detokenize(tokens)
            wait_until(lambda: published(tree) >= before + 50)  # listed from sealing on, proven from here on
            with server.connect("privacy") as privacy:
                reads = [each for each in privacy.list_access(principal="crm") if each.action == "Detokenize"]
                assert len(reads) == 100
                assert privacy.inclusion_proof(reads[0].leaf or 0).entry
                assert privacy.consistency_proof(before).hashes
            certificate, key = server.certificate("privacy")
            for command in (("prove", str(reads[0].leaf)), ("grown", str(before))):
                own = {
                    "CVAULT_ADDRESS": server.address,
                    "CVAULT_CA": str(deployment.data_dir / "tls" / "ca.crt"),
                }
                own |= {"CVAULT_CERTIFICATE": str(certificate), "CVAULT_KEY": str(key)}
                shown = [CVAULT, "audit", *command, "--keys", str(keys), "--json"]
                done = subprocess.run(
                    shown, env=os.environ | own, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["checked"] is True
        places = [(e.segment, e.offset) for e in records(tree.parent) if isinstance(e, Entry)]
        assert len(places) == len(set(places))
        report = cvault("audit", "verify", tree, "--keys", keys, "--witness-key", witness.key)
        assert (report["valid"], report["cosigned"], report["notes"]) == (True, report["leaves"], [])
    bundle = max(tree.glob("tile/entries/*.p/*"), key=lambda path: int(path.name))
    content = bytearray(bundle.read_bytes())
    content[-5] ^= 1
    bundle.write_bytes(content)
    assert cvault("audit", "verify", tree, "--keys", keys, code=1)["valid"] is False
    assert verify(tree, []).errors
