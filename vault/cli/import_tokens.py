"""`cvault import-tokens`: tokens of another vault stay valid as surrogates."""

from pathlib import Path
from typing import Annotated

import typer
from customervault.tables.csv_source import CsvSource, Dialect
from customervault.tables.files import Job, beside, keep_apart
from customervault.tables.pipeline import Pace
from customervault.tables.plan import Place, Plan, Unmapped

from vault.cli.connection import Connection, connecting
from vault.cli.exits import ExitCode, UsageError
from vault.cli.importing.plan import checked_jurisdiction, parse_maps
from vault.cli.importing.run import run_shown, summarize
from vault.cli.options import Domain, Json
from vault.cli.texts import texts

_BATCH_SECONDS = 60.0
_CHANNELS_FOR_A_REQUEST = 4

_HELP = """Import existing tokens of another vault; they stay valid here as surrogates.

The file is CSV: a row holds your own id of a customer, a value, and the token that stands for it
today. Each value is stored under the field class named with --value, and its token is accepted
from then on wherever this vault's own tokens are, within the domain. It ends with its customer.

A row is rejected when the value does not fit its class, when the token stands for another value
of the domain, or when the customer holds another value under the class and label: nothing that is
held is changed. Rejects are JSON Lines: line, reason, never the content.

Interrupted at any point, or run a second time, the command goes on and changes nothing twice.
Only a bounded part of the file is held in memory. Remove the file afterwards: it holds the values.

Exit codes: 0 all imported, 1 something was rejected, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault import-tokens old-vault.csv --id customer --value value=email --token token --dry-run
  cvault import-tokens phones.csv --id crm_id --value phone=phone:mobile --token phone_token
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "import-tokens", **texts(_HELP, "Import existing tokens of another vault."), no_args_is_help=True
    )(import_tokens)


@connecting
def import_tokens(
    connection: Connection,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The other vault's export.",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
        ),
    ],
    id_column: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="Column with your own id of a customer.")
    ],
    value: Annotated[
        str, typer.Option("--value", metavar="COLUMN=CLASS[:LABEL]", help="Column with the values.")
    ],
    token: Annotated[str, typer.Option("--token", metavar="COLUMN", help="Column with the tokens.")],
    jurisdiction: Annotated[
        str, typer.Option("--jurisdiction", metavar="CODE", help="Country whose law governs new customers.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row here and send nothing.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="For --dry-run: take field classes from this vault.toml."),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="FILE", help="By default beside the file: *.rejects.jsonl."),
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
        str, typer.Option("--encoding", metavar="NAME", help="Of the file; for example cp1252.")
    ] = "utf-8",
    delimiter: Annotated[
        str, typer.Option("--delimiter", metavar="CHARACTER", help="Between the cells.")
    ] = ",",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Imports tokens."""
    from vault.cli.importing.foreign import ForeignCheck, ForeignTarget, ForeignToken

    ((column, place),) = parse_maps([value]).items()
    if len({id_column, column, token}) != 3:
        raise UsageError("--id, --value and --token have to name three different columns")
    plan = Plan(
        id_columns=(id_column,),
        columns={column: place, token: Place("surrogate")},
        unmapped=Unmapped.DROP,
        jurisdiction=checked_jurisdiction(jurisdiction),
    )
    source = CsvSource(file, plan, Dialect(encoding, delimiter))
    foreign = ForeignToken.among(source.layout.columns, column, token, place)
    rejects = rejects or beside(file)
    keep_apart(file, None, rejects)
    settings = {**plan.describe(), "token": token, "encoding": encoding, "delimiter": delimiter}
    settings |= {"batch": batch, "domain": domain}
    job = Job(
        file, None, rejects, settings, resume, Pace(batch, parallel), every_batch=False, keep_refused=False
    )
    if dry_run:
        from vault.config import load_settings
        from vault.fields import load_field_classes

        catalog = load_field_classes(load_settings(data).fields if data else {})
        done = run_shown(job, source, ForeignCheck(catalog, foreign))
    else:
        channels = parallel * _CHANNELS_FOR_A_REQUEST
        with connection.open(channels=channels, max_batch=20_000, timeout=_BATCH_SECONDS) as vault:
            done = run_shown(job, source, ForeignTarget(vault, domain, foreign))
    summarize(job, done, "checked" if dry_run else "imported", as_json=as_json, dry_run=dry_run)
    raise typer.Exit(ExitCode.OK if done.tally.clean else ExitCode.PARTIAL)
