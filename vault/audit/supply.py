"""Preallocated segments of one worker: numbers them, keeps one in reserve, retries on a full disk.

- Numbers grow in the order in which segments are used; recovery relies on it.
- After a failure nothing is tried again for `RETRY_SECONDS`; until then the failure is repeated.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from vault.audit.layout import SegmentName
from vault.audit.recovery import Leftovers, recover
from vault.audit.segment_file import SegmentFile

RETRY_SECONDS: Final = 0.1


class SegmentSupply:
    """Hands out empty segments. Thread-safe; methods raise OSError where the disk refuses."""

    def __init__(self, directory: Path, worker: str, segment_bytes: int, clock: Callable[[], int]) -> None:
        self._directory = directory
        self._worker = worker
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._spares: list[SegmentFile] = []
        self._numbers = itertools.count(1)
        self._failure: OSError | None = None
        self._retry_at = 0.0

    @property
    def has_spare(self) -> bool:
        """Whether a segment is in reserve."""
        return bool(self._spares)

    def open(self, boot: bytes) -> Leftovers:
        """Deals with what the last run left; its empty segments are the first to be handed out."""
        with self._lock, self._remembering():
            left = recover(self._directory, self._worker, self._segment_bytes, boot)
            self._numbers = itertools.count(left.next_number)
            self._spares = left.spares
            return left

    def take(self) -> SegmentFile:
        """An empty segment, made now if none is in reserve."""
        with self._lock, self._remembering():
            self._refill()
            return self._spares.pop(0)

    def put_back(self, segment: SegmentFile) -> None:
        """Returns a segment that could not be begun."""
        with self._lock:
            self._spares.insert(0, segment)

    def refill(self) -> None:
        """Makes the reserve whole."""
        with self._lock, self._remembering():
            self._refill()

    def discard(self) -> None:
        """Gives the reserve back to the file system."""
        with self._lock:
            for spare in self._spares:
                with contextlib.suppress(OSError):  # an empty segment is found and used by the next run
                    spare.discard()
            self._spares = []

    def let_go(self) -> None:
        """Closes the files, in the child of a fork: they are the parent's."""
        self._lock = threading.Lock()
        for spare in self._spares:
            spare.release()
        self._spares = []

    def _refill(self) -> None:
        for spare in [spare for spare in self._spares if spare.is_removed]:
            spare.release()
            self._spares.remove(spare)
        while not self._spares:
            name = SegmentName(self._worker, self._clock(), next(self._numbers))
            with contextlib.suppress(
                FileExistsError
            ):  # another process of this worker name: try the next number
                self._spares.append(SegmentFile.create(self._directory, name, self._segment_bytes))

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        if self._failure is not None and time.monotonic() < self._retry_at and not self._spares:
            raise OSError(self._failure.errno, self._failure.strerror)
        try:
            yield
        except OSError as error:
            self._failure = error
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        self._failure = None
