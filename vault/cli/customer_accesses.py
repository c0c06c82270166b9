"""`cvault customers accesses`: what was done with a customer's data, in words for the customer."""

from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.options import Json, Limit
from vault.cli.output import print_json, print_line, print_remark, visible, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.reach_results import AccessEvent

_HELP = """Show who did what with a customer's data, why and on which basis, in plain words, newest first.

Reads, refused attempts, emergency accesses, and administrative acts are all told. After a customer was erased
there is no history any more.

With --json: one event a line, as they come.

Example:
  cvault customers accesses customer-4711 --language de --since 30d
"""


def register(group: typer.Typer) -> None:
    """Adds the command."""
    group.command("accesses", **texts(_HELP, "Show who did what with a customer's data."))(accesses)


@online
def accesses(
    vault: "Vault",
    customer: Customer,
    by: ByOption = By.AUTO,
    language: Annotated[
        str, typer.Option("--language", metavar="TAG", help="Of the texts: en, de, fr or es.")
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Not before; inclusive.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Not after; exclusive.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Shows a customer's access history."""
    from vault.cli.audit_filter import parse_time

    pages = vault.access_history(
        **named(customer, by),
        locale=language,
        start=parse_time(since, "--since"),
        end=parse_time(until, "--until"),
        page_size=min(limit, 1000) or 1000,
    )
    told, removed = 0, None
    for page in pages:
        removed = page.removed_until or removed
        for event in page.events[: limit - told if limit else None]:
            told += 1
            if as_json:
                print_json(_as_json(event))
            else:
                print_line(f"{when(event.time)}  {visible(event.text)}")
        if limit and told >= limit:
            break
    if not told and not as_json:
        print_line("No accesses.")
    if removed is not None:
        print_remark(f"Records up to {when(removed)} have been removed from the log.")


def _as_json(event: "AccessEvent") -> dict[str, object]:
    return {
        "time": when_json(event.time),
        "principal": event.principal,
        "action": event.action,
        "purpose": event.purpose,
        "purpose_description": event.purpose_description,
        "basis": event.basis,
        "basis_stated": event.basis_stated,
        "counts": {name: each._asdict() for name, each in sorted(event.counts.items())},
        "reasons": list(event.reasons),
        "break_glass": event.break_glass,
        "text": event.text,
        "leaf": event.leaf,
    }
