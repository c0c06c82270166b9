"""`cvault audit list` and `tail`: accesses, newest first, or as they come."""

import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

import typer

from vault.cli.audit_filter import (
    HEADINGS,
    ActionOption,
    ClassOption,
    CustomerOption,
    DecisionOption,
    PrincipalOption,
    PurposeOption,
    Since,
    Until,
    as_json,
    as_row,
    wanted,
)
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption
from vault.cli.options import Json, Limit
from vault.cli.output import print_json, print_line, print_remark, print_table, visible
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.inputs import AccessFilter
    from customervault.results import Access

_LIST = """List accesses, newest first. With --json: one a line, as they come.

What is counted are values of the customer and the field class that you ask for. Administrative acts and
attempts that were turned away are accesses, too.

Times are RFC 3339 (2026-05-01T12:00:00Z), a date, or how long ago: 90s, 15m, 2h, 7d.

Examples:
  cvault audit list --customer customer-4711 --since 7d
  cvault audit list --class iban --decision plain --purpose support
  cvault audit list --action ApplyPolicy --action SuspendPrincipal
"""
_TAIL = """Follow accesses as they are recorded, until Ctrl-C. With --json: one a line.

Begins with what comes from now on, or with --since. Nothing is shown twice and nothing left out, and while
the vault cannot be reached it is tried again.

Examples:
  cvault audit tail --decision denied
  cvault audit tail --since 15m --json
"""
POLL_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 2.0
_WIDTHS: Final = (20, 16, 16, 14, 12)


def register(group: typer.Typer) -> None:
    """Adds the commands."""
    group.command("list", **texts(_LIST, "List accesses."))(list_all)
    group.command("tail", **texts(_TAIL, "Follow accesses as they come."))(tail)


@online
def list_all(
    vault: "Vault",
    customer: CustomerOption = "",
    by: ByOption = By.AUTO,
    principal: PrincipalOption = "",
    field_class: ClassOption = "",
    purpose: PurposeOption = "",
    action: ActionOption = None,
    decision: DecisionOption = None,
    since: Since = "",
    until: Until = "",
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """Lists accesses."""
    asked = wanted(customer, by, principal, field_class, purpose, action, decision, since, until)
    chosen = islice(vault.list_access(page_size=min(limit, 1000) or 1000, **asked), limit or None)
    if json:
        for access in chosen:
            print_json(as_json(access))
        return
    print_table(HEADINGS, map(as_row, chosen), empty="No accesses.")


@online
def tail(
    vault: "Vault",
    customer: CustomerOption = "",
    by: ByOption = By.AUTO,
    principal: PrincipalOption = "",
    field_class: ClassOption = "",
    purpose: PurposeOption = "",
    action: ActionOption = None,
    decision: DecisionOption = None,
    since: Since = "",
    json: Json = False,
) -> None:
    """Follows accesses."""
    asked = wanted(customer, by, principal, field_class, purpose, action, decision, since, "")
    if not json:
        print_line(_line(HEADINGS))
        sys.stdout.flush()
    try:
        _follow(vault, asked, only_new=not since, json=json)
    except KeyboardInterrupt:
        return


def _follow(vault: "Vault", asked: "AccessFilter", *, only_new: bool, json: bool) -> None:
    """Shows what comes; goes on from where it was when the vault can be reached again."""
    from customervault.errors import DeadlineExceededError, OverloadedError, UnavailableError

    token, is_lost = "", False
    while True:
        try:
            pages = vault.follow_access(
                page_token=token, only_new=only_new, poll_seconds=POLL_SECONDS, **asked
            )
            for page in pages:
                token, is_lost = page.next_page_token, False
                for access in page.accesses:
                    _show(access, json=json)
                sys.stdout.flush()
        except (UnavailableError, OverloadedError, DeadlineExceededError):
            if not token:
                raise
            if not is_lost:
                print_remark("the vault cannot be reached; trying on")
            is_lost = True
            time.sleep(RETRY_SECONDS)


def _show(access: "Access", *, json: bool) -> None:
    if json:
        print_json(as_json(access))
    else:
        print_line(_line(as_row(access)))


def _line(cells: tuple[object, ...]) -> str:
    """A line of a table whose further lines are not known yet."""
    texts_ = [visible(str(cell)) for cell in cells]
    widths = [*_WIDTHS, *(len(heading) for heading in HEADINGS[len(_WIDTHS) :])]
    return "  ".join(text.ljust(width) for text, width in zip(texts_, widths, strict=True)).rstrip()
