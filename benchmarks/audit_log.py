"""A sealed access log of any size, made without a vault: reads of one customer each, by the sealer's code."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vault.audit.layout import HEADER_BYTES, SegmentName
from vault.audit.records import PLAIN, ReadAction, encode_read, read_body_chunk, read_item
from vault.audit.sealed.checkpoints import audit_key
from vault.audit.sealed.cutting import Stretch
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.publishing import Publisher
from vault.audit.sealed.state import State
from vault.audit.sealed.tailing import Piece
from vault.audit.sealed.upkeep import Upkeep
from vault.audit.sealed.writing import Writing
from vault.crypto import hazmat
from vault.tlog.notes import VerifierKey

READS_A_CUSTOMER: Final = 10
_SEED = bytes(range(32))
_VAULT_ID = bytes(16)
_PIECE = 50_000
_COMMIT_PIECES = 4
_BEGAN_MS = 1_700_000_000_000

KEY: Final[VerifierKey] = audit_key(_VAULT_ID, hazmat.public_key(_SEED))


def locator(customer: int) -> bytes:
    """The name of a customer in the log."""
    return hashlib.blake2b(customer.to_bytes(8, "big"), digest_size=16).digest()


def make_log(directory: Path, leaves: int) -> float:
    """Makes the log in `directory`; returns the seconds that sealing took, without making the records."""
    files = TreeFiles(directory / TREE)
    files.root.mkdir(parents=True)
    state, seconds, waiting = State(), 0.0, 0
    writing = Writing(files, state)
    for piece in _pieces(leaves):
        began = time.perf_counter()
        writing.add(piece)
        waiting += 1
        if waiting == _COMMIT_PIECES or piece.done:
            state = writing.finish()
            state.write(files.root)
            writing.tidy()
            writing, waiting = Writing(files, state), 0
        seconds += time.perf_counter() - began
    Publisher(files, KEY, lambda message: hazmat.sign(_SEED, message), None).publish(state.size)
    return seconds


def look_after(directory: Path) -> float:
    """Does all deferred work; returns how long it took, in seconds."""
    files = TreeFiles(directory / TREE)
    began, upkeep, state = time.perf_counter(), Upkeep(files), State.read(files.root)
    while upkeep.step(state, eager=True):
        pass
    return time.perf_counter() - began


def _pieces(leaves: int) -> Iterator[Piece]:
    items = read_item(1, 2, PLAIN)
    customers = max(1, leaves // READS_A_CUSTOMER)
    name, offset, made = SegmentName("worker-1", _BEGAN_MS, 1), HEADER_BYTES, 0
    while made < leaves:
        frames: list[bytes] = []
        for seq in range(made + 1, min(made + _PIECE, leaves) + 1):
            # a stride without common factors spreads a customer's reads over the log
            body = read_body_chunk(locator(seq * 7_919 % customers), items)
            frames.append(encode_read(seq, _BEGAN_MS + seq, seq % 50, ReadAction.DETOKENIZE, 9, body))
        made += len(frames)
        stretch = Stretch(offset, b"".join(frames))
        offset += len(stretch.frames)
        yield Piece(name, [stretch], len(frames), offset, made == leaves, 0)
