"""`cvault audit`: who read what, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli import audit_access, audit_export, audit_proofs, audit_verify, blast_radius
from vault.cli.audit_filter import parse_time
from vault.cli.connection import online
from vault.cli.exits import UsageError
from vault.cli.options import Domain, Json
from vault.cli.output import (
    plural,
    print_facts,
    print_json,
    print_line,
    print_remark,
)
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault

_GROUP = """Audit: who read what, and why.

Example:
  cvault audit list --since 2h
"""
_CUSTOMERS = """List exactly the customers of whom a principal was shown a value, by token.

Customers who were shredded since have no name any more: they are counted. With --json: one a line, and a
last line with the counts.

Example:
  cvault audit customers --principal crm-service --since 2h
"""
_STATUS = """Show the state of the access log.

Example:
  cvault audit status
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Who read what, and why."), no_args_is_help=True)
    audit_access.register(group)
    audit_export.register(group)
    group.command("customers", **texts(_CUSTOMERS, "List whom a principal read."))(customers)
    group.command("status", **texts(_STATUS, "Show the access log's state."))(status)
    blast_radius.register(group)
    audit_proofs.register(group)
    audit_verify.register(group)
    app.add_typer(group, name="audit")


@online
def customers(
    vault: "Vault",
    principal: Annotated[str, typer.Option("--principal", metavar="NAME", help="Whose reads.")] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Not before; inclusive.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Not after; exclusive.")] = "",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Lists whom a principal read."""
    if not principal:
        raise UsageError("say whose reads: --principal NAME")
    named_so_far = found = locators = 0
    for page in vault.list_customers_read(
        principal,
        start=parse_time(since, "--since"),
        end=parse_time(until, "--until"),
        domain=domain or None,
    ):
        for token in page.customer_tokens:
            if as_json:
                print_json({"customer_token": token})
            else:
                print_line(token)
        named_so_far += len(page.customer_tokens)
        found, locators = found + page.locators_found, page.locators
    gone = locators - found
    if as_json:
        print_json({"customers": named_so_far, "gone": gone})
        return
    rest = f"; {plural(gone, 'name')} in the log belong to customers shredded since" if gone else ""
    print_remark(f"{plural(named_so_far, 'customer')}{rest}")


@online
def status(vault: "Vault", as_json: Json = False) -> None:
    """Shows the access log's state."""
    audit = vault.audit_status()
    facts: dict[str, object] = {
        "writable": audit.writable,
        "segments": audit.segments,
        "records": audit.records,
        "sealed": audit.sealed,
        "bytes": audit.bytes,
        "free_bytes": audit.free_bytes,
        "sync_interval_ms": audit.sync_interval_ms,
        "gaps": audit.gaps,
    }
    if as_json:
        print_json(facts)
    else:
        shown = facts | {"writable": "yes" if audit.writable else "NO: nothing is revealed until it is"}
        print_facts((name.replace("_", " "), fact) for name, fact in shown.items())
