"""Ledger proofs as certificates quote them. RFC 6962 itself is tested in tests/unit/tlog."""

from dataclasses import replace

import pytest

from tests.unit.tlog.samples import LOG_SEED, OTHER_SEED, mth, path
from vault.crypto import hazmat
from vault.erasure.certificate import LedgerProof
from vault.erasure.inclusion import check_proof
from vault.errors import IntegrityFailedError
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import leaf_hash
from vault.tlog.notes import ED25519, VerifierKey

ENTRIES = [bytes([number]) for number in range(20)]
KEY = VerifierKey("a/ledger", ED25519, hazmat.public_key(LOG_SEED))
OTHER_KEY = VerifierKey("a/ledger", ED25519, hazmat.public_key(OTHER_SEED))
ELSEWHERE = VerifierKey("b/ledger", ED25519, hazmat.public_key(LOG_SEED))


def checkpoint(key: VerifierKey = KEY, seed: bytes = LOG_SEED) -> str:
    made = Checkpoint(key.name, len(ENTRIES), mth(ENTRIES))
    return made.signed(key, lambda message: hazmat.sign(seed, message)).encode().decode()


PROOF = LedgerProof(leaf_hash(ENTRIES[9]), 9, 20, tuple(path(9, ENTRIES)), checkpoint())


def test_a_proof_leads_to_the_root_of_a_checkpoint_that_one_of_the_keys_signed() -> None:
    check_proof(PROOF, [OTHER_KEY, KEY])


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PROOF, checkpoint=""),
        replace(PROOF, checkpoint="a/ledger\n20\n"),
        replace(PROOF, checkpoint="\ud800"),
        replace(PROOF, checkpoint=PROOF.checkpoint.partition("\n\n")[0] + "\n"),
        replace(PROOF, checkpoint=PROOF.checkpoint.replace("\n20\n", "\n21\n")),
        replace(PROOF, checkpoint=checkpoint(OTHER_KEY, OTHER_SEED)),
        replace(PROOF, checkpoint=checkpoint(ELSEWHERE)),
        replace(PROOF, checkpoint=checkpoint(KEY, OTHER_SEED)),
        replace(PROOF, tree_size=21),
        replace(PROOF, leaf_index=8),
        replace(PROOF, leaf_hash=leaf_hash(ENTRIES[8])),
        replace(PROOF, path=PROOF.path[:-1]),
    ],
    ids=range(12),
)
def test_nothing_else_is_believed(wrong: LedgerProof) -> None:
    with pytest.raises(IntegrityFailedError):
        check_proof(wrong, [KEY])


def test_without_keys_nothing_is_believed() -> None:
    with pytest.raises(IntegrityFailedError):
        check_proof(PROOF, [])
