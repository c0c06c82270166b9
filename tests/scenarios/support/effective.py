"""Who could read what and when, and whether any of it was too late.

A subject is closed from the acknowledgement of the change that closed it until the call that opens it again
begins. A read is too late if it started after the acknowledgement, ended before that call began, and
succeeded all the same. Reads that overlap either edge prove nothing and are left out.

All times are of `time.monotonic` in one process, so that they can be compared.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Read:
    """One call: when it started and ended, the subjects that it asked for, and those that it was given."""

    started: float
    ended: float
    asked: Collection[str]
    given: Collection[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many times a read within a closed interval was refused, and the reads that were too late."""

    refused: int
    seen: Mapping[str, int]  # closed intervals with at least one read within, by subject
    too_late: Sequence[tuple[str, Read]]


def judge(closed: Mapping[str, Sequence[Interval]], reads: Iterable[Read]) -> Verdict:
    """Holds reads against closed intervals, which are disjoint and ascending for each subject."""
    starts = {subject: [interval[0] for interval in intervals] for subject, intervals in closed.items()}
    refused, too_late = 0, []
    seen: dict[str, set[int]] = {subject: set() for subject in closed}
    for read in reads:
        for subject in read.asked:
            at = bisect_right(starts.get(subject, ()), read.started) - 1
            if at < 0 or read.ended > closed[subject][at][1]:
                continue
            seen[subject].add(at)
            if subject in read.given:
                too_late.append((subject, read))
            else:
                refused += 1
    return Verdict(refused, {subject: len(found) for subject, found in seen.items()}, too_late)
