"""From customers to leaves: sorted runs of shortened locators, made behind the sealer, merged as they grow.

    index/<first leaf>-<end leaf>.run    entries in ascending order: locator's first 8 bytes | leaf u40

- Runs follow each other without gap or overlap, from the first leaf held up to where the index has come.
  Leaves beyond are searched by whoever asks, so the index costs the hot path nothing.
- A run appears whole, by a rename; runs that a larger one has taken in are removed after it is there. A
  reader that finds both takes the larger one.
- `FANOUT` runs of about the same size become one, block by block: no step takes long, and memory stays small.
- Two customers may share 8 bytes, so who looks a leaf up here compares the whole locator in its record.
"""

import math
import mmap
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.sealed.indexing import ENTRY_BYTES, KEY_BYTES, LEAF_BYTES, MAX_RUNS, Content
from vault.audit.sealed.indexing_native import new_indexer
from vault.store.files import sync_directory

FANOUT: Final = MAX_RUNS
_AT_ONCE = 16  # entries of a key
_READ_AT_ONCE = 1 << 10
_NAME = re.compile(r"(\d{13})-(\d{13})\.run\Z")


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """One run's leaves [first, end), and its file."""

    first: int
    end: int
    path: Path

    @property
    def entries(self) -> int:
        """How many it has."""
        return self.path.stat().st_size // ENTRY_BYTES


class Index:
    """The runs of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._merging: Iterator[None] = iter(())

    def runs(self) -> list[Run]:
        """The runs in use, by leaf: the largest of those that begin at a leaf, without a gap."""
        found = [
            Run(int(name[1]), int(name[2]), path)
            for path in _files(self._directory)
            if (name := _NAME.match(path.name))
        ]
        chosen: list[Run] = []
        for run in sorted(found, key=lambda each: (each.first, -each.end)):
            if not chosen or run.first == chosen[-1].end:
                chosen.append(run)
        return chosen

    def lookup(self, locators: Iterable[bytes]) -> tuple[set[int], int]:
        """Leaves that may hold one of these locators, and the leaf at which the index ends (0: empty)."""
        keys = sorted({locator[:KEY_BYTES] for locator in locators})
        while True:
            try:
                return self._lookup(keys)
            except FileNotFoundError:  # merged meanwhile
                continue

    def add(self, first: int, end: int, *parts: bytes | memoryview) -> None:
        """Writes the run of leaves [first, end); `parts` of entries, joined, in any order, are used up."""
        for _ in self._write(first, end, [new_indexer().ordered(parts)]):
            pass

    def merge(self) -> bool:
        """Makes one run of `FANOUT` of about the same size, a block a call; says if there was one to do."""
        if next(self._merging, self) is not self:
            return True
        runs = self.runs()
        sizes = [run.entries for run in runs]
        for last in range(len(runs), FANOUT - 1, -1):
            group = slice(last - FANOUT, last)
            if max(sizes[group]) <= FANOUT * max(1, min(sizes[group])):
                self._merging = self._merge(runs[group])
                return next(self._merging, self) is not self
        return False

    def drop_before(self, leaf: int) -> None:
        """Removes runs all of whose leaves lie before one."""
        for run in self.runs():
            if run.end <= leaf:
                run.path.unlink(missing_ok=True)

    def clean(self) -> None:
        """Removes what is not in use: runs taken in by larger ones, and what a crash left of a write."""
        used = {run.path for run in self.runs()}
        for path in _files(self._directory):
            if path not in used:
                path.unlink(missing_ok=True)

    def _lookup(self, keys: Sequence[bytes]) -> tuple[set[int], int]:
        runs = self.runs()
        found: set[int] = set()
        for run in runs:
            with run.path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size // ENTRY_BYTES
                for key in keys:
                    found.update(_leaves(file.fileno(), size, key))
        return found, runs[-1].end if runs else 0

    def _merge(self, runs: Sequence[Run]) -> Iterator[None]:
        with ExitStack() as opened:
            contents = [opened.enter_context(_mapped(run.path)) for run in runs]
            blocks = opened.enter_context(new_indexer().merged(contents))
            yield from self._write(runs[0].first, runs[-1].end, blocks)
        for run in runs:
            run.path.unlink(missing_ok=True)

    def _write(self, first: int, end: int, blocks: Iterable[bytes | memoryview]) -> Iterator[None]:
        """Writes a run, and rests after each block."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{first:013d}-{end:013d}.run"
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            for block in blocks:
                file.write(block)
                yield
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(self._directory)


def entries_of(locators: Iterable[bytes], leaf: int) -> bytes:
    """The entries of locators in a leaf, joined."""
    place = leaf.to_bytes(LEAF_BYTES, "big")
    return b"".join([locator[:KEY_BYTES] + place for locator in locators])


def _leaves(descriptor: int, size: int, key: bytes) -> Iterator[int]:
    """The leaves behind a key, of a run of so many entries."""
    at, step = _first_not_below(descriptor, size, key), _AT_ONCE
    while at < size:
        block = os.pread(descriptor, step * ENTRY_BYTES, at * ENTRY_BYTES)
        for each in range(0, len(block), ENTRY_BYTES):
            if block[each : each + KEY_BYTES] != key:
                return
            yield int.from_bytes(block[each + KEY_BYTES : each + ENTRY_BYTES], "big")
        at += step
        step *= 2


def _first_not_below(descriptor: int, size: int, key: bytes) -> int:
    """The number of the first entry that is not below a key.

    Locators are random, so it is looked for where it should stand if there were one of each. A customer with
    very many entries moves all behind; then it is found by halving.
    """
    low, high = 0, size
    expected, away = size * int.from_bytes(key, "big") >> 8 * KEY_BYTES, 2 * math.isqrt(size) + 16
    probes = [expected - away, expected + away]
    while high - low > _READ_AT_ONCE or probes:
        at = probes.pop() if probes else (low + high) // 2
        if low <= at < high:
            if os.pread(descriptor, KEY_BYTES, at * ENTRY_BYTES) < key:
                low = at + 1
            else:
                high = at
    block = os.pread(descriptor, (high - low) * ENTRY_BYTES, low * ENTRY_BYTES)
    entries = range(0, len(block), ENTRY_BYTES)
    return low + bisect_left(entries, key, key=lambda start: block[start : start + KEY_BYTES])


@contextmanager
def _mapped(path: Path) -> Iterator[Content]:
    """A file's bytes, mapped; runs are never cut or changed while their names exist."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
