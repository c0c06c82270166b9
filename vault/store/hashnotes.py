"""Index hashes of customers, noted by number in a file and written to an index in the order of the hashes.

    file     16 bytes for each customer number from 0 on; zeros for one that is not indexed

Rows that come in order make an index small and quick to write.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from vault.store.environment import Environment, translated

HASH_BYTES: Final = 16
_NOT_INDEXED: Final = bytes(HASH_BYTES)
_PARTITION: Final = 100_000  # index rows sorted at a time: about 20 MB


class HashNotes:
    """The file. Not for use outside this package."""

    def __init__(self, path: Path) -> None:
        """Opens the file, made if it is missing."""
        self.path = path
        with translated(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, first: int, hashes: Sequence[bytes]) -> None:
        """Notes the hashes of customers `first`, `first` + 1, ...; empty ones for those without."""
        packed = b"".join([each or _NOT_INDEXED for each in hashes])
        with translated(self.path):
            os.pwrite(self._descriptor, packed, first * HASH_BYTES)

    def at(self, number: int) -> bytes:
        """The hash noted for a customer, empty for none."""
        noted = os.pread(self._descriptor, HASH_BYTES, number * HASH_BYTES)
        return b"" if noted == _NOT_INDEXED else noted

    def fill(self, index: Environment, region: int) -> None:
        """Writes every noted hash into an empty index."""
        size = os.fstat(self._descriptor).st_size // HASH_BYTES
        parts = max(1, size // _PARTITION)
        table = index.tables["external"]
        for part in range(parts):
            low, high = part * 65536 // parts, (part + 1) * 65536 // parts
            found = sorted(
                [
                    (hashed, region.to_bytes(1, "big") + number.to_bytes(5, "big"))
                    for number, hashed in self._noted(size)
                    if low <= hashed[0] << 8 | hashed[1] < high
                ]
            )
            with translated(index.path), index.write() as transaction:
                for hashed, customer in found:
                    transaction.put(hashed, customer, append=True, db=table)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _noted(self, size: int) -> Iterator[tuple[int, bytes]]:
        for start in range(0, size, _PARTITION):
            chunk = os.pread(self._descriptor, _PARTITION * HASH_BYTES, start * HASH_BYTES)
            for at in range(0, len(chunk), HASH_BYTES):
                hashed = chunk[at : at + HASH_BYTES]
                if hashed != _NOT_INDEXED:
                    yield start + at // HASH_BYTES, hashed
