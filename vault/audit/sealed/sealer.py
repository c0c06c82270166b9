"""The sealer: takes what the workers have written into the tree, and signs how large it has grown.

One round, each step safe to be killed at:
1. Records are taken from the segments (`tailing`) and become leaves: full bundles, full tiles and spans, then
   the partial ones, all durable.
2. `state` is replaced: that is the commit. What a crash left before it is written again, from the segments.
3. The checkpoint of that size is signed, cosigned and published. It never covers what is not durable, so
   nobody has ever seen a tree that has to be taken back.
4. Segments that are sealed to their end are removed, except each worker's newest, by which its next run finds
   its numbers; partial tiles that wider ones replace are removed.

A sealer that finds its directory behind its own checkpoint, or not to be the tree that the state names,
stops. The records stay in the segments then, and reads go on.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vault.audit.layout import NO_DIGEST, parse_closing
from vault.audit.listing import Segment, open_directory
from vault.audit.sealed.checkpoints import TiledLog, read_note
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, LOCK, TREE, TreeFiles
from vault.audit.sealed.filling import Filling
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.publishing import Publisher
from vault.audit.sealed.state import State
from vault.audit.sealed.tailing import Tailing
from vault.audit.sealed.writing import Writing
from vault.audit.segments import now_ms
from vault.errors import AuditUnavailableError, IntegrityFailedError, LedgerBehindError
from vault.store.files import make_directory, sync_directory
from vault.tlog.notes import VerifierKey

COMMIT_BYTES: Final = 32 << 20
_KEPT_DIGESTS: Final = 8


class Sealer:
    """Seals one directory of segments. For one thread; `open` takes the directory's lock until `close`."""

    def __init__(
        self,
        directory: Path,
        publisher: Publisher,
        keys: Sequence[VerifierKey],
        clock: Callable[[], int] = now_ms,
        pace: Callable[[], None] = at_once,
    ) -> None:
        """Opens nothing yet.

        Args:
            directory: of the segments; the tree is made in it.
            publisher: signs.
            keys: with which this log's checkpoints have been signed.
            clock: milliseconds since 1970.
            pace: called between small pieces of work, may rest.
        """
        self._directory = directory
        self._publisher = publisher
        self._keys = keys
        self._tailing = Tailing(directory, clock, pace)
        self._pace = pace
        self._lock: int | None = None
        self._published = 0
        self._bundle: Filling | None = None  # where the last commit left off, while records come
        self.is_cosigned = False
        self.files = TreeFiles(directory / TREE)
        self.state = State()

    def open(self) -> None:
        """Takes the lock and checks that the tree is the one that was sealed last.

        Raises:
            AuditUnavailableError: another process seals, or the directory cannot be read.
            IntegrityFailedError: the tiles are not those of the state.
            LedgerBehindError: the tree is smaller than its checkpoint, or another.
        """
        try:
            make_directory(self.files.root)
            self._lock = os.open(self.files.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._bundle = None
            self.state = State.read(self.files.root)
        except OSError as error:
            self.close()
            raise AuditUnavailableError("the access log cannot be sealed now") from error
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def seal(self) -> int:
        """One round; returns how many leaves were added.

        Raises:
            AuditUnavailableError: the disk refuses; what was committed stays.
            LedgerBehindError: the witness has seen more of this log, or another.
        """
        before = self.state.size
        try:
            self._take()
            if self.state.size and (self.state.size != self._published or not self.is_cosigned):
                self.is_cosigned = self._publisher.publish(self.state.size)
                self._published = self.state.size
            self._drop_segments()
        except OSError as error:
            raise AuditUnavailableError("the access log cannot be sealed now") from error
        return self.state.size - before

    def _check(self) -> None:
        log = TiledLog(self.files, self.state.size)
        if log.root().hex() != self.state.root:
            raise IntegrityFailedError(file="tile")
        for name in (CHECKPOINT, COSIGNED):
            read = read_note(self.files.root / name, self._keys)
            if read is not None:
                _, checkpoint = read
                if checkpoint.size > log.size or log.root(checkpoint.size) != checkpoint.root:
                    raise LedgerBehindError("the sealed access log is behind its own checkpoint")

    def _take(self) -> None:
        writing: Writing | None = None
        taken, came = 0, False
        bundle, self._bundle = self._bundle, None  # not what was committed, if this fails
        for piece in self._tailing.pieces(self.state):
            if writing is None:
                writing = Writing(self.files, self.state, self._pace, bundle)
            self._tailing.became(piece, writing.add(piece))
            taken, came = taken + piece.bytes, True
            if taken >= COMMIT_BYTES:
                bundle, writing, taken = self._commit(writing), None, 0
        if writing is not None:
            bundle = self._commit(writing)
        if came:
            self._bundle = bundle

    def _commit(self, writing: Writing) -> Filling:
        self._tailing.sync()
        state = writing.finish()
        state.write(self.files.root)
        self.state = state
        writing.tidy()
        return writing.bundle

    def _drop_segments(self) -> None:
        """Removes segments that are sealed to their end; forgets those that are durably gone."""
        found = open_directory(self._directory)
        begun = [segment for segment in found if not segment.is_spare]
        newest = {segment.name.worker: segment for segment in begun}
        done = [
            segment
            for segment in begun
            if self.state.of(segment.path.name).done and segment is not newest[segment.name.worker]
        ]
        names = {segment.path.name for segment in found}
        gone = [name for name in self.state.segments if name not in names]
        if not done and not gone:
            return
        dropped = {worker: list(digests) for worker, digests in self.state.dropped.items()}
        for segment in done:
            dropped.setdefault(segment.name.worker, []).append(_digest(segment).hex())
        sealed = {name: each for name, each in self.state.segments.items() if name not in gone}
        kept = {worker: tuple(digests[-_KEPT_DIGESTS:]) for worker, digests in dropped.items()}
        state = State(self.state.size, self.state.root, self.state.records, self.state.gaps, sealed, kept)
        sync_directory(self._directory)  # what is forgotten now must not come back
        state.write(self.files.root)  # the digests, before what they are of is gone
        self.state = state
        for segment in done:
            segment.path.unlink(missing_ok=True)
        sync_directory(self._directory)


def _digest(segment: Segment) -> bytes:
    closing = parse_closing(segment.header)
    return closing.digest if closing is not None else NO_DIGEST
