"""The ledger's mirror: the same file once more, in a directory on another disk or machine.

Rules:
- Frames reach the mirror after they are durable in the ledger, and before their writer acknowledges them. So
  the mirror never holds a byte that the ledger does not hold, unless the ledger was rolled back or replaced.
- Held against the ledger byte by byte: equal, or zero where a write has not arrived yet. Zeros are filled in.
  Anything else is a ledger that is behind, or forks.
- Only the holder of the write lock writes to it. An error of the mirror's disk closes the file; the next use
  opens it again and compares all of it.
- The mirror is made once, in a directory that is there. From then on `ledger/mirrored` holds its path, and an
  empty directory in its place is a disk that is not mounted. To start a new mirror, remove that file. A
  ledger that finds a mirror made by another, as one that was restored does, notes it likewise.
"""

import os
from pathlib import Path
from typing import Final

from vault.errors import LedgerBehindError, StorageFullError, StorageStoppedError, WitnessUnavailableError
from vault.store.files import LEDGER, write_durably
from vault.store.frames import CHUNK_BYTES, any_set, preallocate, publish
from vault.store.ledger import LEDGER_FILE, Ledger

MIRRORED_FILE: Final = "mirrored"
_BEHIND: Final = "the ledger is behind its mirror, or differs from it"


class Mirror:
    """One process's view of the mirror; remembers up to which offset it equals the ledger."""

    def __init__(self, root: Path, directory: Path) -> None:
        """Opens nothing yet.

        Args:
            root: the vault's directory.
            directory: where the mirror lies.
        """
        self._marker = root / LEDGER / MIRRORED_FILE
        self._directory = directory.absolute()
        self._path = self._directory / LEDGER_FILE
        self._descriptor: int | None = None
        self._equal_to = 0

    def hold(self, ledger: Ledger) -> None:
        """Brings the mirror, durably, to the last entry that `ledger` has read; for the lock's holder.

        Raises:
            WitnessUnavailableError: the mirror is not there, or cannot be written.
            LedgerBehindError: it holds something that the ledger does not.
        """
        try:
            descriptor = self._opened(ledger)
            self._compare(descriptor, ledger)
            self._fill(descriptor, ledger, ledger.last.offset)
        except OSError as error:
            self.close()
            raise WitnessUnavailableError("the ledger's mirror cannot be used") from error

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._equal_to = 0

    def _opened(self, ledger: Ledger) -> int:
        if self._descriptor is not None:
            # The path is looked at again: the disk may have been taken away, or another put in its place.
            if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                return self._descriptor
            self.close()
        if not self._path.exists():
            self._make()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        if os.path.samestat(os.fstat(self._descriptor), ledger.status()):
            self.close()
            raise WitnessUnavailableError("the ledger's mirror is the ledger itself")
        if not self._is_marked():
            write_durably(self._marker, self._mark)
        return self._descriptor

    def _make(self) -> None:
        if not self._directory.is_dir():
            raise WitnessUnavailableError("the directory of the ledger's mirror is not there")
        if self._is_marked():
            raise WitnessUnavailableError("the ledger's mirror is missing in its directory")
        Ledger.create(self._path)

    @property
    def _mark(self) -> bytes:
        return os.fsencode(self._directory) + b"\n"

    def _is_marked(self) -> bool:
        return self._marker.exists() and self._marker.read_bytes() == self._mark

    def _compare(self, descriptor: int, ledger: Ledger) -> None:
        """Moves `_equal_to` on to the first byte that has not arrived; behind it, all is zero or equal."""
        end, size = ledger.last.offset, os.fstat(descriptor).st_size
        at, equal = self._equal_to, True
        while at < end:
            held = ledger.content(at, min(at + CHUNK_BYTES, end))
            mirrored = os.pread(descriptor, len(held), at).ljust(len(held), b"\0")
            if mirrored != held:
                equal = False
                _require_nothing_else(mirrored, held)
            at += len(held)
            if equal:
                self._equal_to = at
        while at < size:
            beyond = os.pread(descriptor, CHUNK_BYTES, at)
            if any_set(beyond):
                raise LedgerBehindError(_BEHIND)
            at += len(beyond)

    def _fill(self, descriptor: int, ledger: Ledger, end: int) -> None:
        if self._equal_to == end:
            return
        try:
            preallocate(descriptor, end)
        except (StorageFullError, StorageStoppedError) as error:
            raise WitnessUnavailableError("the ledger's mirror has no room") from error
        while self._equal_to < end:
            content = ledger.content(self._equal_to, min(self._equal_to + CHUNK_BYTES, end))
            publish(descriptor, self._equal_to, content)
            self._equal_to += len(content)


def _require_nothing_else(mirrored: bytes, held: bytes) -> None:
    if any_set(mirrored) and any(there and there != here for there, here in zip(mirrored, held, strict=True)):
        raise LedgerBehindError(_BEHIND)
