"""Whether the records of a sealed log follow each other as their writers wrote them.

- Within a segment, the next record begins where the one before ended. Only after an `AuditGap` of seq 0,
  which stands for damage, nothing is known.
- A worker's numbers go up by one; threads may swap neighbours. A refused read uses its number up.
- A worker's times go up, but for neighbours; a clock that went back by more than a second is worth a word.

Most records follow the one before in all of this. So entries are first told as links, `links_of`: a `Run` of
records that follow each other is one. That needs nothing but the entries, and may be done anywhere, bundle
by bundle. `Following` then takes the links of all bundles, in order.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from vault.audit.layout import HEADER_BYTES
from vault.audit.records import FRAME, GAP_ACTION
from vault.audit.sealed.leaves import FIRST, LAST, MIDDLE, WHOLE

BACKWARDS_MS: Final = 1000
_BODY = struct.Struct(">IBxQQ")  # offset, kind, (outcome or action), seq, time_ms
_OFFSET_BYTES = 4
_ACT = ord("A")
_GAP = GAP_ACTION.encode()


class Run(NamedTuple):
    """Records of one segment, each with the next number and place, and no older than the one before.

    Attributes:
        leaf: the first one's.
        segment: worker, and the segment's numbers, as a leaf holds them.
        offset: where the first record began in the segment; the last one, or what the leaf has of it, ended
            at `end`.
        seq: the first one's number.
        records: how many there are.
        first_ms: the first one's time, the lowest; `last_ms` the highest.
        is_gap: an `AuditGap`, alone.
    """

    leaf: int
    segment: bytes
    offset: int
    end: int
    seq: int
    records: int
    first_ms: int
    last_ms: int
    is_gap: bool


class Rest(NamedTuple):
    """A further part of a long record, and how many bytes of it; or what is no leaf at all, of no segment."""

    leaf: int
    segment: bytes
    length: int
    is_last: bool


Link = Run | Rest


def links_of(first: int, entries: Sequence[bytes]) -> list[Link]:
    """The links of a bundle's entries, the number of the first of which is given."""
    links: list[Link] = []
    at = 0
    while at < len(entries):
        link = _link(first + at, entries[at])
        at += 1
        if isinstance(link, Run) and not link.is_gap:
            link = _extended(link, entries, at)
            at += link.records - 1
        links.append(link)
    return links


def _link(leaf: int, entry: bytes) -> Link:
    """What one entry says."""
    try:
        form, after = entry[0], entry[1] + 12
        segment, length = entry[2:after], len(entry) - after - _OFFSET_BYTES
        if form in (MIDDLE, LAST) and length > 0:
            return Rest(leaf, segment, length, form == LAST)
        offset, kind, seq, time_ms = _BODY.unpack_from(entry, after)
    except (IndexError, struct.error):
        return Rest(leaf, b"", 0, is_last=False)
    if form not in (WHOLE, FIRST):
        return Rest(leaf, b"", 0, is_last=False)
    is_gap = kind == _ACT and _GAP in entry
    return Run(leaf, segment, offset, offset + FRAME.size + length, seq, 1, time_ms, time_ms, is_gap)


def _extended(run: Run, entries: Sequence[bytes], at: int) -> Run:
    """The run with the records that follow it, from entry number `at` on."""
    begins = bytes([WHOLE, len(run.segment) - 10]) + run.segment
    unpack, after = _BODY.unpack_from, len(begins)
    around = FRAME.size - after - _OFFSET_BYTES
    shortest = after + _BODY.size
    end, seq, last_ms = run.end, run.seq + 1, run.last_ms
    for each in range(at, len(entries)):
        entry = entries[each]
        length = len(entry)
        if not entry.startswith(begins) or length < shortest:
            break
        offset, kind, number, time_ms = unpack(entry, after)
        if offset != end or number != seq or time_ms < last_ms or (kind == _ACT and _GAP in entry):
            break
        end, seq, last_ms = offset + length + around, number + 1, time_ms
    count = seq - run.seq
    return run if count == 1 else run._replace(end=end, records=count, last_ms=last_ms)


class _Worker:
    """The numbers and times of one worker."""

    __slots__ = ("ahead", "back_ms", "expected", "gaps", "latest_ms", "missing", "repeated")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.ahead: set[int] = set()
        self.missing = self.repeated = self.gaps = 0
        self.latest_ms = self.back_ms = 0

    def numbers(self, first: int, count: int) -> None:
        """Takes numbers that follow each other; 0 is none."""
        if first == self.expected and not self.ahead:
            self.expected += count
            return
        for seq in range(first, first + count):
            if seq:
                self._number(seq)

    def times(self, first_ms: int, last_ms: int) -> None:
        """Takes times that go up."""
        self.back_ms = max(self.back_ms, self.latest_ms - first_ms)
        self.latest_ms = max(self.latest_ms, last_ms)

    def settle(self) -> None:
        """Nothing comes any more: what is missing now stays missing."""
        while self.ahead:
            self._skip(min(self.ahead))
            self._catch_up()

    def _number(self, seq: int) -> None:
        if seq < self.expected or seq in self.ahead:
            self.repeated += 1
            return
        self.ahead.add(seq)
        if len(self.ahead) > 4096:  # further apart than threads can be
            self._skip(min(self.ahead))
        self._catch_up()

    def _skip(self, to: int) -> None:
        self.missing += to - self.expected
        self.expected = to

    def _catch_up(self) -> None:
        while self.expected in self.ahead:
            self.ahead.remove(self.expected)
            self.expected += 1


class Following:
    """Takes the links of all bundles in order. `first` is the first leaf that is held."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._ends: dict[bytes, int] = {}  # of each segment: where the next record begins, -1 if not known
        self._workers: dict[bytes, _Worker] = {}
        self._newest: list[tuple[int, int]] = []  # leaf behind a bundle, newest time up to there
        self._misplaced = 0
        self._misplaced_at = -1
        self.records = 0

    def add(self, end: int, links: Iterable[Link]) -> None:
        """The links of a bundle, and the leaf behind it."""
        newest = self._newest[-1][1] if self._newest else 0
        for link in links:
            if isinstance(link, Run):
                self._take(link)
                newest = max(newest, link.last_ms)
            elif link.segment:
                self._part(link)
            else:
                self._misplace(link.leaf)
        self._newest.append((end, newest))

    def _take(self, run: Run) -> None:
        expected = self._ends.get(run.segment)
        if (
            expected != run.offset
            and expected != -1
            and (expected is not None or self._begins_wrong(run.offset))
        ):
            self._misplace(run.leaf)
        self._ends[run.segment] = -1 if run.is_gap and not run.seq else run.end
        worker = self._worker(run)
        worker.gaps += run.is_gap
        worker.numbers(run.seq, run.records)
        worker.times(run.first_ms, run.last_ms)
        self.records += run.records

    def _misplace(self, leaf: int) -> None:
        self._misplaced += 1
        self._misplaced_at = leaf if self._misplaced == 1 else self._misplaced_at

    def _worker(self, run: Run) -> _Worker:
        name = run.segment[:-10]
        worker = self._workers.get(name)
        if worker is None:
            worker = self._workers[name] = _Worker(run.seq if self._first else 1)
        return worker

    def newest_ms(self, size: int) -> int:
        """The newest time among the first leaves; 0 where that is not known."""
        return max((time_ms for end, time_ms in self._newest if end <= size), default=0)

    def say(self, error: Callable[[str], None], note: Callable[[str], None]) -> None:
        """Says what was found, in words."""
        if self._misplaced:
            at = f"{self._misplaced} records, the first at leaf {self._misplaced_at}"
            error(f"records do not follow those that stood before them in their segments: {at}")
        for name, worker in sorted(self._workers.items()):
            worker.settle()
            who = name.decode(errors="replace")
            if worker.repeated:
                note(f"{who}: {worker.repeated} numbers were used more than once")
            if worker.missing:
                note(f"{who}: {worker.missing} numbers have no record (refused, or dropped before sealing)")
            if worker.gaps:
                note(f"{who}: {worker.gaps} gaps, where the machine lost power or a record was damaged")
            if worker.back_ms > BACKWARDS_MS:
                note(f"{who}: its clock went back by {worker.back_ms / 1000:.1f} s")

    def _begins_wrong(self, offset: int) -> bool:
        """Whether a segment that was not met before cannot begin here."""
        return not self._first and offset != HEADER_BYTES

    def _part(self, part: Rest) -> None:
        if self._ends.get(part.segment, -1) >= 0:
            self._ends[part.segment] += part.length
        elif part.is_last:
            self._ends[part.segment] = -1
