"""Proofs from a sealed access log, each with the newest checkpoint, for whoever knows the public keys."""

import contextlib
from collections.abc import Sequence

from vault.audit.sealed.checkpoints import TiledLog, read_note
from vault.audit.sealed.files import CHECKPOINT
from vault.audit.sealed.log import EntryRemovedError, SealedLog
from vault.errors import InvalidRequestError
from vault.model.requests import ConsistencyProof, InclusionProof
from vault.tlog.notes import Note, VerifierKey


def inclusion(log: SealedLog, keys: Sequence[VerifierKey], leaf: int) -> InclusionProof:
    """Shows that a leaf, from 0, is in the log.

    Raises:
        InvalidRequestError: no checkpoint comprises such a leaf yet.
        IntegrityFailedError: a tile is missing, or the checkpoint is not signed by one of `keys`.
    """
    note, tiles = _newest(log, keys)
    if not 0 <= leaf < tiles.size:
        raise InvalidRequestError("no checkpoint comprises such a leaf yet")
    entry = b""
    with contextlib.suppress(EntryRemovedError):
        entry = log.entry(leaf)
    (hashes,) = tiles.inclusion_proofs([leaf], tiles.size)
    return InclusionProof(leaf, tiles.size, entry, tiles.leaf(leaf), hashes, note.encode())


def consistency(log: SealedLog, keys: Sequence[VerifierKey], old_size: int) -> ConsistencyProof:
    """Shows that the first `old_size` leaves, at least one, begin the log.

    Raises:
        InvalidRequestError: the newest checkpoint is smaller, or nothing is to be shown.
        IntegrityFailedError: a tile is missing, or the checkpoint is not signed by one of `keys`.
    """
    note, tiles = _newest(log, keys)
    if not 1 <= old_size <= tiles.size:
        raise InvalidRequestError("the newest checkpoint of the log is smaller")
    hashes = tiles.consistency_proof(old_size, tiles.size)
    return ConsistencyProof(old_size, tiles.size, tiles.root(old_size), hashes, note.encode())


def _newest(log: SealedLog, keys: Sequence[VerifierKey]) -> tuple[Note, TiledLog]:
    # The checkpoint may be one round behind the log, or, published meanwhile, ahead of it: then its tiles
    # are there, too.
    read = read_note(log.files.root / CHECKPOINT, keys)
    if read is None:
        raise InvalidRequestError("nothing was sealed yet")
    note, checkpoint = read
    return note, TiledLog(log.files, checkpoint.size)
