"""Has a witness vouch for the ledger: whoever puts back an older copy of everything gets no further.

Rules:
- The witness holds a ledger when it has cosigned a checkpoint of its last entry. It cosigns larger ones only,
  and only with proof that they begin with the one before (`vault.tlog.witness`).
- A witness that has seen more entries than the ledger has, or other ones, proves the ledger to be behind, or
  forked. That is only judged by the holder of the write lock, whose view of the ledger is whole.
- A witness that does not accept the ledger's key is told how the ledger came by it: every entry that names a
  key, signed with the key before. It follows from the key that its operator gave it, or refuses.
- What the witness has seen is asked, not remembered: another process of this vault may have gone on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from vault.errors import LedgerBehindError, WitnessUnavailableError
from vault.store.entries import EntryType
from vault.store.ledger import Ledger, Sign, ledger_origin
from vault.store.signers import Announcement
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import ED25519, Note, Signature, VerifierKey
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal

FRESH_SECONDS: Final = 5.0
_TRIES = 3


class Witness(Protocol):
    """Whoever cosigns; see `vault.witness.client`."""

    def add_checkpoint(self, request: AddCheckpoint) -> Signature:
        """A verified cosignature. Raises CheckpointRefusedError, WitnessUnavailableError."""

    def add_keys(self, origin: str, announcements: Sequence[Announcement]) -> None:
        """Has the witness follow a log's keys. Raises CheckpointRefusedError, WitnessUnavailableError."""

    def close(self) -> None:
        """Ends the connection."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint of the ledger, signed by it and cosigned by the witness."""

    size: int
    note: Note


class Witnessing:
    """One process's dealings with the witness of a ledger."""

    def __init__(self, witness: Witness, sign: Sign) -> None:
        """Asks nothing yet.

        Args:
            witness: is closed with this.
            sign: with the private key of a public key of the ledger.
        """
        self._witness = witness
        self._sign = sign
        self._seen = 0  # what the witness had, when last asked
        self._asked_at = 0.0
        self.newest: Cosigned | None = None

    def ready(self, ledger: Ledger) -> None:
        """Like `hold`, without asking again what was answered within the last seconds."""
        fresh = time.monotonic() - self._asked_at < FRESH_SECONDS
        if not fresh or self.newest is None or self.newest.size != ledger.last.seq:
            self.hold(ledger)

    def hold(self, ledger: Ledger) -> None:
        """Has the ledger cosigned up to its last entry; for the holder of the write lock.

        Raises:
            WitnessUnavailableError: there is no answer, or the witness does not know this ledger.
            LedgerBehindError: the witness has seen more of this ledger, or another.
        """
        checkpoint = ledger.checkpoint()
        note = self._signed(ledger, checkpoint, ledger.signer)
        for _ in range(_TRIES):
            if self._seen > checkpoint.size:
                raise LedgerBehindError(
                    "the ledger is behind its witness", ledger=str(checkpoint.size), witness=str(self._seen)
                )
            proof = ledger.consistency_proof(self._seen) if self._seen else []
            try:
                cosignature = self._witness.add_checkpoint(AddCheckpoint(self._seen, tuple(proof), note))
            except CheckpointRefusedError as refused:
                if refused.refusal is not Refusal.NOT_SIGNED or not self._announce(ledger):
                    self._learn(refused)
            else:
                self._seen, self._asked_at = checkpoint.size, time.monotonic()
                self.newest = Cosigned(checkpoint.size, note.with_signatures([cosignature]))
                return
        raise WitnessUnavailableError("the witness answers now this, now that")

    def require_going_over(self, ledger: Ledger, public_key: bytes) -> None:
        """Makes sure that the witness will accept another key of the ledger; for the lock's holder.

        A witness that follows announcements will. Any other must know the key already: it is asked to cosign
        the last checkpoint once more, signed with that key.

        Raises:
            WitnessUnavailableError: there is no answer, or the witness does not know the key.
            LedgerBehindError: the witness has seen more of this ledger, or another.
        """
        self.hold(ledger)
        if self._announce(ledger):
            return
        checkpoint = ledger.checkpoint()
        note = self._signed(ledger, checkpoint, public_key)
        proof = ledger.consistency_proof(checkpoint.size) if checkpoint.size else []
        try:
            self._witness.add_checkpoint(AddCheckpoint(checkpoint.size, tuple(proof), note))
        except CheckpointRefusedError as refused:
            key = str(_verifier_key(ledger, public_key))
            raise WitnessUnavailableError("the witness does not know the key yet", key=key) from refused

    def close(self) -> None:
        """Ends the connection."""
        self._witness.close()

    def _signed(self, ledger: Ledger, checkpoint: Checkpoint, public_key: bytes) -> Note:
        return checkpoint.signed(_verifier_key(ledger, public_key), partial(self._sign, public_key))

    def _announce(self, ledger: Ledger) -> bool:
        """Tells the witness the keys that the ledger has announced; whether it listens to announcements."""
        announced = [each for each in ledger.signers if each.type == EntryType.SIGNING_KEY_CHANGED]
        try:
            self._witness.add_keys(ledger_origin(ledger.vault_id), announced)
        except CheckpointRefusedError as refused:
            if refused.refusal is Refusal.INCONSISTENT:
                raise LedgerBehindError("the witness has followed another key of this vault") from refused
            return False
        return True

    def _learn(self, refused: CheckpointRefusedError) -> None:
        if refused.refusal is Refusal.INCONSISTENT:
            raise LedgerBehindError("the witness has seen another ledger of this vault") from refused
        if refused.refusal is not Refusal.CONFLICT:
            raise WitnessUnavailableError(
                "the witness does not know this vault's ledger and key", refusal=refused.refusal.name
            ) from refused
        self._seen = refused.size


def _verifier_key(ledger: Ledger, public_key: bytes) -> VerifierKey:
    return VerifierKey(ledger_origin(ledger.vault_id), ED25519, public_key)
