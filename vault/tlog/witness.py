"""What a witness does (c2sp.org/tlog-witness): remembers each log's largest checkpoint, cosigns larger ones.

    request    "old " | size, decimal | newline | proof hashes, base64, a line each | empty line | checkpoint
    answer     signature lines of the witness

Rules, in this order:
1. The request parses, and its old size is not above the checkpoint's.                        else MALFORMED
2. The witness knows the log by its origin.                                                   UNKNOWN_LOG
3. A key of that log has signed the checkpoint, and no signature of such a key fails.         NOT_SIGNED
4. The old size is the one that the witness remembers, 0 for none. The refusal names it.      CONFLICT
5. The proof shows that the remembered tree begins the new one: none is given for old size 0;
   at the same size, the roots are the same; an empty tree has the empty root.                INCONSISTENT

So whoever rolls a log back, or forks it, gets no cosignature. A caller must hold one lock from reading
what is remembered until the new checkpoint is durable.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint, parse_size
from vault.tlog.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from vault.tlog.notes import Note, VerifierKey, decode_base64

MAX_PROOF_HASHES = 63
Logs = Mapping[str, Sequence[VerifierKey]]
"""The keys of each log that a witness knows, by origin."""


class Refusal(Enum):
    """Why a witness does not cosign; the value is the HTTP status of the protocol."""

    MALFORMED = 400
    NOT_SIGNED = 403
    UNKNOWN_LOG = 404
    CONFLICT = 409
    INCONSISTENT = 422


class CheckpointRefusedError(InvalidRequestError):
    """The witness does not cosign. `size` is the size that it remembers, for `CONFLICT`."""

    def __init__(self, refusal: Refusal, size: int = 0) -> None:
        super().__init__("the witness does not cosign this checkpoint", refusal=refusal.name)
        self.refusal = refusal
        self.size = size


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the log has grown from `old_size` leaves to `note`, a signed checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def encode(self) -> bytes:
        """The body of the HTTP request."""
        hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in self.proof)
        return f"old {self.old_size}\n{hashes}\n".encode() + self.note.encode()

    @classmethod
    def parse(cls, body: bytes) -> "AddCheckpoint":
        """Reads the body of the HTTP request.

        Raises:
            CheckpointRefusedError: it is malformed.
        """
        head, separator, note = body.partition(b"\n\n")
        try:
            old, *hashes = head.decode().split("\n")
            if not separator or not old.startswith("old ") or len(hashes) > MAX_PROOF_HASHES:
                raise CheckpointRefusedError(Refusal.MALFORMED)
            proof = tuple(decode_base64(each) for each in hashes)
            request = cls(parse_size(old.removeprefix("old ")), proof, Note.parse(note))
        except (InvalidRequestError, UnicodeDecodeError) as error:
            raise CheckpointRefusedError(Refusal.MALFORMED) from error
        if any(len(each) != HASH_BYTES for each in proof):
            raise CheckpointRefusedError(Refusal.MALFORMED)
        return request

    def checkpoint(self) -> Checkpoint:
        """The checkpoint asked for; nothing of it is verified yet.

        Raises:
            CheckpointRefusedError: it is malformed, or smaller than the old size.
        """
        try:
            checkpoint = Checkpoint.parse(self.note.text)
        except InvalidRequestError as error:
            raise CheckpointRefusedError(Refusal.MALFORMED) from error
        if checkpoint.size < self.old_size:
            raise CheckpointRefusedError(Refusal.MALFORMED)
        return checkpoint


def check(request: AddCheckpoint, logs: Logs, remembered: Checkpoint | None) -> Checkpoint:
    """The checkpoint that a witness may remember from now on and cosign.

    Args:
        request: from anyone; only the log's signature says that it is the log's.
        logs: whom the witness knows.
        remembered: the largest checkpoint of this origin cosigned so far.

    Raises:
        CheckpointRefusedError: see the module's rules.
    """
    checkpoint = request.checkpoint()
    keys = logs.get(checkpoint.origin)
    if keys is None:
        raise CheckpointRefusedError(Refusal.UNKNOWN_LOG)
    try:
        notes.verify(request.note, keys)
    except IntegrityFailedError as error:
        raise CheckpointRefusedError(Refusal.NOT_SIGNED) from error
    known = remembered if remembered is not None else Checkpoint(checkpoint.origin, 0, EMPTY_ROOT)
    if request.old_size != known.size:
        raise CheckpointRefusedError(Refusal.CONFLICT, known.size)
    try:
        _check_growth(known, checkpoint, request.proof)
    except IntegrityFailedError as error:
        raise CheckpointRefusedError(Refusal.INCONSISTENT) from error
    return checkpoint


def _check_growth(known: Checkpoint, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise IntegrityFailedError
    if known.size:
        verify_consistency(known.size, checkpoint.size, known.root, checkpoint.root, proof)
    elif proof:
        raise IntegrityFailedError
