"""`cvault import`: a CRM export in, a tokenized copy out."""

import gc
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from customervault.tables.csv_source import Dialect
from customervault.tables.files import Job, beside, format_of, keep_apart, open_source
from customervault.tables.pipeline import Pace
from customervault.tables.plan import Unmapped

from vault.cli.connection import Connection, connecting
from vault.cli.exits import ExitCode, UsageError
from vault.cli.importing.mapping import Choices, make_plan
from vault.cli.importing.run import run_shown, summarize
from vault.cli.options import Domain, Json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from vault.fields import FieldCatalog

_BATCH_SECONDS = 60.0  # a batch waits for a durable commit, behind the batches before it
_CHANNELS_FOR_A_REQUEST = 3

_HELP = """Import a CSV or JSON Lines export and write its tokenized copy.

Each mapped cell is stored under its field class and, in the copy, replaced by its token. The copy
has the same columns and rows in the same order; empty cells stay empty. A column that is neither
mapped nor known to the preset is refused until you say --keep-unmapped or --drop-unmapped.

Rows that cannot be imported go to the rejects file as JSON Lines: line, column, reason, never the
content; they are not in the copy. A refused value leaves its cell of the copy empty.

Interrupted at any point, run the same command again: it continues where it stopped. Importing a
file again updates what has changed and keeps all tokens.

Exit codes: 0 all imported, 1 something was rejected, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault import contacts.csv --preset hubspot --tokens-out contacts-tokens.csv
  cvault import people.csv --id "Customer No" --map "E-mail=email" \\
      --map "Mobile=phone:mobile" --jurisdiction DE --drop-unmapped --dry-run
"""


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("import", **texts(_HELP, "Import a CSV or JSON Lines export."), no_args_is_help=True)(
        import_file
    )


@connecting
def import_file(
    connection: Connection,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The export.", exists=True, dir_okay=False, readable=True, show_default=False
        ),
    ],
    file_format: Annotated[
        Format | None, typer.Option("--format", help="By default what the file's name ends in.")
    ] = None,
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
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="Columns of a known CRM: hubspot, salesforce.")
    ] = "",
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every value here and send nothing.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="For --dry-run: take field classes from this vault.toml."),
    ] = None,
    tokens_out: Annotated[
        Path | None, typer.Option("--tokens-out", metavar="FILE", help="Write the tokenized copy here.")
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects", metavar="FILE", help="By default beside the copy (or the file): *.rejects.jsonl."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Continue an interrupted import, or start over.")
    ] = True,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, max=1000, help="Rows in one request.")
    ] = 500,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=32, help="Requests in flight.")
    ] = 4,
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help="Of a CSV file; for example cp1252.")
    ] = "utf-8",
    delimiter: Annotated[
        str, typer.Option("--delimiter", metavar="CHARACTER", help="Between the cells of a CSV file.")
    ] = ",",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Imports a file."""
    if keep_unmapped and drop_unmapped:
        raise UsageError("--keep-unmapped and --drop-unmapped exclude each other")
    unmapped = Unmapped.KEEP if keep_unmapped else Unmapped.DROP if drop_unmapped else None
    plan = make_plan(
        Choices(
            id_column=id_column,
            maps=maps or (),
            jurisdiction=jurisdiction,
            jurisdiction_column=jurisdiction_column,
            unmapped=unmapped,
            tokenize_id=tokenize_id,
            preset=preset,
            mapping_file=mapping,
        )
    )
    dialect = Dialect(encoding, delimiter)
    kind = file_format.value if file_format else format_of(file)
    source = open_source(file, kind, plan, dialect)
    copy = None if dry_run else tokens_out
    rejects = rejects or beside(copy or file)
    keep_apart(file, copy, rejects)
    settings = {
        **plan.describe(),
        "format": kind,
        "encoding": encoding,
        "delimiter": delimiter,
        "batch": batch,
        "domain": domain,
    }
    job = Job(
        file, copy, rejects, settings, resume, Pace(batch, parallel), every_batch=False, keep_refused=False
    )
    if dry_run:
        from vault.cli.importing.dry_run import DryRun

        done = run_shown(job, source, DryRun(_catalog(data), source.layout.places))
    else:
        from customervault.tables.storing import Storing

        # As many values as a batch may hold, or the client would split it into several commits.
        # Workers are balanced by connection: with a few of them, one worker could get nearly all.
        channels = parallel * _CHANNELS_FOR_A_REQUEST
        gc.set_threshold(50_000, 20, 50)  # rows are many short-lived objects without cycles
        with connection.open(channels=channels, max_batch=20_000, timeout=_BATCH_SECONDS) as vault:
            done = run_shown(job, source, Storing(vault, domain))
    summarize(job, done, "checked" if dry_run else "imported", as_json=as_json, dry_run=dry_run)
    raise typer.Exit(ExitCode.OK if done.tally.clean else ExitCode.PARTIAL)


def _catalog(data: Path | None) -> "FieldCatalog":
    from vault.config import load_settings
    from vault.fields import load_field_classes

    return load_field_classes(load_settings(data).fields if data else {})
