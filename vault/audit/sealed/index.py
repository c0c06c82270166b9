"""From customers to leaves: sorted runs of shortened locators, made behind the sealer, merged as they grow.

    index/<first leaf>-<end leaf>.run    entries in ascending order: locator's first 8 bytes | leaf u40

- Runs follow each other without gap or overlap, from the first leaf held up to where the index has come.
  Leaves beyond are searched by whoever asks, so the index costs the hot path nothing.
- A run appears whole, by a rename; runs that a larger one has taken in are removed after it is there. A
  reader that finds both takes the larger one.
- `FANOUT` runs of about the same size become one. Merging takes the key space slice by slice, so that memory
  stays small.
- Two customers may share 8 bytes, so who looks a leaf up here compares the whole locator in its record.
"""

import math
import mmap
import os
import re
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.audit.sealed.pacing import at_once
from vault.store.files import sync_directory

KEY_BYTES: Final = 8
LEAF_BYTES: Final = 5
ENTRY_BYTES: Final = KEY_BYTES + LEAF_BYTES
FANOUT: Final = 8
_ENTRIES = struct.Struct(f"{ENTRY_BYTES}s")
_AT_ONCE = 16  # entries of a key
_READ_AT_ONCE = 1 << 10
_SLICES = 256  # of the key space, by first byte
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

    def __init__(self, directory: Path, pace: Callable[[], None] = at_once) -> None:
        """Merges call `pace` after each slice."""
        self._directory = directory
        self._pace = pace

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

    def add(self, first: int, end: int, entries: list[bytes]) -> None:
        """Writes the run of leaves [first, end); `entries` from `entries_of`, in any order."""
        entries.sort()
        self._write(first, end, [b"".join(entries)])

    def merge(self) -> bool:
        """Makes one run of `FANOUT` of about the same size, if there are as many; says if it did."""
        runs = self.runs()
        sizes = [run.entries for run in runs]
        for last in range(len(runs), FANOUT - 1, -1):
            group = slice(last - FANOUT, last)
            if max(sizes[group]) <= FANOUT * max(1, min(sizes[group])):
                self._merge(runs[group])
                return True
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

    def _merge(self, runs: Sequence[Run]) -> None:
        with ExitStack() as opened:
            maps = [opened.enter_context(_mapped(run.path)) for run in runs]
            self._write(runs[0].first, runs[-1].end, _slices(maps, self._pace))
        for run in runs:
            run.path.unlink(missing_ok=True)

    def _write(self, first: int, end: int, parts: Iterable[bytes]) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{first:013d}-{end:013d}.run"
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(self._directory)


def entries_of(locators: Iterable[bytes], leaf: int) -> list[bytes]:
    """The entries of locators in a leaf."""
    place = leaf.to_bytes(LEAF_BYTES, "big")
    return [locator[:KEY_BYTES] + place for locator in locators]


def _slices(maps: Sequence["_Map"], pace: Callable[[], None]) -> Iterator[bytes]:
    starts = [0] * len(maps)
    for number in range(_SLICES):
        merged: list[bytes] = []
        for at, content in enumerate(maps):
            end = (
                len(content) // ENTRY_BYTES
                if number == _SLICES - 1
                else _position(content, bytes([number + 1]))
            )
            part = content[starts[at] * ENTRY_BYTES : end * ENTRY_BYTES]
            merged += [each for (each,) in _ENTRIES.iter_unpack(part)]
            starts[at] = end
        merged.sort()  # a few ascending stretches: nearly a merge
        yield b"".join(merged)
        pace()


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


def _position(content: "_Map", key: bytes) -> int:
    """The number of the first entry that is not below a key."""
    low, high = 0, len(content) // ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        start = middle * ENTRY_BYTES
        if content[start : start + ENTRY_BYTES] < key:
            low = middle + 1
        else:
            high = middle
    return low


class _Map:
    """A file's bytes, mapped; runs are never cut or changed while their names exist."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._length = os.fstat(file.fileno()).st_size
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._length else None

    def __enter__(self) -> "_Map":
        return self

    def __exit__(self, *_: object) -> None:
        if self._map is not None:
            self._map.close()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: slice) -> bytes:
        return self._map[at] if self._map is not None else b""


def _mapped(path: Path) -> _Map:
    return _Map(path)


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
