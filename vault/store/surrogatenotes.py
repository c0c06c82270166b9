"""Index rows of surrogates, noted in a file and written to an index in the order of their keys.

    file     entries of 25 bytes: keyed hash 16 | value key 9; customers ascending

Rules:
- The file grows while customers are copied in order. What comes after it was filled into the index, for
  customers that changed meanwhile, is remembered in memory.
- It knows what the index has of a customer, so that the rows of one that was shredded can be taken out again
  although its sheet is gone.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from vault.errors import IntegrityFailedError
from vault.store.environment import Environment, translated
from vault.store.hashnotes import HASH_BYTES, fill_sorted
from vault.store.layout import CUSTOMER_KEY_BYTES, VALUE_KEY_BYTES

_ENTRY_BYTES: Final = HASH_BYTES + VALUE_KEY_BYTES
_OWNER: Final = slice(HASH_BYTES, HASH_BYTES + CUSTOMER_KEY_BYTES)
_CHUNK: Final = 10_000  # entries read at a time


class SurrogateNotes:
    """The file. Not for use outside this package."""

    def __init__(self, path: Path) -> None:
        """Opens the file, made if it is missing."""
        self.path = path
        with translated(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._count = os.fstat(self._descriptor).st_size // _ENTRY_BYTES
        self._late: dict[bytes, list[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Notes rows (keyed hash 16, value key 9) of customers behind all that are noted.

        Raises:
            IntegrityFailedError: one belongs to an earlier customer.
        """
        if not rows:
            return
        last = self._entry(self._count - 1)[_OWNER] if self._count else b""
        owners = [last, *[value[:CUSTOMER_KEY_BYTES] for _, value in rows]]
        if owners != sorted(owners):
            raise IntegrityFailedError
        with translated(self.path):
            packed = b"".join([hashed + value for hashed, value in rows])
            os.pwrite(self._descriptor, packed, self._count * _ENTRY_BYTES)
        self._count += len(rows)

    def fill(self, index: Environment) -> None:
        """Writes all that is noted into the empty table of an index."""
        fill_sorted(index, "surrogates", self._rows, self._count, _ENTRY_BYTES)

    def add(self, customer: bytes, hashes: Sequence[bytes]) -> None:
        """Remembers what the index has got of a customer since it was filled."""
        self._late.setdefault(customer, []).extend(hashes)

    def of(self, customer: bytes) -> list[bytes]:
        """The keyed hashes that the index may have of a customer (6 bytes)."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._entry(middle)[_OWNER] < customer:
                low = middle + 1
            else:
                high = middle
        found = list(self._late.get(customer, ()))
        while low < self._count and (entry := self._entry(low))[_OWNER] == customer:
            found.append(entry[:HASH_BYTES])
            low += 1
        return found

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _entry(self, number: int) -> bytes:
        return os.pread(self._descriptor, _ENTRY_BYTES, number * _ENTRY_BYTES)

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, self._count, _CHUNK):
            size = min(_CHUNK, self._count - start) * _ENTRY_BYTES
            chunk = os.pread(self._descriptor, size, start * _ENTRY_BYTES)
            for at in range(0, len(chunk), _ENTRY_BYTES):
                yield chunk[at : at + HASH_BYTES], chunk[at + HASH_BYTES : at + _ENTRY_BYTES]
