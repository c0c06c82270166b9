"""`cvault tokenize-table` and `cvault detokenize-table`: whole tables in and out of tokens."""

import gc
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from customervault.tables.api import OPENED_ROWS, REQUESTS, STORED_ROWS
from customervault.tables.csv_source import Dialect
from customervault.tables.files import Job, beside, format_of, keep_apart, open_source
from customervault.tables.pipeline import Pace
from customervault.tables.plan import Plan, TokenColumns, Unmapped
from customervault.tables.source import Source
from customervault.tables.target import Target

from vault.cli.connection import Connection, connecting
from vault.cli.detokenize import Reveal
from vault.cli.exits import ExitCode, UsageError
from vault.cli.importing.mapping import Choices, make_plan
from vault.cli.importing.run import run_shown, summarize
from vault.cli.options import Domain, Json, Purpose
from vault.cli.texts import texts

_BATCH_SECONDS = 60.0  # a batch waits for a durable commit
_CHANNELS = 4 * REQUESTS  # workers are balanced by connection
_READING_CHANNELS = 4

_TOKENIZE_HELP = """Store the values of a table and write a copy with tokens in their place.

CSV, JSON Lines or Parquet (which needs pyarrow: the extra `tables`); the copy has the same format,
the same rows and the same order. A column that is neither mapped nor kept is refused until you say
--keep-unmapped or --drop-unmapped.

Cells that the vault refuses, and those of rows that it rejects, are empty in the copy; rows that
cannot be read are not in it. All are listed in the rejects file, never with their content.

Killed at any moment, run the same command again: it continues and repeats one batch at most.

Exit codes: 0 all stored, 1 something was rejected, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault tokenize-table people.parquet tokens.parquet --id customer_id \\
      --map email=email --map mobile=phone:mobile --keep-unmapped
"""
_DETOKENIZE_HELP = """Open the tokens of a table for a purpose and write a copy with values in their place.

CSV, JSON Lines or Parquet (which needs pyarrow: the extra `tables`); the copy has the same format,
the same rows and the same order, and is readable by you alone. What is written is what policy
grants for the purpose: the value or its mask. Tokens that are not opened leave an empty cell and
are listed in the rejects file.

Killed at any moment, run the same command again: it continues and reads one batch twice at most.

Exit codes: 0 all opened, 1 some were not, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault detokenize-table tokens.parquet people.parquet --column email --column mobile \\
      --purpose support
"""


class Format(StrEnum):
    """How a table is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The table.", exists=True, dir_okay=False, readable=True, show_default=False
    ),
]
_Out = Annotated[Path, typer.Argument(metavar="OUT", help="The copy.", show_default=False)]
_Format = Annotated[Format | None, typer.Option("--format", help="By default what the file's name ends in.")]
_Rejects = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="By default beside the copy: *.rejects.jsonl."),
]
_Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Continue an interrupted run, or start over.")
]
_Batch = Annotated[
    int, typer.Option("--batch", metavar="N", min=1, max=100_000, help="Rows sent and recorded at a time.")
]
_Encoding = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="Of a CSV file; for example cp1252.")
]
_Delimiter = Annotated[
    str, typer.Option("--delimiter", metavar="CHARACTER", help="Between the cells of a CSV file.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        "tokenize-table", **texts(_TOKENIZE_HELP, "Store the values of a table."), no_args_is_help=True
    )(tokenize_table)
    app.command(
        "detokenize-table", **texts(_DETOKENIZE_HELP, "Open the tokens of a table."), no_args_is_help=True
    )(detokenize_table)


@connecting
def tokenize_table(
    connection: Connection,
    file: _File,
    out: _Out,
    id_column: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="Column with your own id of a customer.")
    ] = "",
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=CLASS[:LABEL]", help="Store a column; give it once for each."),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", metavar="FILE", help="TOML file with id and columns.")
    ] = None,
    jurisdiction: Annotated[
        str, typer.Option("--jurisdiction", metavar="CODE", help="Country whose law governs all rows.")
    ] = "",
    jurisdiction_column: Annotated[
        str, typer.Option("--jurisdiction-column", metavar="COLUMN", help="Column that holds it row by row.")
    ] = "",
    keep_unmapped: Annotated[
        bool, typer.Option("--keep-unmapped", help="Copy columns that are not mapped as they are.")
    ] = False,
    drop_unmapped: Annotated[
        bool, typer.Option("--drop-unmapped", help="Leave columns that are not mapped out of the copy.")
    ] = False,
    tokenize_id: Annotated[
        bool, typer.Option("--tokenize-id", help="Put the customer's token in place of the id.")
    ] = False,
    file_format: _Format = None,
    rejects: _Rejects = None,
    resume: _Resume = True,
    batch: _Batch = STORED_ROWS,
    encoding: _Encoding = "utf-8",
    delimiter: _Delimiter = ",",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Stores a table."""
    from customervault.tables.storing import Storing

    if keep_unmapped and drop_unmapped:
        raise UsageError("--keep-unmapped and --drop-unmapped exclude each other")
    plan = make_plan(
        Choices(
            id_column=id_column,
            maps=maps or (),
            jurisdiction=jurisdiction,
            jurisdiction_column=jurisdiction_column,
            unmapped=Unmapped.KEEP if keep_unmapped else Unmapped.DROP if drop_unmapped else None,
            tokenize_id=tokenize_id,
            mapping_file=mapping,
        )
    )
    settings: dict[str, object] = {**plan.describe(), "domain": domain}
    job, source = _job(
        file, out, rejects, plan, settings, file_format, Dialect(encoding, delimiter), resume, batch, 0o640
    )
    with connection.open(channels=_CHANNELS, max_batch=20_000, timeout=_BATCH_SECONDS) as vault:
        _run(job, source, Storing(vault, domain, REQUESTS), "stored", as_json=as_json)


@connecting
def detokenize_table(
    connection: Connection,
    file: _File,
    out: _Out,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="COLUMN", help="Column of tokens; give it once for each."),
    ] = None,
    purpose: Purpose = "",
    reveal: Annotated[
        Reveal,
        typer.Option("--reveal", help="best: what is granted; plain: refuse where only a mask is; masked."),
    ] = Reveal.BEST,
    file_format: _Format = None,
    rejects: _Rejects = None,
    resume: _Resume = True,
    batch: _Batch = OPENED_ROWS,
    encoding: _Encoding = "utf-8",
    delimiter: _Delimiter = ",",
    as_json: Json = False,
) -> None:
    """Opens a table."""
    from customervault.tables.opening import Opening

    if not purpose:
        raise UsageError("say why the values are read: --purpose NAME")
    if not columns:
        raise UsageError("name the columns that hold tokens: --column COLUMN")
    plan = TokenColumns(tuple(columns))
    settings: dict[str, object] = {"open": sorted(columns), "purpose": purpose, "reveal": reveal.value}
    job, source = _job(
        file, out, rejects, plan, settings, file_format, Dialect(encoding, delimiter), resume, batch, 0o600
    )
    with connection.open(channels=_READING_CHANNELS, timeout=_BATCH_SECONDS) as vault:
        _run(job, source, Opening(vault, purpose, reveal.value), "opened", as_json=as_json)


def _job(
    file: Path,
    out: Path,
    rejects: Path | None,
    plan: Plan | TokenColumns,
    settings: dict[str, object],
    file_format: Format | None,
    dialect: Dialect,
    resume: bool,
    batch: int,
    mode: int,
) -> tuple[Job, Source]:
    kind = file_format.value if file_format else format_of(file)
    rejects = rejects or beside(out)
    keep_apart(file, out, rejects)
    written = {"format": kind, "encoding": dialect.encoding, "delimiter": dialect.delimiter, "batch": batch}
    job = Job(file, out, rejects, {**settings, **written}, resume, Pace(batch, 1), mode=mode)
    return job, open_source(file, kind, plan, dialect)


def _run(job: Job, source: Source, target: Target, verb: str, *, as_json: bool) -> None:
    gc.set_threshold(50_000, 20, 50)  # rows are many short-lived objects without cycles
    done = run_shown(job, source, target)
    summarize(job, done, verb, as_json=as_json)
    raise typer.Exit(ExitCode.OK if done.tally.clean else ExitCode.PARTIAL)
