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
from typing import ClassVar, Final, Self

from vault.errors import IntegrityFailedError
from vault.store.environment import Environment, translated
from vault.store.hashnotes import HASH_BYTES, fill_sorted
from vault.store.layout import CUSTOMER_KEY_BYTES, VALUE_KEY_BYTES

_CHUNK: Final = 10_000  # entries read at a time


class SurrogateNotes:
    """The file. Not for use outside this package."""

    table: ClassVar[str] = "surrogates"
    key_bytes: ClassVar[int] = HASH_BYTES
    entry_bytes: ClassVar[int] = HASH_BYTES + VALUE_KEY_BYTES
    owner: ClassVar[slice] = slice(HASH_BYTES, HASH_BYTES + CUSTOMER_KEY_BYTES)  # the customer in an entry

    def __init__(self, path: Path) -> None:
        """Opens the file, made if it is missing."""
        self.path = path
        with translated(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._count = os.fstat(self._descriptor).st_size // self.entry_bytes
        self._late: dict[bytes, list[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Notes rows (key, value) of customers behind all that are noted.

        Raises:
            IntegrityFailedError: one belongs to an earlier customer.
        """
        if not rows:
            return
        entries = [key + value for key, value in rows]
        last = self._entry(self._count - 1)[self.owner] if self._count else b""
        owners = [last, *[entry[self.owner] for entry in entries]]
        if owners != sorted(owners):
            raise IntegrityFailedError
        with translated(self.path):
            os.pwrite(self._descriptor, b"".join(entries), self._count * self.entry_bytes)
        self._count += len(rows)

    def fill(self, index: Environment) -> None:
        """Writes all that is noted into the empty table of an index."""
        fill_sorted(index, self.table, self._rows, self._count, self.entry_bytes, self.key_bytes)

    def add(self, customer: bytes, keys: Sequence[bytes]) -> None:
        """Remembers what the index has got of a customer since it was filled."""
        self._late.setdefault(customer, []).extend(keys)

    def of(self, customer: bytes) -> list[bytes]:
        """The keys that the index may have of a customer (6 bytes)."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._entry(middle)[self.owner] < customer:
                low = middle + 1
            else:
                high = middle
        found = list(self._late.get(customer, ()))
        while low < self._count and (entry := self._entry(low))[self.owner] == customer:
            found.append(entry[: self.key_bytes])
            low += 1
        return found

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _entry(self, number: int) -> bytes:
        return os.pread(self._descriptor, self.entry_bytes, number * self.entry_bytes)

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, self._count, _CHUNK):
            size = min(_CHUNK, self._count - start) * self.entry_bytes
            chunk = os.pread(self._descriptor, size, start * self.entry_bytes)
            for at in range(0, len(chunk), self.entry_bytes):
                yield chunk[at : at + self.key_bytes], chunk[at + self.key_bytes : at + self.entry_bytes]
