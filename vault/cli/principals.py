"""`cvault principals`: who may call."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.certificates import write_new
from vault.cli.connection import online
from vault.cli.exits import UsageError
from vault.cli.options import Json, Yes
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
    from customervault.control_results import BudgetUse
    from customervault.results import CreatedPrincipal, Principal

_GROUP = """Principals: the services and people who may call, each known by a certificate.

Example:
  cvault principals add crm-service
"""
_ADD = """Register a principal and get it a certificate of the vault's own CA.

The private key is made here and never leaves this machine: NAME.key is written with mode 0600 beside
NAME.crt and ca.crt, and no file is ever replaced. With --external the principal has a certificate of
another CA, and nothing is written. What it may do is up to the policy.

Examples:
  cvault principals add crm-service --out credentials/ --days 30
  cvault principals add spiffe://example.org/crm --external
"""
_LIST = """List all principals. With --json: one a line.

Example:
  cvault principals list
"""
_REVOKE = """Revoke a principal, effective on its next call, over connections that are open, too.

Example:
  cvault principals revoke crm-service --yes
"""
_SUSPEND = """Suspend a principal, effective on its next call, over connections that are open, too.

Certificate and grants stay; `cvault principals resume` ends it. The last administrator cannot be suspended.

Example:
  cvault principals suspend crm-service --reason "reads more than it should"
"""
_RESUME = """End a principal's suspension.

Example:
  cvault principals resume crm-service --reason "explained"
"""
_BUDGET = """Show how much of its budgets a principal has used in the windows that run now.

Example:
  cvault principals budget crm-service
"""

Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the access log: name no customer in it.")
]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="As the certificate states it.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Who may call."), no_args_is_help=True)
    group.command("add", **texts(_ADD, "Register a principal."))(add)
    group.command("list", **texts(_LIST, "List all principals."))(list_all)
    group.command("revoke", **texts(_REVOKE, "Revoke a principal."))(revoke)
    group.command("suspend", **texts(_SUSPEND, "Suspend a principal."))(suspend)
    group.command("resume", **texts(_RESUME, "End a suspension."))(resume)
    group.command("budget", **texts(_BUDGET, "Show the use of its budgets."))(budget)
    app.add_typer(group, name="principals")


@online
def add(
    vault: "Vault",
    name: Name,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where key and certificates go.")
    ] = Path(),
    days: Annotated[
        int,
        typer.Option(
            "--days", metavar="N", min=0, help="Lifetime of the certificate; 0 for the vault's default."
        ),
    ] = 0,
    external: Annotated[bool, typer.Option("--external", help="It has a certificate of another CA.")] = False,
    as_json: Json = False,
) -> None:
    """Registers a principal."""
    if external:
        created = vault.create_principal(name)
        files: dict[str, Path] = {}
    else:
        created, files = _with_certificate(vault, name, out, days)
    if as_json:
        paths = {kind: str(path) for kind, path in files.items()}
        print_json(_as_json(created.principal) | paths)
        return
    print_line(f"registered {name}")
    print_facts((kind, path) for kind, path in files.items())
    print_line("It may do what the policy grants it; see `cvault policy show`.")


def _with_certificate(
    vault: "Vault", name: str, out: Path, days: int
) -> "tuple[CreatedPrincipal, dict[str, Path]]":
    from vault.crypto.certificates import create_request

    stem = _file_stem(name)
    files = {"key": out / f"{stem}.key", "certificate": out / f"{stem}.crt", "ca": out / "ca.crt"}
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind in ("key", "certificate"):
        if files[kind].exists():
            raise UsageError(f"{files[kind]} exists and is not replaced")
    request = create_request(name)
    # Before the vault is asked: a certificate whose key could not be written would be of no use.
    write_new(files["key"], request.key_pem)
    try:
        created = vault.create_principal(name, request.csr_pem.decode(), certificate_days=days)
    except BaseException:
        files["key"].unlink()
        raise
    write_new(files["certificate"], created.certificate_pem.encode())
    _write_ca(files["ca"], created.ca_pem.encode())
    return created, files


def _write_ca(path: Path, content: bytes) -> None:
    if not path.exists():
        write_new(path, content)
    elif path.read_bytes() != content:
        print_remark(f"{path} is another one and was left as it is")


def _file_stem(name: str) -> str:
    """A file name for a principal: what it has after scheme and slashes, without odd characters."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removeprefix("spiffe://")).strip(".-")
    if not stem:
        raise UsageError("the name holds nothing that a file could be named after; use --external")
    return stem[:100]


@online
def list_all(vault: "Vault", as_json: Json = False) -> None:
    """Lists principals."""
    found = vault.list_principals()
    if as_json:
        for principal in found:
            print_json(_as_json(principal))
        return
    rows = [
        (each.name, each.state, when(each.created), when(each.revoked), when(each.certificate_expires))
        for each in found
    ]
    print_table(("NAME", "STATE", "CREATED", "REVOKED", "CERTIFICATE ENDS"), rows, empty="No principals.")
    if rows:
        print_line(plural(len(rows), "principal"))


@online
def revoke(vault: "Vault", name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Revokes a principal."""
    if not yes:
        _confirm(name)
    principal = vault.revoke_principal(name)
    if as_json:
        print_json(_as_json(principal))
    else:
        print_line(f"revoked {name}; its next call is refused")


@online
def suspend(vault: "Vault", name: Name, reason: Why = "", as_json: Json = False) -> None:
    """Suspends a principal."""
    principal = vault.suspend_principal(name, reason=reason)
    if as_json:
        print_json(_as_json(principal))
    else:
        print_line(f"suspended {name}; its next call is refused")


@online
def resume(vault: "Vault", name: Name, reason: Why = "", as_json: Json = False) -> None:
    """Ends a suspension."""
    principal = vault.resume_principal(name, reason=reason)
    if as_json:
        print_json(_as_json(principal))
    else:
        print_line(f"resumed {name}")


@online
def budget(vault: "Vault", name: Name, as_json: Json = False) -> None:
    """Shows the use of a principal's budgets."""
    uses = vault.budget_use(name)
    if as_json:
        for each in uses:
            print_json(_use_as_json(each))
        return
    rows = [
        (
            each.budget,
            each.kind,
            ", ".join(each.purposes) or "-",
            f"{each.customers:,} of {each.limit_customers:,}",
            "EXCEEDED" if each.exceeded else "alert" if each.alerted else "-",
            when(each.end),
        )
        for each in uses
    ]
    headings = ("BUDGET", "KIND", "PURPOSES", "CUSTOMERS", "LEVEL", "WINDOW ENDS")
    print_table(headings, rows, empty="No budget holds for this principal.")


def _use_as_json(use: "BudgetUse") -> dict[str, object]:
    return {
        "budget": use.budget,
        "kind": use.kind,
        "purposes": list(use.purposes),
        "start": when_json(use.start),
        "end": when_json(use.end),
        "customers": use.customers,
        "alert_customers": use.alert_customers,
        "limit_customers": use.limit_customers,
        "alerted": use.alerted,
        "exceeded": use.exceeded,
    }


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("not on a terminal: confirm with --yes")
    sys.stderr.write(f"Revoke {name}? Type the name again: ")
    sys.stderr.flush()
    if sys.stdin.readline().rstrip("\r\n") != name:
        raise UsageError("not confirmed; nothing was revoked")


def _as_json(principal: "Principal") -> dict[str, object]:
    return {
        "name": principal.name,
        "state": principal.state,
        "created": when_json(principal.created),
        "revoked": when_json(principal.revoked),
        "suspended": when_json(principal.suspended),
        "certificate_expires": when_json(principal.certificate_expires),
    }
