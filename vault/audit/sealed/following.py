"""Whether the records of a sealed log follow each other as their writers wrote them.

- Within a segment, the next record begins where the one before ended. Only after an `AuditGap` of seq 0,
  which stands for damage, nothing is known.
- A worker's numbers go up by one; threads may swap neighbours. A refused read uses its number up.
- A worker's times go up, but for neighbours; a clock that went back by more than a second is worth a word.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from vault.audit.layout import HEADER_BYTES
from vault.audit.records import FRAME, GAP_ACTION
from vault.audit.sealed.leaves import FIRST, LAST, WHOLE

BACKWARDS_MS: Final = 1000
_BODY = struct.Struct(">IBxQQ")  # offset, kind, (outcome or action), seq, time_ms
_ACT = ord("A")
_GAP = GAP_ACTION.encode()


class _Worker:
    """The numbers and times of one worker."""

    __slots__ = ("ahead", "back_ms", "expected", "gaps", "latest_ms", "missing", "repeated")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.ahead: set[int] = set()
        self.missing = self.repeated = self.gaps = 0
        self.latest_ms = self.back_ms = 0

    def number(self, seq: int) -> None:
        """Takes a number that is not the expected one."""
        if seq < self.expected or seq in self.ahead:
            self.repeated += 1
            return
        self.ahead.add(seq)
        if len(self.ahead) > 4096:  # further apart than threads can be
            self._skip(min(self.ahead))
        self._catch_up()

    def settle(self) -> None:
        """Nothing comes any more: what is missing now stays missing."""
        while self.ahead:
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
    """Takes all entries in order. `first` is the first leaf that is held."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._ends: dict[bytes, int] = {}  # of each segment: where the next record begins, -1 if not known
        self._workers: dict[bytes, _Worker] = {}
        self._newest: list[tuple[int, int]] = []  # leaf behind a bundle, newest time up to there
        self._misplaced = 0
        self._misplaced_at = -1
        self.records = 0

    def add(self, first: int, entries: Sequence[bytes]) -> None:
        """The entries of a bundle, the number of the first of which is given."""
        unpack, ends, prefix = _BODY.unpack_from, self._ends, FRAME.size
        newest = self._newest[-1][1] if self._newest else 0
        segment, worker = b"", _Worker(0)
        for number, entry in enumerate(entries, first):
            form, after = entry[0], entry[1] + 12
            if entry[2:after] != segment:
                segment = entry[2:after]
                worker = self._worker(segment, entry, after)
            if form != WHOLE and form != FIRST:
                self._part(segment, len(entry) - after - 4, form)
                continue
            offset, kind, seq, time_ms = unpack(entry, after)
            expected = ends.get(segment)
            if expected != offset and expected != -1 and (expected is not None or self._begins_wrong(offset)):
                self._misplaced += 1
                self._misplaced_at = number if self._misplaced == 1 else self._misplaced_at
            ends[segment] = offset + prefix + len(entry) - after - 4
            if kind == _ACT and _GAP in entry:
                worker.gaps += 1
                if seq == 0:
                    ends[segment] = -1
            if seq == worker.expected and not worker.ahead:
                worker.expected = seq + 1
            elif seq:
                worker.number(seq)
            self.records += 1
            if time_ms >= worker.latest_ms:
                worker.latest_ms = time_ms
                if time_ms > newest:
                    newest = time_ms
            elif worker.latest_ms - time_ms > worker.back_ms:
                worker.back_ms = worker.latest_ms - time_ms
        self._newest.append((first + len(entries), newest))

    def _worker(self, segment: bytes, entry: bytes, after: int) -> _Worker:
        name = segment[:-10]
        worker = self._workers.get(name)
        if worker is None:
            seq = _BODY.unpack_from(entry, after)[2] if self._first else 1
            worker = self._workers[name] = _Worker(seq)
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

    def _part(self, segment: bytes, length: int, form: int) -> None:
        if self._ends.get(segment, -1) >= 0:
            self._ends[segment] += length
        elif form == LAST:
            self._ends[segment] = -1
