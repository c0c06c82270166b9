"""Finds what may be wanted in the sealed log, bundle by bundle, and counts what that costs.

- A bundle is passed over if its span, its traits or the index say that it holds no match. Asked for one
  customer, the index names the leaves; behind where it has come, the locators' bytes are looked for.
- `cost` grows by the bytes that were read, and by `BUNDLE_COST` for each bundle: whoever pages compares it
  with a bound, so that no page takes longer than that.
"""

import struct
from collections.abc import Iterator
from typing import Final

from vault.audit.filtering import Wanted
from vault.audit.layout import FOREVER_MS
from vault.audit.sealed.files import SPAN, SPANS, Span
from vault.audit.sealed.leaves import FIRST, WHOLE, content_of, stamp_of
from vault.audit.sealed.log import SealedLog, SealedRecord, may_mention
from vault.audit.sealed.traits import row_at
from vault.errors import IntegrityFailedError
from vault.tlog.proving import TILE_LEAVES

EVERYTHING: Final = Span(0, FOREVER_MS, -1)
BUNDLE_COST: Final = 1 << 16
MAX_COST: Final = 1 << 26  # of a page: about a thousand bundles of single reads, a dozen of large batches


class Scanning:
    """One search of one sealed log."""

    def __init__(self, log: SealedLog, wanted: Wanted) -> None:
        """Asks the index, if one customer is wanted.

        Raises:
            IntegrityFailedError: the log is damaged.
        """
        self.log = log
        self.cost = 0
        self._wanted = wanted
        self._full = log.size // TILE_LEAVES
        asks_traits = wanted.actions or wanted.purpose or wanted.field_class or wanted.decision
        self._traits = log.traits() if asks_traits else b""
        self._leaves: dict[int, list[int]] = {}  # by bundle, as far as the index goes
        self._indexed = 0
        if wanted.locators is not None:
            found, self._indexed = log.candidates(wanted.locators)
            for leaf in found:
                self._leaves.setdefault(leaf // TILE_LEAVES, []).append(leaf)
        self._some_spans: dict[int, bytes] = {}
        self._spans = b""
        if wanted.locators is None:
            self._spans = log.files.rows(SPANS)
        else:
            full = [each for each in self.bundles() if each < self._full]
            self._some_spans = log.files.rows_at(SPANS, SPAN.size, full)

    @property
    def is_spent(self) -> bool:
        """Whether a page has cost enough."""
        return self.cost >= MAX_COST

    def bundles(self) -> Iterator[int]:
        """The bundles that are held and that the index does not rule out, ascending."""
        first, end = self.log.first // TILE_LEAVES, -(-self.log.size // TILE_LEAVES)
        if self._wanted.locators is None:
            yield from range(first, end)
            return
        unindexed = max(first, self._indexed // TILE_LEAVES)
        yield from sorted(index for index in self._leaves if index < unindexed)
        yield from range(unindexed, end)

    def span(self, index: int) -> Span:
        """The times and principals of a bundle; of one that is not full, all there are.

        Raises:
            IntegrityFailedError: spans are missing.
        """
        if index >= self._full:
            return EVERYTHING
        try:
            if index in self._some_spans:
                return Span(*SPAN.unpack(self._some_spans[index]))
            return Span(*SPAN.unpack_from(self._spans, index * SPAN.size))
        except struct.error:
            raise IntegrityFailedError(file=SPANS) from None

    def may_hold(self, index: int, span: Span) -> bool:
        """Whether a bundle can hold a wanted record, by time, principal, traits and index."""
        wanted = self._wanted
        if span.last_ms < wanted.start_ms or span.first_ms >= wanted.end_ms:
            return False
        if not self._concerns(index):
            return False
        of_one = wanted.principal_id is not None or bool(wanted.principal)
        if of_one and not span.principals >> (wanted.principal_id or 0) % 64 & 1:
            return False
        return row_at(self._traits, index).may_hold(wanted)

    def wanted_in(self, index: int, start_leaf: int = 0) -> Iterator[SealedRecord]:
        """The wanted records that begin in a bundle, from a leaf on, in order; damaged ones with no record.

        Raises:
            EntryRemovedError, IntegrityFailedError: see `SealedLog.entry`.
        """
        self.cost += BUNDLE_COST
        wanted = self._wanted
        for leaf, entry in self._candidates(index):
            if leaf < start_leaf or entry[0] not in (WHOLE, FIRST):
                continue
            if not wanted.start_ms <= stamp_of(entry)[1] < wanted.end_ms:
                continue
            if not wanted.may_match(content_of(entry)):
                continue
            found = self.log.leaf(leaf)
            self.cost += len(found.body)
            if found.record is None or wanted.matches(found.record):
                yield found

    def _candidates(self, index: int) -> Iterator[tuple[int, bytes]]:
        """The leaves of a bundle that may hold what is wanted, by index or by the locators' bytes."""
        log, locators, first = self.log, self._wanted.locators, index * TILE_LEAVES
        if locators is not None and first < self._indexed:
            yield from ((leaf, log.entry(leaf)) for leaf in self._leaves.get(index, ()))
            return
        content = log.raw(index)
        self.cost += len(content)
        if locators is None:
            yield from enumerate(log.entries(index), first)
        elif may_mention(content, locators):
            for leaf, entry in enumerate(log.entries(index), first):
                if entry[0] == FIRST or any(locator in entry for locator in locators):
                    yield leaf, entry

    def _concerns(self, index: int) -> bool:
        return (
            self._wanted.locators is None
            or index in self._leaves
            or (index + 1) * TILE_LEAVES > self._indexed
        )
