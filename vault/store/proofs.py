"""Proof that an entry is in a vault's ledger, for anyone who knows the ledger's public key.

checkpoint   a signed note: the ledger's origin, size and root (c2sp.org/tlog-checkpoint), signed with the
vault's signing key and, where there is a witness, cosigned
hashes       RFC 6962 audit path from the entry's leaf, number seq - 1, to that root
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.errors import IntegrityFailedError
from vault.store.ledger import Ledger, ledger_origin
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import verify_inclusion
from vault.tlog.notes import ED25519, Note, Verified, VerifierKey


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """An entry's number and leaf hash, the audit path, and the checkpoint: its size and its note."""

    seq: int
    size: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    def verify(self, key: VerifierKey, witnesses: Iterable[VerifierKey] = ()) -> list[Verified]:
        """Checks the proof; returns the signatures that hold, the ledger's first.

        Args:
            key: of the ledger, see `ledger_key`.
            witnesses: keys of witnesses whose cosignatures are to be checked, if they are there.

        Raises:
            InvalidRequestError: the checkpoint is malformed.
            IntegrityFailedError: the proof does not show what it claims.
        """
        note = Note.parse(self.checkpoint)
        verified = notes.verify(note, [key])
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != key.name or checkpoint.size != self.size:
            raise IntegrityFailedError
        verify_inclusion(self.seq - 1, checkpoint.size, self.leaf, self.hashes, checkpoint.root)
        known = list(witnesses)
        return verified + (notes.verify(note, [key, *known])[len(verified) :] if known else [])


def ledger_key(vault_id: bytes, public_key: bytes) -> VerifierKey:
    """The verifier key of a vault's ledger: its public signing key (32 bytes) under the ledger's origin."""
    return VerifierKey(ledger_origin(vault_id), ED25519, public_key)


def prove(ledger: Ledger, seqs: Sequence[int], size: int, note: Note) -> list[LedgerProof]:
    """The proofs for entries, all with the same checkpoint, which is of the ledger's first `size` entries.

    Raises:
        ValueError: the checkpoint does not comprise an entry.
        IntegrityFailedError: an entry that was there before fails now.
    """
    if not all(0 < seq <= size for seq in seqs):
        raise ValueError("the ledger has no such entry")
    checkpoint, paths = note.encode(), ledger.inclusion_proofs(seqs, size)
    return [
        LedgerProof(seq, size, ledger.leaf(seq), tuple(path), checkpoint)
        for seq, path in zip(seqs, paths, strict=True)
    ]
