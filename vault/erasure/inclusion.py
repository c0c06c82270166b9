"""Is an entry in the log that a checkpoint fixes? RFC 6962 trees, the verifying half.

    leaf hash    SHA-256(0x00 | entry)
    node hash    SHA-256(0x01 | left | right)
    checkpoint   text: the log's name, the tree's size in decimal and its root in base64, a line each;
                 then what its signers and witnesses add

The signatures of a checkpoint are not looked at here: the certificate that quotes it is signed itself.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from vault.erasure.certificate import LedgerProof
from vault.errors import IntegrityFailedError

HASH_BYTES = 32


def check_proof(proof: LedgerProof) -> None:
    """Checks that the proof leads from its leaf to its checkpoint's root.

    Raises:
        IntegrityFailedError: it does not.
    """
    lines = proof.checkpoint.split("\n")
    if len(lines) < 3 or lines[1] != str(proof.tree_size):
        raise IntegrityFailedError
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise IntegrityFailedError from None
    verify_inclusion(proof.leaf_index, proof.tree_size, proof.leaf_hash, proof.path, root)


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Checks that a leaf hash stands at `index`, from 0, by the algorithm of RFC 9162, section 2.1.3.2.

    Raises:
        IntegrityFailedError: leaf, position, size, path and root do not belong together.
    """
    if not 0 <= index < size or any(len(each) != HASH_BYTES for each in (leaf, root, *path)):
        raise IntegrityFailedError
    node, last, reached = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise IntegrityFailedError
        if node & 1 or node == last:
            reached = _node_hash(sibling, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = _node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    if last or reached != root:
        raise IntegrityFailedError


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
