"""Index hashes of customers, noted by number in a file and written to an index in the order of the hashes.

    file     16 bytes for each customer number from 0 on; zeros for one that is not indexed

Rows that come in order make an index small and quick to write.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from vault.errors import IntegrityFailedError
from vault.store.environment import Environment, translated
from vault.store.layout import CUSTOMER_KEY_BYTES, customer_key

HASH_BYTES: Final = 16
_NOT_INDEXED: Final = bytes(HASH_BYTES)
_PARTITION: Final = 500_000  # index rows gathered at a time: 11 MB, in one pass over the hashes
_BUCKETS: Final = 1024  # so that none is long to sort: that is one call, which no other thread interrupts
_BUCKETS_A_COMMIT: Final = 128
_CHUNK: Final = 10_000  # hashes read at a time
_ENTRY_BYTES: Final = HASH_BYTES + CUSTOMER_KEY_BYTES


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

        def rows() -> Iterator[tuple[bytes, bytes]]:
            for number, hashed in self._noted(size):
                yield hashed, customer_key(region, number)

        fill_sorted(index, "external", rows, size, _ENTRY_BYTES)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _noted(self, size: int) -> Iterator[tuple[int, bytes]]:
        for start in range(0, size, _CHUNK):
            chunk = os.pread(self._descriptor, _CHUNK * HASH_BYTES, start * HASH_BYTES)
            for at in range(0, len(chunk), HASH_BYTES):
                hashed = chunk[at : at + HASH_BYTES]
                if hashed != _NOT_INDEXED:
                    yield start + at // HASH_BYTES, hashed


def fill_sorted(
    index: Environment,
    table: str,
    rows: Callable[[], Iterator[tuple[bytes, bytes]]],
    count: int,
    entry_bytes: int,
    key_bytes: int = HASH_BYTES,
) -> None:
    """Writes rows into an empty table in the order of their keys.

    Args:
        index: where the table is.
        table: its name.
        rows: gives all of them, in any order, as often as asked: keys, which begin evenly spread, and values.
        count: how many there are, or somewhat more.
        entry_bytes: of a key and its value together.
        key_bytes: of a key.

    Raises:
        IntegrityFailedError: a key stands there twice.
    """
    parts = max(1, -(-count // _PARTITION))
    for part in range(parts):
        low, high = part * 65536 // parts, (part + 1) * 65536 // parts
        buckets = [bytearray() for _ in range(_BUCKETS)]
        for hashed, value in rows():
            prefix = hashed[0] << 8 | hashed[1]
            if low <= prefix < high:
                bucket = buckets[(prefix - low) * _BUCKETS // (high - low)]
                bucket += hashed + value
        for first in range(0, _BUCKETS, _BUCKETS_A_COMMIT):
            _append(index, table, buckets[first : first + _BUCKETS_A_COMMIT], entry_bytes, key_bytes)


def _append(
    index: Environment, table: str, buckets: Sequence[bytearray], entry_bytes: int, key_bytes: int
) -> None:
    with translated(index.path), index.write() as transaction:
        cursor = transaction.cursor(db=index.tables[table])
        for bucket in buckets:
            entries = [bytes(bucket[at : at + entry_bytes]) for at in range(0, len(bucket), entry_bytes)]
            rows = [(entry[:key_bytes], entry[key_bytes:]) for entry in sorted(entries)]
            if cursor.putmulti(rows, append=True) != (len(rows), len(rows)):
                raise IntegrityFailedError
