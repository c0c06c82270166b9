"""`cvault erasure`: what was shredded, and the proof of it."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli import erasure_verify
from vault.cli.connection import online
from vault.cli.exits import UsageError
from vault.cli.options import Json, Limit
from vault.cli.output import plural, print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.receipts import write_new
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Erasure

_GROUP = """Erasures: what was shredded, when, and the signed receipt.

Example:
  cvault erasure list
"""
_LIST = """List all shreds, oldest first. With --json: one a line, as they come.

Example:
  cvault erasure list --limit 20
"""
_STATUS = """Show one shred. A shred is effective when no read can succeed any more.

Example:
  cvault erasure status shr_0123456789abcdef0123456789abcdef --receipt receipt.json
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "What was shredded."), no_args_is_help=True)
    group.command("list", **texts(_LIST, "List all shreds."))(list_all)
    group.command("status", **texts(_STATUS, "Show one shred."))(status)
    erasure_verify.register(group)
    app.add_typer(group, name="erasure")


@online
def list_all(
    vault: "Vault",
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Lists shreds."""
    chosen = islice(vault.list_erasures(page_size=min(limit, 1000) or 1000), limit or None)
    if as_json:
        for erasure in chosen:
            print_json(_as_json(erasure))
        return
    rows = [(each.shred_id, each.stage, when(each.effective), each.ledger_seq) for each in chosen]
    print_table(("SHRED ID", "STAGE", "EFFECTIVE", "LEDGER"), rows, empty="No erasures.")
    if rows:
        print_line(plural(len(rows), "erasure"))


@online
def status(
    vault: "Vault",
    shred_id: Annotated[str, typer.Argument(metavar="SHRED_ID", show_default=False)],
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt", metavar="FILE", help="Write the signed statement here, FILE.sig beside it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Shows one shred."""
    erasure = vault.get_erasure(shred_id)
    if receipt is not None:
        if erasure.receipt is None:
            raise UsageError("the vault gave no receipt for this shred")
        write_new(receipt, erasure.receipt.statement)
        write_new(receipt.with_name(receipt.name + ".sig"), erasure.receipt.signature)
    if as_json:
        print_json(_as_json(erasure))
        return
    print_facts(
        [
            ("shred id", erasure.shred_id),
            ("stage", erasure.stage),
            ("effective", when(erasure.effective)),
            ("ledger entry", erasure.ledger_seq),
            ("commitment", erasure.commitment.hex()),
            ("signed by", erasure.receipt.key_id if erasure.receipt else "-"),
        ]
    )


def _as_json(erasure: "Erasure") -> dict[str, object]:
    document: dict[str, object] = {
        "shred_id": erasure.shred_id,
        "stage": erasure.stage,
        "effective": when_json(erasure.effective),
        "ledger_seq": erasure.ledger_seq,
        "commitment": erasure.commitment.hex(),
    }
    if erasure.receipt is not None:
        document["receipt"] = {
            "statement": erasure.receipt.statement.decode(),
            "signature": erasure.receipt.signature.hex(),
            "key_id": erasure.receipt.key_id,
        }
    return document
