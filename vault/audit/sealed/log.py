"""Reads the sealed access log: records by number, by customer and in order; roots and proofs.

    log = SealedLog.open(audit_directory)
    log.locations(locators)      → numbers of the leaves that hold one of these locators, ascending
    log.leaf(number)             → the record that begins there, and where it was written
    log.records(start_leaf)      → all of them from there on
    log.tiles                    → roots and proofs

- A `SealedLog` shows the log as large as it was when it was opened. When retention removes an entry of it
  meanwhile, reading it raises `EntryRemovedError`, and the log has to be opened again.
- Many readers may do this beside the sealer, which only adds files and replaces partial tiles by wider ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from vault.audit.folding import concerns
from vault.audit.records import Record, readable
from vault.audit.sealed.bundles import Bundle
from vault.audit.sealed.checkpoints import TiledLog
from vault.audit.sealed.files import INDEX, TRAITS, TREE, Span, TreeFiles
from vault.audit.sealed.index import Index
from vault.audit.sealed.leaves import FIRST, FULL_LENGTH, LAST, WHOLE, Place, parse_leaf
from vault.audit.sealed.retention import first_held
from vault.audit.sealed.state import State
from vault.errors import IntegrityFailedError
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import split_entries

_KEPT_BUNDLES: Final = 64


class EntryRemovedError(IntegrityFailedError):
    """The entry was removed by retention; its hash is still in the tree."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record, the number of its first leaf, where it was written, and how many leaves it takes.

    `record` is None if the bytes are no record of this version's layouts; `body` is what was written.
    """

    leaf: int
    place: Place
    body: bytes
    leaves: int
    record: Record | None


class SealedLog:
    """The sealed log of one directory at one size."""

    def __init__(self, files: TreeFiles, state: State, first: int) -> None:
        """For `open`."""
        self.files = files
        self.state = state
        self.first = first
        self.tiles = TiledLog(files, state.size)
        self._index = Index(files.root / INDEX)
        self._bundle = lru_cache(_KEPT_BUNDLES)(self._read_bundle)

    @classmethod
    def open(cls, audit_directory: Path) -> "SealedLog":
        """The log as it is now; empty where nothing was sealed yet.

        Raises:
            IntegrityFailedError: its state is damaged.
            OSError: it cannot be read.
        """
        files = TreeFiles(audit_directory / TREE)
        state = State.read(files.root)
        return cls(files, state, first_held(files.root))

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.state.size

    def entry(self, leaf: int) -> bytes:
        """The bytes of a leaf.

        Raises:
            ValueError: there is no such leaf.
            EntryRemovedError: retention has removed it.
            IntegrityFailedError: its bundle is missing or damaged.
        """
        if not 0 <= leaf < self.size:
            raise ValueError("the log has not got so many leaves")
        index, at = divmod(leaf, TILE_LEAVES)
        return self._bundle(index)[at]

    def entries(self, bundle: int) -> list[bytes]:
        """The leaves of a bundle, as far as the log goes.

        Raises:
            EntryRemovedError, IntegrityFailedError: see `entry`.
        """
        return split_entries(self.raw(bundle))[: self.size - bundle * TILE_LEAVES]

    def raw(self, bundle: int) -> bytes:
        """A bundle as it is; it may hold leaves beyond the log's end.

        Raises:
            EntryRemovedError, IntegrityFailedError: see `entry`.
        """
        return self._bundle(bundle).content

    def leaf(self, number: int) -> SealedRecord:
        """The record that begins at a leaf, or of which the leaf is a part.

        Raises:
            ValueError, EntryRemovedError, IntegrityFailedError: see `entry`.
        """
        part = parse_leaf(self.entry(number))
        while part.form not in (WHOLE, FIRST):
            number -= 1
            part = parse_leaf(self.entry(number))
        content, last = [part.content], number
        while part.form not in (WHOLE, LAST):
            last += 1
            part = parse_leaf(self.entry(last))
            content.append(part.content)
        body = b"".join(content)
        return SealedRecord(number, part.place, body, last - number + 1, readable(body))

    def records(self, start_leaf: int = 0, end_leaf: int | None = None) -> Iterator[SealedRecord]:
        """The records that begin at a leaf from `start_leaf` on, below `end_leaf`, in order.

        Raises:
            EntryRemovedError, IntegrityFailedError: see `entry`.
        """
        at = max(start_leaf, self.first)
        end = self.size if end_leaf is None else min(end_leaf, self.size)
        while at < end and parse_leaf(self.entry(at)).form not in (WHOLE, FIRST):
            at += 1  # parts of a record that began before
        while at < end:
            found = self.leaf(at)
            yield found
            at += found.leaves

    def locations(self, locators: Iterable[bytes]) -> list[int]:
        """The leaves at which records begin that concern a customer, ascending.

        Args:
            locators: all of the customer's, one for each generation of its key.

        Raises:
            EntryRemovedError, IntegrityFailedError: see `entry`.
        """
        wanted = frozenset(locators)
        candidates, indexed = self.candidates(wanted)
        found = {leaf for leaf in candidates if _concerns(self.leaf(leaf), wanted)}
        for record in self._unindexed(wanted, max(indexed, self.first)):
            if _concerns(record, wanted):
                found.add(record.leaf)
        return sorted(found)

    def candidates(self, locators: Iterable[bytes]) -> tuple[list[int], int]:
        """Leaves that may hold one of these locators, ascending, and the leaf from which on any may."""
        found, indexed = self._index.lookup(locators)
        return sorted(leaf for leaf in found if self.first <= leaf < self.size), indexed

    def traits(self) -> bytes:
        """What the full bundles are about, as far as that is known; see `traits`."""
        return self.files.rows(TRAITS)

    def spans(self) -> list[tuple[int, Span]]:
        """Every full bundle that is held, with the times and principals of its records."""
        spans = self.files.spans(self.size // TILE_LEAVES)
        return list(enumerate(spans))[self.first // TILE_LEAVES :]

    def removed_spans(self) -> list[Span]:
        """The bundles that retention has removed, with the times and principals of their records."""
        return self.files.spans(self.size // TILE_LEAVES)[: self.first // TILE_LEAVES]

    def _unindexed(self, wanted: frozenset[bytes], start: int) -> Iterator[SealedRecord]:
        """Records that may be about a customer, of the leaves that the index has not reached."""
        for index in range(start // TILE_LEAVES, -(-self.size // TILE_LEAVES)):
            if may_mention(self.raw(index), wanted):
                first = max(start, index * TILE_LEAVES)
                yield from self.records(first, (index + 1) * TILE_LEAVES)

    def _read_bundle(self, index: int) -> Bundle:
        if index < self.first // TILE_LEAVES:
            raise EntryRemovedError(file="entries", index=str(index))
        try:
            return self.files.stored(index, min(TILE_LEAVES, self.size - index * TILE_LEAVES))
        except IntegrityFailedError:
            if index < first_held(self.files.root) // TILE_LEAVES:  # removed meanwhile
                raise EntryRemovedError(file="entries", index=str(index)) from None
            raise


def may_mention(raw: bytes, locators: Iterable[bytes]) -> bool:
    """Whether a bundle's bytes may hold a record that concerns a customer."""
    # a long record's locator may be cut in two by the parts
    return any(locator in raw for locator in locators) or FULL_LENGTH in raw


def _concerns(found: SealedRecord, locators: frozenset[bytes]) -> bool:
    return found.record is not None and concerns(found.record, locators)
