"""Deferred work on the sealed log: index, traits, compression. Done in small steps, when there is time.

- A step takes some thousandths of a second, some hundredths where it compresses, and leaves everything in a
  state that readers can use.
- Order: index first, so that what is searched without it stays short; then merges and traits; then
  compression, of indexed bundles only, since others may be searched as they are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from vault.audit.records import MalformedRecordError, ReadRecord
from vault.audit.sealed.files import INDEX, TRAITS, TreeFiles
from vault.audit.sealed.index import Index, entries_of
from vault.audit.sealed.indexing import ENTRY_BYTES
from vault.audit.sealed.indexing_native import new_indexer
from vault.audit.sealed.leaves import FIRST, WHOLE, content_of, locators_of
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.retention import first_held
from vault.audit.sealed.state import State
from vault.audit.sealed.traits import ROW, UNKNOWN, row_of
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import split_entries

RUN_ENTRIES: Final = 1 << 17
_COMPRESSED_BYTES: Final = 1 << 19  # in one step, or one bundle
_DESCRIBED_BYTES: Final = 1 << 22  # read in one step
MIN_RUN_LEAVES: Final = 1 << 12  # fewer wait for more, unless nothing comes


class Upkeep:
    """The deferred work of one sealed log, for the process that seals it."""

    def __init__(self, files: TreeFiles, pace: Callable[[], None] = at_once) -> None:
        """Calls `pace` between bundles."""
        self._files = files
        self._pace = pace
        self._indexer = new_indexer()
        self._index = Index(files.root / INDEX)
        self._index.clean()
        self._compressed: int | None = None  # bundles before this one are compressed

    def backlog(self, state: State) -> int:
        """How many leaves of full bundles the index has not reached."""
        return max(0, self._full(state) - self._indexed())

    def backlog_bytes(self, state: State) -> int:
        """About how much a search has to look through, as the index has not reached it: all like its ends."""
        waiting, end = self.backlog(state) // TILE_LEAVES, self._full(state) // TILE_LEAVES
        if not waiting:
            return 0
        return waiting * (self._files.raw_bytes(end - waiting) + self._files.raw_bytes(end - 1)) // 2

    def step(self, state: State, *, eager: bool = False) -> bool:
        """Does one piece of work, if there is any; returns whether there was.

        Args:
            state: what is sealed.
            eager: index even a little, as nothing more is coming.

        Raises:
            IntegrityFailedError: a bundle is missing or damaged.
            OSError: the disk refuses.
        """
        waiting = self.backlog(state)
        if waiting >= MIN_RUN_LEAVES or (eager and waiting):
            self._extend(state, self._indexed())
            return True
        return self._index.merge() or self._describe(state) or self._compress(state)

    def _full(self, state: State) -> int:
        return state.size // TILE_LEAVES * TILE_LEAVES

    def _indexed(self) -> int:
        runs = self._index.runs()
        return max(runs[-1].end if runs else 0, first_held(self._files.root))

    def _extend(self, state: State, first: int) -> None:
        """Indexes some thousand leaves from `first` on."""
        log = SealedLog(self._files, state, first)
        parts: list[bytes | memoryview] = []
        leaf, end, size = first, self._full(state), 0
        while leaf < end and size < RUN_ENTRIES * ENTRY_BYTES:
            bundle = self._files.bundle(leaf // TILE_LEAVES, TILE_LEAVES)
            found, others = self._indexer.mentions(bundle, leaf)
            chosen = _chosen(bundle, leaf, others)
            rest = b"".join([entries_of(_locators(log, each, raw), each) for each, raw in chosen])
            parts += [part for part in (found, rest) if len(part)]
            size += len(found) + len(rest)
            leaf += TILE_LEAVES
            self._pace()
        self._index.add(first, leaf, *parts)

    def _describe(self, state: State) -> bool:
        """Makes the traits of some bundles; says if any were missing."""
        made = len(self._files.rows(TRAITS)) // ROW.size
        index, end, read = made, self._full(state) // TILE_LEAVES, 0
        if index >= end:
            return False
        log = SealedLog(self._files, state, first_held(self._files.root))
        rows = [UNKNOWN] * (min(end, log.first // TILE_LEAVES) - made)
        for index in range(made + len(rows), end):
            bundle = log.raw(index)
            seen, others = self._indexer.sight(bundle)
            rows.append(row_of(_bodies(log, _chosen(bundle, index * TILE_LEAVES, others)), seen))
            read += len(bundle)
            self._pace()
            if read >= _DESCRIBED_BYTES:
                break
        self._files.append(TRAITS, made * ROW.size, b"".join(rows))
        self._files.sync_names()
        return True

    def _compress(self, state: State) -> bool:
        end = min(self._full(state), self._indexed()) // TILE_LEAVES
        if self._compressed is None:
            at = end
            while at and at * TILE_LEAVES > first_held(self._files.root) and self._files.raw_bytes(at - 1):
                at -= 1
            self._compressed = at
        if self._compressed >= end:
            return False
        last, read = self._compressed, 0
        while last < end and read < _COMPRESSED_BYTES:
            read += self._files.raw_bytes(last)
            last += 1
        self._files.compress(range(self._compressed, last), self._pace)
        self._compressed = last
        return True


def _chosen(bundle: bytes, first: int, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The leaves at some places of a bundle, and their numbers."""
    entries = split_entries(bundle) if places else []
    return ((first + place, entries[place]) for place in places)


def _locators(log: SealedLog, leaf: int, raw: bytes) -> Iterable[bytes]:
    """The distinct locators of the record that begins at a leaf, if one does."""
    if raw[0] == WHOLE:
        try:
            return set(locators_of(content_of(raw)))
        except MalformedRecordError:
            return ()
    record = log.leaf(leaf).record if raw[0] == FIRST else None
    if isinstance(record, ReadRecord):
        return {group.locator for group in record.groups}
    return set(record.locators) if record is not None else ()


def _bodies(log: SealedLog, leaves: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """The records that begin at some leaves."""
    for leaf, raw in leaves:
        if raw[0] == WHOLE:
            yield content_of(raw)
        elif raw[0] == FIRST:
            yield log.leaf(leaf).body
