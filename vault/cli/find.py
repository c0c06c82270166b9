"""`cvault find`: customers by a value, and customers that share one."""

import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import online
from vault.cli.exits import ExitCode, UsageError
from vault.cli.options import Basis, Domain, Json, Limit, Purpose, lawful_basis
from vault.cli.output import print_json, print_line, print_remark, print_table
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.search_results import DuplicateGroup, FoundCustomer

_HELP = """Find customers by a value, and print their tokens: the customer's, then the value's.

The value may be spelled in any way that its class takes: a phone number as dialled in the country
that --region names, an e-mail address in any case. Give - to have it read from standard input,
where no list of processes shows it. Several --class NAME=VALUE look for all of them together, where
the vault declares them as a compound. Policy decides as for a read; whoever is closed to you is
not found.

--duplicates lists customers that share a value of a class or compound, one group after the other,
and says nothing of the value. --status says what can be searched.

Exit codes: 0 found, 1 nobody, 2 usage, 3 denied, 4 unavailable or still being built.

Examples:
  cvault find --class phone '+49 30 901820' --purpose support
  cvault find --class phone '030 901820' --region DE --purpose support
  cvault find --class name='Ada Lovelace' --class birth_date=1990-12-10 --purpose support
  cvault find --duplicates --class email --purpose data_quality
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("find", **texts(_HELP, "Find customers by a value."), no_args_is_help=True)(find)


@online
def find(
    vault: "Vault",
    value: Annotated[
        str, typer.Argument(metavar="[VALUE|-]", help="What to look for.", show_default=False)
    ] = "",
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME[=VALUE]", help="Field class, or one with its value."),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="List customers that share a value.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what can be searched.")] = False,
    region: Annotated[
        str, typer.Option("--region", metavar="CC", help="Country in which a phone number is dialled.")
    ] = "",
    purpose: Purpose = "",
    basis: Basis = "",
    domain: Domain = "",
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Finds customers."""
    given = classes or []
    if status:
        _print_status(vault, as_json=as_json)
        return
    if not purpose:
        raise UsageError("say why you search: --purpose NAME")
    on = lawful_basis(basis)
    if duplicates:
        if len(given) != 1 or value or "=" in given[0]:
            raise UsageError("--duplicates takes one --class NAME and no value")
        groups = vault.list_duplicates(given[0], purpose=purpose, basis=on, domain=domain)
        told = _print_groups(islice(groups, limit or None), as_json=as_json)
    else:
        found = vault.find(_values(value, given), purpose=purpose, basis=on, region=region, domain=domain)
        told = _print_found(islice(found, limit or None), as_json=as_json)
    if not told:
        if not as_json:
            print_remark("nobody shares a value" if duplicates else "nobody is found")
        raise typer.Exit(ExitCode.PARTIAL)


def _values(value: str, classes: list[str]) -> dict[str, str]:
    """What to look for, by field class."""
    if value and len(classes) == 1 and "=" not in classes[0]:
        return {classes[0]: sys.stdin.readline().rstrip("\r\n") if value == "-" else value}
    if value or not classes or not all("=" in each for each in classes):
        raise UsageError("give --class NAME and a value, or --class NAME=VALUE for each class")
    split = [each.partition("=") for each in classes]
    if len({name for name, _, _ in split}) < len(split):
        raise UsageError("each --class stands once")
    return {name: text for name, _, text in split}


def _print_found(found: "Iterable[FoundCustomer]", *, as_json: bool) -> int:
    told = 0
    for told, each in enumerate(found, 1):  # noqa: B007 - the count is what is left of it
        if as_json:
            print_json({"customer": each.customer_token, "values": dict(each.tokens)})
        else:
            print_line("  ".join((each.customer_token, *each.tokens.values())))
    return told


def _print_groups(groups: "Iterable[DuplicateGroup]", *, as_json: bool) -> int:
    told = 0
    for told, group in enumerate(groups, 1):
        if as_json:
            customers = [
                {"customer": each.customer_token, "values": dict(each.tokens)} for each in group.customers
            ]
            print_json({"customers": customers, "more": group.more})
            continue
        if told > 1:
            print_line()
        _print_found(group.customers, as_json=False)
        if group.more:
            print_remark(f"and up to {group.more} more")
    return told


def _print_status(vault: "Vault", *, as_json: bool) -> None:
    rows = []
    for each in vault.search_status():
        if as_json:
            print_json(
                {
                    "name": each.name,
                    "field_classes": list(each.field_classes),
                    "ready": each.ready,
                    "done": each.done,
                    "total": each.total,
                    "damaged": each.damaged,
                }
            )
        state = "ready" if each.ready else f"being built: {each.done} of {each.total}"
        rows.append((each.name, ", ".join(each.field_classes), state, each.damaged or ""))
    if not as_json:
        print_table(("NAME", "CLASSES", "STATE", "DAMAGED"), rows, empty="nothing is searchable")
