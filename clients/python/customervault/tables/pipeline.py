"""Sends a file in batches, several in flight, and records the answers in the order of the file.

Rules:
- A batch ends after so many rows, values or bytes, whichever comes first, and nothing else: the same
  file under the same settings falls into the same batches, each with the same request id. A batch
  that was sent before an interruption is therefore recognised by the vault when it is sent again.
- Two batches in flight never hold the same customer, or the later row might be overtaken by the
  earlier one.
- Memory: at most `parallel` + 1 batches.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid5

from customervault.tables.journal import Progress
from customervault.tables.source import BadRow, Finished, Position, Record, Reject, Source, finished
from customervault.tables.tally import Tally
from customervault.tables.target import Outcome, Refusal, StoredRow, Target

_BATCH_BYTES = 2 * 2**20  # of values; half of what the vault accepts in one message by default
_BATCH_VALUES = 20_000


class Records(Protocol):
    """What a job remembers: a `Journal`, or memory."""

    progress: Progress

    def append(self, rows: bytes, rejects: Iterable[Reject], progress: Progress) -> None:
        """Records one acknowledged batch."""

    def save(self) -> None:
        """Makes everything up to now survive a crash."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is sent at a time."""

    batch_rows: int
    parallel: int


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    rows: list[Record | BadRow]
    after: Position

    @property
    def records(self) -> list[Record]:
        return [row for row in self.rows if isinstance(row, Record)]


@dataclass(frozen=True, slots=True)
class _Sent:
    batch: _Batch
    customers: frozenset[str]
    answer: "Future[list[StoredRow]]"


def run_batches(
    source: Source,
    target: Target,
    journal: Records,
    *,
    run_id: UUID,
    pace: Pace,
    keep_refused: bool = False,
    report: Callable[[Progress], None],
) -> Tally:
    """Imports what the journal has not yet recorded.

    Args:
        source: The file.
        target: Where rows go.
        journal: Opened; says where to begin and takes the results.
        run_id: Names this file under these settings; request ids derive from it.
        pace: Batch size and batches in flight.
        keep_refused: Rows that were refused as a whole stay, with their cells empty, wherever they could
            be read; otherwise the copy leaves them out.
        report: Called after each recorded batch.

    Raises:
        Exception: Whatever the target raised. Everything acknowledged before it is recorded.
    """
    places = source.layout.places
    in_flight: deque[_Sent] = deque()

    def settle() -> None:
        oldest = in_flight[0]
        rows, rejects, progress = _outcome(
            source, journal.progress, oldest.batch, oldest.answer.result(), keep_refused
        )
        in_flight.popleft()
        journal.append(rows, rejects, progress)
        report(progress)

    def send(batch: _Batch) -> list[StoredRow]:
        records = batch.records
        if not records:
            return []
        answer = list(target.store(records, places, str(uuid5(run_id, str(batch.number)))))
        if len(answer) != len(records):
            raise RuntimeError("the vault answered for another number of rows than were sent")
        return answer

    with ThreadPoolExecutor(pace.parallel, thread_name_prefix="table") as pool:
        try:
            for batch in _batches(source, journal.progress, pace.batch_rows):
                customers = frozenset(record.external_id for record in batch.records if record.external_id)
                while in_flight and (
                    len(in_flight) >= pace.parallel
                    or not all(customers.isdisjoint(sent.customers) for sent in in_flight)
                ):
                    settle()
                in_flight.append(_Sent(batch, customers, pool.submit(send, batch)))
            while in_flight:
                settle()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            journal.save()
            raise
    return journal.progress.tally


def _batches(source: Source, progress: Progress, batch_rows: int) -> Iterator[_Batch]:
    number = progress.batches
    most_rows = max(1, min(batch_rows, _BATCH_VALUES // len(source.layout.columns)))
    rows: list[Record | BadRow] = []
    size = 0
    for row in source.rows(progress.position):
        rows.append(row)
        size += sum(map(len, row.values)) if isinstance(row, Record) else 0
        # A character is at most four bytes of UTF-8.
        if len(rows) >= most_rows or size * 4 >= _BATCH_BYTES:
            yield _Batch(number, rows, row.after)
            number, rows, size = number + 1, [], 0
    if rows:
        yield _Batch(number, rows, rows[-1].after)


def _outcome(
    source: Source, before: Progress, batch: _Batch, answers: list[StoredRow], keep_refused: bool
) -> tuple[bytes, list[Reject], Progress]:
    """The rows of the copy, the rejects and the progress after `batch`."""
    tally = replace(before.tally, reasons=before.tally.reasons.copy())
    copied: list[Finished] = []
    columns = source.layout.columns
    nothing = [""] * len(columns)
    outcomes: list[Outcome] = []
    plain: Counter[tuple[Outcome, ...]] = Counter()
    refusals: list[Refusal] = []
    rejects: list[Reject] = []
    answer = iter(answers)
    for row in batch.rows:
        if isinstance(row, BadRow):
            tally.add_bad_row(row.reject.reason)
            rejects.append(replace(row.reject, row=tally.rows))
            if keep_refused and row.original is not None:
                copied.append(Finished(row.original, "", nothing))
            continue
        stored = next(answer)
        if stored.refusal is not None:
            tally.add_bad_row(stored.refusal.reason)
            rejects.append(_reject(row, "", stored.refusal, tally.rows))
            if keep_refused:
                copied.append(Finished(row.original, "", nothing))
            continue
        tally.add_stored(stored)
        if stored.plain is not None:
            plain[stored.plain.outcomes] += 1
            copied.append(finished((row.original, stored.customer_token, stored.plain.tokens)))
            continue
        cells = []
        for column, (outcome, token, refusal) in zip(columns, stored.fields, strict=True):
            cells.append(token)
            outcomes.append(outcome)
            if refusal is not None:
                refusals.append(refusal)
                rejects.append(_reject(row, column, refusal, tally.rows))
        copied.append(Finished(row.original, stored.customer_token, cells))
    tally.add_values(outcomes, refusals)
    for each, rows in plain.items():
        tally.add_values(each, (), rows)
    return source.render(copied), rejects, Progress(before.batches + 1, batch.after, tally)


def _reject(row: Record, column: str, refusal: Refusal, number: int) -> Reject:
    return Reject(row.line, column, refusal.reason, refusal.message, number)
