"""One job from its file to its report: what `cvault import`, the table commands and the SDK share.

Rules:
- The copy has the format of the file. Parquet is gathered in `OUT.rows` and made at the end.
- A job is resumed only on the same file (size, time of change, first MiB) under the same settings.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

from customervault.tables.csv_source import CsvSource, Dialect
from customervault.tables.errors import TableError
from customervault.tables.journal import Identity, Journal, Progress
from customervault.tables.jsonl_source import JsonlSource
from customervault.tables.parquet_source import ParquetSource
from customervault.tables.pipeline import Pace, run_batches
from customervault.tables.plan import Plan, TokenColumns
from customervault.tables.source import Source
from customervault.tables.tally import Tally
from customervault.tables.target import Target

FORMATS = ("csv", "jsonl", "parquet")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_RUNS = UUID("2c0b1f0e-8a3e-4f52-9a55-6d3c7a9be1d4")
_FINGERPRINTED_BYTES = 2**20

Tell = Callable[[Progress], None]
Showing = Callable[[int, Progress], AbstractContextManager[Tell]]


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far a job has come.

    Attributes:
        rows: Done, those of an earlier run included.
        fraction: Of the table, 0 to 1.
        rows_per_second: Of this run.
        seconds_left: At this rate; None before there is one.
    """

    rows: int
    fraction: float
    rows_per_second: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """The files of a job and how it treats them.

    Attributes:
        file: What is read.
        out: The copy; None for a dry run.
        rejects: Where refused rows and cells are listed.
        settings: Everything that decides what the copy holds, as JSON.
        resume: False begins anew, whatever is there.
        pace: Batch size and batches in flight.
        every_batch: Save after each batch, so that a killed job repeats one at most.
        keep_refused: Rows that were refused as a whole stay, with empty cells.
        mode: Permissions of the copy.
    """

    file: Path
    out: Path | None
    rejects: Path
    settings: Mapping[str, object]
    resume: bool
    pace: Pace
    every_batch: bool = True
    keep_refused: bool = True
    mode: int = 0o640


@dataclass(frozen=True, slots=True)
class Done:
    """What a job did. `resumed` when it continued an earlier one, which the tally includes."""

    tally: Tally
    resumed: bool
    seconds: float


def run_job(job: Job, source: Source, target: Target, showing: Showing) -> Done:
    """Does everything that is not yet acknowledged.

    Raises:
        TableError: The file changed meanwhile, or the copy is not ours to write.
        VaultError: A batch as a whole failed; everything before it is recorded.
    """
    begun = time.monotonic()
    seen = fingerprint(job.file)
    identity = Identity(seen, _digest(json.dumps(dict(job.settings), sort_keys=True).encode()))
    written = job.out
    if isinstance(source, ParquetSource) and job.out is not None:
        written = job.out.with_name(job.out.name + ".rows")
        if job.resume and job.out.exists() and not written.exists():
            raise TableError(
                f"{job.out} exists and belongs to no interrupted run; choose another name, "
                "or replace it with --no-resume"
            )
    with Journal(
        identity,
        written,
        job.rejects,
        source.start,
        save_seconds=0.0 if job.every_batch else None,
        mode=job.mode,
    ) as journal:
        journal.open(source.heading(), resume=job.resume)
        with showing(source.total, journal.progress) as report:
            tally = run_batches(
                source,
                target,
                journal,
                run_id=uuid5(_RUNS, f"{identity.input}/{identity.settings}"),
                pace=job.pace,
                keep_refused=job.keep_refused,
                report=report,
            )
        if fingerprint(job.file) != seen:
            raise TableError(f"{job.file} changed while it was read; start over with --no-resume")
        if isinstance(source, ParquetSource) and job.out is not None and written is not None:
            journal.save()
            source.complete(written, job.out, job.mode)
            journal.finish()
            written.unlink()
        else:
            journal.finish()
        resumed = journal.resumed
    return Done(tally, resumed, time.monotonic() - begun)


def open_source(file: Path, table_format: str, plan: Plan | TokenColumns, dialect: Dialect) -> Source:
    """The table in `file`.

    Raises:
        TableError: It cannot be read, or does not fit the plan.
    """
    if table_format == "csv":
        return CsvSource(file, plan, dialect)
    return JsonlSource(file, plan) if table_format == "jsonl" else ParquetSource(file, plan)


def format_of(file: Path) -> str:
    """The format that a file's name says.

    Raises:
        TableError: It says none.
    """
    found = _SUFFIXES.get(file.suffix.lower())
    if found is None:
        raise TableError(f"{file} ends in neither .csv, .jsonl nor .parquet; say which it is with --format")
    return found


def beside(path: Path) -> Path:
    """Where rejects go unless told otherwise."""
    return path.with_name(path.name + ".rejects.jsonl")


def keep_apart(file: Path, copy: Path | None, rejects: Path) -> None:
    """Checks that a job's files are three, and can be written.

    Raises:
        TableError: They are not, or cannot.
    """
    named = [path.resolve() for path in (file, copy, rejects) if path is not None]
    if len(set(named)) != len(named):
        raise TableError("the file, its tokenized copy and the rejects have to be three different files")
    for path in (copy, rejects):
        if path is not None and not path.parent.is_dir():
            raise TableError(f"there is no folder {path.parent}")
        if path is not None and path.exists() and (not path.is_file() or path.samefile(file)):
            raise TableError(f"{path} cannot be written: it is not a file of its own")


def fingerprint(file: Path) -> str:
    """Tells whether a file is still the same: size, time of change, and its first MiB."""
    status = file.stat()
    with file.open("rb") as opened:
        head = opened.read(_FINGERPRINTED_BYTES)
    return _digest(f"{status.st_size}/{status.st_mtime_ns}/".encode() + head)


def pulsing(call: Callable[[Pulse], None] | None) -> Showing:
    """Shows progress by calling `call` after each batch."""

    @contextmanager
    def showing(total: int, begin: Progress) -> Iterator[Tell]:
        started = time.monotonic()

        def report(progress: Progress) -> None:
            if call is None:
                return
            passed = max(time.monotonic() - started, 1e-6)
            covered = progress.position.offset - begin.position.offset
            left = total - progress.position.offset
            call(
                Pulse(
                    rows=progress.tally.rows,
                    fraction=progress.position.offset / total if total else 1.0,
                    rows_per_second=(progress.tally.rows - begin.tally.rows) / passed,
                    seconds_left=left * passed / covered if covered else None,
                )
            )

        yield report

    return showing


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
