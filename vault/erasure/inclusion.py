"""Is an erasure's entry in the log that a certificate quotes? Its proof and its checkpoint, checked.

    leaf hash    SHA-256(0x00 | entry)
    path         RFC 6962 audit path from the leaf to the root (`vault.tlog.merkle`)
    checkpoint   a signed note with the log's name, size and root (`vault.tlog.checkpoints`)

The checkpoint has to be signed by the vault: the ledger's key is the vault's signing key. Cosignatures of
witnesses stand in it as well, for whoever knows their keys.
"""

from collections.abc import Iterable

from vault.erasure.certificate import LedgerProof
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import verify_inclusion
from vault.tlog.notes import Note, VerifierKey


def check_proof(proof: LedgerProof, keys: Iterable[VerifierKey]) -> None:
    """Checks that the proof leads from its leaf to the root of a checkpoint that one of `keys` signed.

    Raises:
        IntegrityFailedError: it does not.
    """
    try:
        note = Note.parse(proof.checkpoint.encode())
        checkpoint = Checkpoint.parse(note.text)
    except (InvalidRequestError, UnicodeEncodeError):
        raise IntegrityFailedError from None
    if checkpoint.size != proof.tree_size:
        raise IntegrityFailedError
    notes.verify(note, [key for key in keys if key.name == checkpoint.origin])
    verify_inclusion(proof.leaf_index, proof.tree_size, proof.leaf_hash, proof.path, checkpoint.root)
