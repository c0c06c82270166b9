"""Checkpoints of the sealed access log, and who has signed them.

    text   "customervault/" | vault_id in hex | "/audit" | newline | size, decimal | newline
           | base64( root ) | newline

A signed note (c2sp.org/tlog-checkpoint) under the vault's signing key, like those of the ledger. The name of
the log is another, so that neither can be shown for the other.
"""

from collections.abc import Sequence
from pathlib import Path

from vault.audit.sealed.files import TreeFiles
from vault.errors import IntegrityFailedError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import HASH_BYTES
from vault.tlog.notes import ED25519, Note, VerifierKey
from vault.tlog.proving import TILE_HEIGHT, TILE_LEAVES, Prover


def audit_origin(vault_id: bytes) -> str:
    """The name of a vault's access log in checkpoints, and of the key that signs them."""
    return f"customervault/{vault_id.hex()}/audit"


def audit_key(vault_id: bytes, public_key: bytes) -> VerifierKey:
    """The verifier key of a vault's access log: its public signing key (32 bytes) under the log's origin."""
    return VerifierKey(audit_origin(vault_id), ED25519, public_key)


class TiledLog(Prover):
    """Roots and proofs from the tiles of a log of a given size."""

    def __init__(self, files: TreeFiles, size: int, origin: str = "") -> None:
        self._files = files
        self._size = size
        self._origin = origin

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def nodes(self, level: int, first: int, count: int) -> list[bytes]:
        """See `Prover`; `count` nodes lie in one tile."""
        index, at = divmod(first, TILE_LEAVES)
        total = self._size >> TILE_HEIGHT * level
        width = min(total - index * TILE_LEAVES, TILE_LEAVES)
        hashes = self._files.hashes(level, index, width)
        return [hashes[each * HASH_BYTES : (each + 1) * HASH_BYTES] for each in range(at, at + count)]

    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the whole log."""
        return Checkpoint(self._origin, self._size, self.root())


def read_note(path: Path, keys: Sequence[VerifierKey]) -> tuple[Note, Checkpoint] | None:
    """A checkpoint that this log has signed; None where there is none.

    Raises:
        InvalidRequestError: it is malformed.
        IntegrityFailedError: it is another log's, or its signature does not hold.
    """
    try:
        note = Note.parse(path.read_bytes())
    except FileNotFoundError:
        return None
    notes.verify(note, keys)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin not in [key.name for key in keys]:
        raise IntegrityFailedError(file=path.name)
    return note, checkpoint
