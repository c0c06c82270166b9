"""The newest records that match, below a position, in bounded work.

- Records are ordered by `Position`, (time, segment name, offset), none of which ever changes, sealed or not.
- What may hold a match, the unsealed rest of a segment or a bundle, is taken by its newest time, the newest
  first. So a search may end where it has cost enough: what it found above the newest time that is left is
  complete, and the next one goes on below.
- The newest records of segments that are still written are always looked at: the sealer keeps them few.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from vault.audit.filtering import Wanted
from vault.audit.layout import Span
from vault.audit.listing import Segment
from vault.audit.records import FRAME, STAMP, STAMP_OFFSET, Record, readable
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.scanning import Scanning


class Position(NamedTuple):
    """Of a record in the order of time; with no segment, below all records of that time."""

    time_ms: int
    segment: str = ""
    offset: int = 0


class Found(NamedTuple):
    """A record that matches, its place and, if it is sealed, its leaf."""

    position: Position
    record: Record
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """The newest matches, newest first; the position below which more may follow; damage that was met."""

    found: Sequence[Found]
    below: Position | None
    damaged: int


class _Part(NamedTuple):
    """What is looked at as a whole: the rest of a segment, or a bundle. Times are inclusive."""

    last_ms: int
    first_ms: int
    segment: Segment | None
    bundle: int


class Search:
    """Keeps the newest `limit` records that match, below a position."""

    def __init__(self, wanted: Wanted, below: Position | None, limit: int) -> None:
        end_ms = wanted.end_ms
        if below is not None:
            end_ms = min(end_ms, below.time_ms + bool(below.segment))
        self._wanted = replace(wanted, end_ms=end_ms)
        self._below = below
        self._limit = limit
        self._found: list[Found] = []
        self._damaged = 0

    def run(self, segments: Sequence[Segment], log: SealedLog) -> Result:
        """Searches the unsealed rest of the segments, and the sealed log."""
        scanning = Scanning(log, self._wanted)
        cut: Position | None = None
        for part in self._parts(segments, scanning):
            if part.last_ms < self._wanted.start_ms or self._is_older_than_all(part):
                break
            if part.segment is None and not scanning.may_hold(part.bundle, scanning.span(part.bundle)):
                continue
            if scanning.is_spent and part.last_ms + 1 < self._wanted.end_ms:
                cut = Position(part.last_ms + 1)
                break
            if part.segment is not None:
                self._look_through(part.segment, scanning)
            else:
                self._consider_bundle(scanning, part.bundle)
        return self._result(cut)

    def _result(self, cut: Position | None) -> Result:
        found = sorted(self._found, key=lambda each: each.position, reverse=True)
        if cut is not None:
            found = [each for each in found if each.position >= cut]
        if len(found) >= self._limit:
            found = found[: self._limit - 1]
            cut = found[-1].position
        return Result(found, cut, self._damaged)

    def _parts(self, segments: Iterable[Segment], scanning: Scanning) -> list[_Part]:
        log, end_ms = scanning.log, self._wanted.end_ms
        parts = [
            _Part(each.last_ms, each.first_ms, each, -1)
            for each in segments
            if not each.is_spare and not log.state.of(each.path.name).done and each.first_ms < end_ms
        ]
        for index in scanning.bundles():
            span = scanning.span(index)
            if span.first_ms < end_ms:
                parts.append(_Part(span.last_ms, span.first_ms, None, index))
        return sorted(parts, key=lambda part: (-part.last_ms, -part.bundle))

    def _is_older_than_all(self, part: _Part) -> bool:
        return len(self._found) == self._limit and part.last_ms < self._found[0].position.time_ms

    def _look_through(self, segment: Segment, scanning: Scanning) -> None:
        """Considers what is not sealed of a segment."""
        start = scanning.log.state.of(segment.path.name).offset
        data, spans = segment.frames(start)
        if segment.is_final:
            scanning.cost += len(data)
        hits = self._hits(data)
        self._damaged += sum(not span.valid for span in spans) if hits != [] else 0
        for span in reversed(spans if hits is None else list(_holding(spans, hits))):
            if not span.valid:
                continue
            body = data[span.start + FRAME.size : span.end]
            time_ms = STAMP.unpack_from(data, span.start + STAMP_OFFSET)[1]
            position = Position(time_ms, segment.path.name, start + span.start)
            if self._may_stand(position) and self._wanted.may_match(body):
                record = readable(body)
                if record is None:
                    self._damaged += 1
                elif self._wanted.matches(record):
                    self._keep(Found(position, record, None))

    def _consider_bundle(self, scanning: Scanning, index: int) -> None:
        for each in scanning.wanted_in(index):
            if each.record is None:
                self._damaged += 1
                continue
            position = Position(each.record.time_ms, *each.place)
            if self._may_stand(position):
                self._keep(Found(position, each.record, each.leaf))

    def _may_stand(self, position: Position) -> bool:
        if not self._wanted.start_ms <= position.time_ms < self._wanted.end_ms:
            return False
        if self._below is not None and position >= self._below:
            return False
        return len(self._found) < self._limit or position > self._found[0].position

    def _keep(self, found: Found) -> None:
        full = len(self._found) == self._limit
        (heapq.heapreplace if full else heapq.heappush)(self._found, found)

    def _hits(self, data: bytes) -> list[int] | None:
        """Where the wanted locators' bytes occur, sorted; None if every record may match."""
        if self._wanted.locators is None:
            return None
        return sorted(at for locator in self._wanted.locators for at in _occurrences(data, locator))


def _occurrences(data: bytes, sought: bytes) -> Iterator[int]:
    at = data.find(sought)
    while at >= 0:
        yield at
        at = data.find(sought, at + len(sought))


def _holding(spans: Iterable[Span], hits: list[int]) -> Iterator[Span]:
    """The spans in which a hit lies; both in ascending order."""
    following = iter(hits)
    hit = next(following, None)
    for span in spans:
        if hit is None:
            return
        if hit < span.end:
            yield span
            while hit is not None and hit < span.end:
                hit = next(following, None)
