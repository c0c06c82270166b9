"""Has a witness vouch for the sealed access log (c2sp.org/tlog-witness), by the rules of `vault.tlog`.

- The witness cosigns larger trees only, with proof that they begin with the one that it has seen.
- What it has seen is asked, not remembered beyond this process: it answers with the size where ours is wrong.
- A witness that has seen more leaves than there are, or others, proves the log to be rolled back, or forked.
"""

from typing import Final, Protocol

from vault.audit.sealed.checkpoints import TiledLog
from vault.errors import LedgerBehindError, WitnessUnavailableError
from vault.tlog.notes import Note, Signature
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal

_TRIES: Final = 3


class Witness(Protocol):
    """Whoever cosigns; see `vault.witness.client`."""

    def add_checkpoint(self, request: AddCheckpoint) -> Signature:
        """A verified cosignature. Raises CheckpointRefusedError, WitnessUnavailableError."""

    def close(self) -> None:
        """Ends the connection."""


class Cosigning:
    """One process's dealings with the witness; `close` ends the connection."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._seen = 0
        self.close = witness.close

    def cosign(self, log: TiledLog, note: Note) -> Note:
        """The note, a signed checkpoint of the log, with the witness's signature.

        Raises:
            WitnessUnavailableError: there is no answer, or the witness does not know this log and its key.
            LedgerBehindError: the witness has seen more of this log, or another.
        """
        for _ in range(_TRIES):
            if self._seen > log.size:
                raise LedgerBehindError(
                    "the access log is behind its witness", log=str(log.size), witness=str(self._seen)
                )
            proof = log.consistency_proof(self._seen, log.size) if self._seen else []
            try:
                cosignature = self._witness.add_checkpoint(AddCheckpoint(self._seen, tuple(proof), note))
            except CheckpointRefusedError as refused:
                self._learn(refused)
            else:
                self._seen = log.size
                return note.with_signatures([cosignature])
        raise WitnessUnavailableError("the witness answers now this, now that")

    def _learn(self, refused: CheckpointRefusedError) -> None:
        if refused.refusal is Refusal.INCONSISTENT:
            raise LedgerBehindError("the witness has seen another access log of this vault") from refused
        if refused.refusal is not Refusal.CONFLICT:
            raise WitnessUnavailableError(
                "the witness does not know this vault's access log and key", refusal=refused.refusal.name
            ) from refused
        self._seen = refused.size
