"""What callers use: whole tables in and out of tokens."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from uuid import uuid4

from customervault.tables.csv_source import Dialect
from customervault.tables.errors import TableError
from customervault.tables.files import (
    Done,
    Job,
    Pulse,
    beside,
    format_of,
    keep_apart,
    open_source,
    pulsing,
    run_job,
)
from customervault.tables.frames import FrameSource, InMemory
from customervault.tables.opening import Opening
from customervault.tables.pipeline import Pace, run_batches
from customervault.tables.plan import Place, Plan, TokenColumns, Unmapped
from customervault.tables.source import Reject
from customervault.tables.storing import Storing
from customervault.tables.tally import Tally
from customervault.tables.target import Target

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.values import Reveal

PathLike = str | os.PathLike[str]
Frame = TypeVar("Frame")
Format = Literal["csv", "jsonl", "parquet"]
Rest = Literal["refuse", "keep", "drop"]

# A batch is what a killed job repeats at most; it is sent as several requests at the same time.
STORED_ROWS = 3200
OPENED_ROWS = 4000
REQUESTS = 4


@dataclass(frozen=True, slots=True)
class Report:
    """What a job did.

    Attributes:
        rows: In the table; with `rows_rejected` of them rejected as a whole.
        values: Stored or opened.
        values_refused: Cells that the vault refused; they are empty in the copy.
        reasons: How often each reason was given.
        rejects: The file that lists them, None where there are none or the table is a frame.
        refused: Each of them, for a frame.
        resumed: Whether an earlier run was continued; the counts include it.
        seconds: Of this run.
    """

    rows: int
    rows_rejected: int
    values: int
    values_refused: int
    reasons: Mapping[str, int]
    rejects: Path | None
    refused: Sequence[Reject]
    resumed: bool
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing was rejected or refused."""
        return not (self.rows_rejected or self.values_refused)


def tokenize_table(
    vault: "Vault",
    source: PathLike,
    target: PathLike,
    *,
    id_column: str,
    columns: Mapping[str, str],
    rest: Rest = "refuse",
    keep: Iterable[str] = (),
    tokenize_id: bool = False,
    jurisdiction: str = "",
    jurisdiction_column: str = "",
    domain: str = "",
    table_format: Format | None = None,
    encoding: str = "utf-8",
    delimiter: str = ",",
    rejects: PathLike | None = None,
    resume: bool = True,
    batch_rows: int = STORED_ROWS,
    progress: Callable[[Pulse], None] | None = None,
) -> Report:
    """Stores the cells of a table and writes a copy with tokens in their place.

    Interrupted at any moment, the same call continues where it stopped and repeats one batch at most,
    which the vault recognizes.

    Args:
        vault: A client. More `channels` reach more of the vault's workers.
        source: CSV, JSON Lines or Parquet.
        target: The copy, in the same format, with the same rows in the same order.
        id_column: Holds the caller's own id of a customer.
        columns: Column to field class, or to `class:label`.
        rest: What happens to all other columns.
        keep: Columns that hold no personal data; copied as they are.
        tokenize_id: Put the customer's token in place of the id.
        jurisdiction: ISO 3166-1 alpha-2, for every row.
        jurisdiction_column: Holds it row by row instead.
        domain: Domain of the tokens; empty for the client's own.
        table_format: By default what the name of `source` ends in.
        encoding: Of a CSV file.
        delimiter: Of a CSV file.
        rejects: Lists refused rows and cells as JSON Lines; by default `target` with .rejects.jsonl.
        resume: False begins anew.
        batch_rows: Rows that are sent and recorded at a time.
        progress: Called after each batch.

    Raises:
        TableError: The table or the arguments do not fit.
        VaultError: The vault refused or could not be reached; what was done is recorded.
    """
    plan = _plan(id_column, columns, rest, keep, tokenize_id, jurisdiction, jurisdiction_column)
    settings = {**plan.describe(), "domain": domain}
    files = _Files(Path(source), Path(target), rejects, table_format, Dialect(encoding, delimiter))
    return files.run(
        plan, Storing(vault, domain, REQUESTS), settings, resume, batch_rows, progress, mode=0o640
    )


def detokenize_table(
    vault: "Vault",
    source: PathLike,
    target: PathLike,
    *,
    columns: Sequence[str],
    purpose: str | None = None,
    reveal: "Reveal" = "best",
    table_format: Format | None = None,
    encoding: str = "utf-8",
    delimiter: str = ",",
    rejects: PathLike | None = None,
    resume: bool = True,
    batch_rows: int = OPENED_ROWS,
    progress: Callable[[Pulse], None] | None = None,
) -> Report:
    """Opens the tokens of a table for a purpose and writes a copy with values in their place.

    The copy is readable by its owner only. Interrupted at any moment, the same call continues where it
    stopped and reads one batch twice at most.

    Args:
        vault: A client; a batch goes over all its channels at the same time.
        source: CSV, JSON Lines or Parquet.
        target: The copy, in the same format, with the same rows in the same order.
        columns: Those that hold tokens. All others are copied as they are.
        purpose: Why the values are read; the client's own when None.
        reveal: As in `Vault.detokenize`.
        table_format: By default what the name of `source` ends in.
        encoding: Of a CSV file.
        delimiter: Of a CSV file.
        rejects: Lists tokens that were not opened as JSON Lines; by default `target` with .rejects.jsonl.
        resume: False begins anew.
        batch_rows: Rows that are read and recorded at a time.
        progress: Called after each batch.

    Raises:
        TableError: The table or the arguments do not fit.
        VaultError: The vault refused or could not be reached; what was done is recorded.
    """
    plan = TokenColumns(tuple(columns))
    settings = {"open": list(columns), "purpose": purpose, "reveal": reveal}
    files = _Files(Path(source), Path(target), rejects, table_format, Dialect(encoding, delimiter))
    return files.run(
        plan, Opening(vault, purpose, reveal), settings, resume, batch_rows, progress, mode=0o600
    )


def tokenize_frame(
    vault: "Vault",
    frame: Frame,
    *,
    id_column: str,
    columns: Mapping[str, str],
    rest: Rest = "refuse",
    keep: Iterable[str] = (),
    tokenize_id: bool = False,
    jurisdiction: str = "",
    jurisdiction_column: str = "",
    domain: str = "",
    batch_rows: int = STORED_ROWS,
    progress: Callable[[Pulse], None] | None = None,
) -> tuple[Frame, Report]:
    """Stores the cells of a pandas frame; a copy with tokens in their place, and what was refused.

    The arguments are those of `tokenize_table`. A frame cannot be resumed: call again, and what is held
    already keeps its tokens.

    Raises:
        TableError: The frame or the arguments do not fit.
        VaultError: The vault refused or could not be reached.
    """
    plan = _plan(id_column, columns, rest, keep, tokenize_id, jurisdiction, jurisdiction_column)
    return _run_frame(frame, plan, Storing(vault, domain, REQUESTS), batch_rows, progress)


def detokenize_frame(
    vault: "Vault",
    frame: Frame,
    *,
    columns: Sequence[str],
    purpose: str | None = None,
    reveal: "Reveal" = "best",
    batch_rows: int = OPENED_ROWS,
    progress: Callable[[Pulse], None] | None = None,
) -> tuple[Frame, Report]:
    """Opens the tokens of a pandas frame; a copy with values in their place, and what was refused.

    The arguments are those of `detokenize_table`.

    Raises:
        TableError: The frame or the arguments do not fit.
        VaultError: The vault refused or could not be reached.
    """
    plan = TokenColumns(tuple(columns))
    return _run_frame(frame, plan, Opening(vault, purpose, reveal), batch_rows, progress)


@dataclass(frozen=True, slots=True)
class _Files:
    source: Path
    target: Path
    rejects: PathLike | None
    table_format: str | None
    dialect: Dialect

    def run(
        self,
        plan: Plan | TokenColumns,
        target: Target,
        settings: Mapping[str, object],
        resume: bool,
        batch_rows: int,
        progress: Callable[[Pulse], None] | None,
        *,
        mode: int,
    ) -> Report:
        kind = self.table_format or format_of(self.source)
        rejects = Path(self.rejects) if self.rejects is not None else beside(self.target)
        keep_apart(self.source, self.target, rejects)
        job = Job(
            file=self.source,
            out=self.target,
            rejects=rejects,
            settings={
                **settings,
                "format": kind,
                "encoding": self.dialect.encoding,
                "delimiter": self.dialect.delimiter,
                "batch": batch_rows,
            },
            resume=resume,
            pace=Pace(_checked_rows(batch_rows), 1),
            mode=mode,
        )
        done = run_job(job, open_source(self.source, kind, plan, self.dialect), target, pulsing(progress))
        return _report(done, None if done.tally.clean else rejects, ())


def _run_frame(
    frame: Frame,
    plan: Plan | TokenColumns,
    target: Target,
    batch_rows: int,
    progress: Callable[[Pulse], None] | None,
) -> tuple[Frame, Report]:
    source = FrameSource(frame, plan)
    memory = InMemory(source.start)
    with pulsing(progress)(source.total, memory.progress) as report:
        tally = run_batches(
            source,
            target,
            memory,
            run_id=uuid4(),
            pace=Pace(_checked_rows(batch_rows), 1),
            keep_refused=True,
            report=report,
        )
    copied: Frame = source.finished()
    return copied, _report(Done(tally, False, 0.0), None, memory.rejects)


def _report(done: Done, rejects: Path | None, refused: Sequence[Reject]) -> Report:
    tally: Tally = done.tally
    return Report(
        rows=tally.rows,
        rows_rejected=tally.rows_rejected,
        values=tally.values,
        values_refused=tally.values_refused,
        reasons=dict(tally.reasons),
        rejects=rejects,
        refused=tuple(refused),
        resumed=done.resumed,
        seconds=done.seconds,
    )


def _plan(
    id_column: str,
    columns: Mapping[str, str],
    rest: Rest,
    keep: Iterable[str],
    tokenize_id: bool,
    jurisdiction: str,
    jurisdiction_column: str,
) -> Plan:
    if jurisdiction and jurisdiction_column:
        raise TableError("a jurisdiction for every row or a column that holds it: give one of them")
    places = {}
    for column, text in columns.items():
        field_class, _, label = text.partition(":")
        places[column] = Place(field_class, label)
    return Plan(
        id_columns=(id_column,),
        columns=places,
        kept=frozenset(keep),
        unmapped=Unmapped(rest),
        jurisdiction=jurisdiction,
        jurisdiction_column=jurisdiction_column,
        tokenize_id=tokenize_id,
    )


def _checked_rows(batch_rows: int) -> int:
    if batch_rows < 1:
        raise TableError("batch_rows has to be at least 1")
    return batch_rows
