"""`cvault audit`: who read what, and why."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli import audit_proofs, audit_verify, blast_radius
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Named, named
from vault.cli.exits import UsageError
from vault.cli.options import Domain, Json, Limit
from vault.cli.output import (
    plural,
    print_facts,
    print_json,
    print_line,
    print_remark,
    print_table,
    when,
    when_json,
)
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Access

_GROUP = """Audit: who read what, and why.

Example:
  cvault audit list --since 2h
"""
_LIST = """List accesses, newest first. With --json: one a line, as they come.

Times are RFC 3339 (2026-05-01T12:00:00Z), a date, or how long ago: 90s, 15m, 2h, 7d.

Example:
  cvault audit list --customer customer-4711 --since 7d
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
_AGO = re.compile(r"(\d{1,6})([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Who read what, and why."), no_args_is_help=True)
    group.command("list", **texts(_LIST, "List accesses."))(list_all)
    group.command("customers", **texts(_CUSTOMERS, "List whom a principal read."))(customers)
    group.command("status", **texts(_STATUS, "Show the access log's state."))(status)
    blast_radius.register(group)
    audit_proofs.register(group)
    audit_verify.register(group)
    app.add_typer(group, name="audit")


@online
def list_all(
    vault: "Vault",
    customer: Annotated[
        str, typer.Option("--customer", metavar="ID", help="Only this customer, by external id or token.")
    ] = "",
    by: ByOption = By.AUTO,
    principal: Annotated[
        str, typer.Option("--principal", metavar="NAME", help="Only what this principal did.")
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Not before; inclusive.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Not after; exclusive.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Lists accesses."""
    who: Named = named(customer, by) if customer else {}
    found = vault.list_access(
        **who,
        principal=principal,
        start=parse_time(since, "--since"),
        end=parse_time(until, "--until"),
        page_size=min(limit, 1000) or 1000,
    )
    chosen = islice(found, limit or None)
    if as_json:
        for access in chosen:
            print_json(_as_json(access))
        return
    headings = ("TIME", "PRINCIPAL", "ACTION", "PURPOSE", "PLAIN", "MASKED", "DENIED", "CLASSES", "WHY")
    rows = [
        (
            when(each.time),
            each.principal or "-",
            f"{each.action} (break glass)" if each.break_glass else each.action,
            each.purpose or "-",
            each.values_plain,
            each.values_masked,
            each.values_denied,
            ", ".join(each.field_classes),
            ", ".join(each.reasons) or each.detail,
        )
        for each in chosen
    ]
    print_table(headings, rows, empty="No accesses.")


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


def parse_time(text: str, option: str, now: datetime | None = None) -> datetime | None:
    """A moment in UTC; None for the empty text. A time without a zone is taken as UTC.

    Raises:
        UsageError: It is neither a time nor a span.
    """
    if not text:
        return None
    try:
        if ago := _AGO.match(text):
            span = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return (now or datetime.now(UTC)) - span
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} is a time such as 2026-05-01T12:00:00Z, or 90s, 15m, 2h, 7d") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_json(access: "Access") -> dict[str, object]:
    return {
        "time": when_json(access.time),
        "principal": access.principal,
        "action": access.action,
        "purpose": access.purpose,
        "basis": access.basis,
        "values_plain": access.values_plain,
        "values_masked": access.values_masked,
        "values_denied": access.values_denied,
        "customers": access.customers,
        "field_classes": list(access.field_classes),
        "reasons": list(access.reasons),
        "detail": access.detail,
        "break_glass": access.break_glass,
        "leaf": access.leaf,
    }
