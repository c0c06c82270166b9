"""Proof that an entry is in a vault's ledger, for anyone who knows the ledger's public key.

checkpoint   a signed note: the ledger's origin, size and root (c2sp.org/tlog-checkpoint), signed with the
vault's signing key and, where there is a witness, cosigned
hashes       RFC 6962 audit path from the entry's leaf, number seq - 1, to that root
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from vault.errors import IntegrityFailedError
from vault.store.ledger import Ledger, Sign, ledger_origin
from vault.store.witnessing import Cosigned
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import verify_inclusion
from vault.tlog.notes import ED25519, Note, Verified, VerifierKey


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """An entry's number and leaf hash, the audit path, and the checkpoint as the bytes of a note."""

    seq: int
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
        if checkpoint.origin != key.name:
            raise IntegrityFailedError
        verify_inclusion(self.seq - 1, checkpoint.size, self.leaf, self.hashes, checkpoint.root)
        known = list(witnesses)
        return verified + (notes.verify(note, [key, *known])[len(verified) :] if known else [])


def ledger_key(vault_id: bytes, public_key: bytes) -> VerifierKey:
    """The verifier key of a vault's ledger: its public signing key (32 bytes) under the ledger's origin."""
    return VerifierKey(ledger_origin(vault_id), ED25519, public_key)


def prove(ledger: Ledger, seq: int, cosigned: Cosigned | None, key: VerifierKey, sign: Sign) -> LedgerProof:
    """The proof for an entry, with the checkpoint given, else a new one signed with the private key of `key`.

    Raises:
        ValueError: the ledger, or the checkpoint, does not comprise the entry.
    """
    size = cosigned.size if cosigned is not None else ledger.last.seq
    if not 0 < seq <= size:
        raise ValueError("the ledger has no such entry")
    note = cosigned.note if cosigned is not None else ledger.checkpoint().signed(key, sign)
    (entry,) = itertools.islice(ledger.entries(seq - 1), 1)
    return LedgerProof(seq, entry.leaf, tuple(ledger.inclusion_proof(seq, size)), note.encode())
