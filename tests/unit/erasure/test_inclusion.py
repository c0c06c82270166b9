import base64
import hashlib
from dataclasses import replace

import pytest

from vault.erasure.certificate import LedgerProof
from vault.erasure.inclusion import check_proof, verify_inclusion
from vault.errors import IntegrityFailedError

LEAVES = [hashlib.sha256(b"\0" + bytes([number])).digest() for number in range(20)]


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def root(leaves: list[bytes]) -> bytes:
    """Merkle tree hash, as RFC 6962 section 2.1 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    at = split(len(leaves))
    return hashlib.sha256(b"\1" + root(leaves[:at]) + root(leaves[at:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Merkle audit path, as RFC 6962 section 2.1.1 defines it."""
    if len(leaves) == 1:
        return []
    at = split(len(leaves))
    if index < at:
        return [*path(index, leaves[:at]), root(leaves[at:])]
    return [*path(index - at, leaves[at:]), root(leaves[:at])]


@pytest.mark.parametrize("size", range(1, 21))
def test_every_leaf_of_a_tree_is_in_it(size: int) -> None:
    leaves = LEAVES[:size]
    for index in range(size):
        verify_inclusion(index, size, leaves[index], path(index, leaves), root(leaves))


@pytest.mark.parametrize("size", range(1, 21))
def test_nothing_else_is(size: int) -> None:
    leaves = LEAVES[:size]
    for index in range(size):
        good = path(index, leaves)
        wrong = [
            *((other, size, good) for other in range(-1, size + 1) if other != index),
            (index, 0, good),
            (index, size, [*good, LEAVES[0]]),
            (index, size, [each[:31] for each in good] or [b""]),
        ]
        wrong += [(index, size, [*good[:at], *good[at + 1 :]]) for at in range(len(good))]
        wrong += [(index, size, [*good[:at], bytes(32), *good[at + 1 :]]) for at in range(len(good))]
        for at, of, proof in wrong:
            with pytest.raises(IntegrityFailedError):
                verify_inclusion(at, of, leaves[index], proof, root(leaves))
        with pytest.raises(IntegrityFailedError):
            verify_inclusion(index, size, bytes(32), good, root(leaves))


@pytest.fixture
def proof() -> LedgerProof:
    text = f"name\n20\n{base64.b64encode(root(LEAVES)).decode()}\n\n\u2014 name c2ln\n"
    return LedgerProof(LEAVES[9], 9, 20, tuple(path(9, LEAVES)), text)


def test_a_proof_leads_to_the_root_of_its_checkpoint(proof: LedgerProof) -> None:
    check_proof(proof)


@pytest.mark.parametrize(
    "checkpoint", ["", "name\n20", "name\n21\nAAAA\n", "name\n20\n!\n", "name\n20\nAAAA\n"]
)
def test_another_checkpoint_does_not_fit(proof: LedgerProof, checkpoint: str) -> None:
    with pytest.raises(IntegrityFailedError):
        check_proof(replace(proof, checkpoint=checkpoint))
