"""Proofs that entries are in the ledger: they hold for this entry, ledger and key, and nothing else."""

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID
from tests.unit.tlog.samples import LOG_SEED, OTHER_SEED, mth
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, StorageFullError
from vault.store.entries import Genesis, PrincipalRevoked
from vault.store.ledger import Ledger, pack_body
from vault.store.proofs import LedgerProof, ledger_key
from vault.store.store import Store
from vault.tlog.merkle import verify_consistency

KEY = ledger_key(VAULT_ID, hazmat.public_key(LOG_SEED))


def sign(public_key: bytes, message: bytes) -> bytes:
    assert public_key == KEY.public_key
    return hazmat.sign(LOG_SEED, message)


def log_sign(message: bytes) -> bytes:
    return sign(KEY.public_key, message)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "vault", VAULT_ID, REGION, sign=sign) as store:
        with store.write() as session:
            session.append(Genesis(VAULT_ID, KEY.public_key))
            for principal in range(1, 600):
                session.append(PrincipalRevoked(principal))
            session.commit()
        store.finish_creation()
        yield store


def append(store: Store) -> None:
    with store.write() as session:
        session.append(PrincipalRevoked(7))
        session.commit()


def bodies(store: Store) -> list[bytes]:
    return [pack_body(entry.seq, entry.time_ms, entry.payload) for entry in store.ledger()]


@pytest.mark.parametrize("seq", [1, 2, 255, 256, 257, 511, 512, 600])
def test_an_entry_is_proved_with_the_public_key_alone(store: Store, seq: int) -> None:
    proof = store.prove([seq], KEY, log_sign)[0]
    (signed,) = proof.verify(KEY)
    assert signed.key == KEY
    (entry,) = [each for each in store.ledger(seq - 1) if each.seq == seq]
    assert (proof.seq, proof.leaf) == (seq, entry.leaf)


def test_the_checkpoint_is_the_ledgers(store: Store) -> None:
    lines = store.prove([1], KEY, log_sign)[0].checkpoint.decode().splitlines()
    assert lines[0] == f"customervault/{VAULT_ID.hex()}/ledger"
    assert lines[1] == "600"
    assert base64.b64decode(lines[2]) == mth(bodies(store))


def test_a_proof_holds_for_nothing_else(store: Store) -> None:
    proof, other = store.prove([300], KEY, log_sign)[0], store.prove([301], KEY, log_sign)[0]
    stranger = ledger_key(VAULT_ID, hazmat.public_key(OTHER_SEED))
    elsewhere = ledger_key(bytes(16), KEY.public_key)
    wrong: list[LedgerProof] = [
        replace(proof, seq=301),
        replace(proof, leaf=other.leaf),
        replace(proof, hashes=other.hashes),
        replace(proof, hashes=proof.hashes[:-1]),
        replace(proof, checkpoint=proof.checkpoint.replace(b"\n600\n", b"\n601\n")),
    ]
    for each in wrong:
        with pytest.raises(IntegrityFailedError):
            each.verify(KEY)
    for key in (stranger, elsewhere):
        with pytest.raises(IntegrityFailedError):
            proof.verify(key)


@pytest.mark.parametrize("seq", [0, -1, 601])
def test_what_is_not_there_is_not_proved(store: Store, seq: int) -> None:
    with pytest.raises(ValueError, match="no such entry"):
        store.prove([seq], KEY, log_sign)[0]


def test_the_tree_is_the_same_after_reopening_and_in_every_view(store: Store) -> None:
    before = store.prove([1], KEY, log_sign)[0].checkpoint
    again = Ledger.open(store.path / "ledger" / "entries", VAULT_ID)
    assert again.checkpoint().text().encode() == before.partition(b"\n\n")[0] + b"\n"
    again.close()
    ledger = store._shared.ledger
    old = ledger.checkpoint()
    append(store)
    new = ledger.checkpoint()
    assert (old.size, new.size) == (600, 601)
    verify_consistency(600, 601, old.root, new.root, ledger.consistency_proof(600))
    assert ledger.checkpoint(600) == old


def test_what_did_not_reach_the_disk_is_not_in_the_tree(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = store._shared.ledger
    before = ledger.checkpoint()
    true_sync = os.fdatasync
    calls = []

    def failing_once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(28, "made up")
        true_sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", failing_once)
    with pytest.raises(StorageFullError):
        append(store)
    assert ledger.checkpoint() == before
