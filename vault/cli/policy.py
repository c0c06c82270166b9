"""`cvault policy`: who may see what."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import Connection, connecting, online
from vault.cli.exits import UsageError
from vault.cli.options import Json
from vault.cli.output import plural, print_json, print_line, print_remark, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault

_GROUP = """Policy: who may see what, and for which purpose. Deny is the default.

Example:
  cvault policy show
"""
_CHECK = """Validate a policy file; change nothing.

The vault is asked, which knows its field classes and principals. With --offline the file is checked
here against the usual field classes, or against those of the vault.toml in --data.

Exit codes: 0 valid, 1 invalid, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault policy check policy.toml
  cvault policy check policy.toml --offline
"""
_SHOW = """Print the policy in force.

Example:
  cvault policy show > policy.toml
"""
_APPLY = """Put a policy in force, for every read that starts after this command ends.

Shows how the file differs from the policy in force. A file that is not valid changes nothing.

Example:
  cvault policy apply policy.toml
"""

PolicyFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Who may see what."), no_args_is_help=True)
    group.command("check", **texts(_CHECK, "Validate a policy file."))(check)
    group.command("show", **texts(_SHOW, "Print the policy in force."))(show)
    group.command("apply", **texts(_APPLY, "Put a policy in force."))(apply)
    app.add_typer(group, name="policy")


@connecting
def check(
    connection: Connection,
    file: PolicyFile,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the vault.")] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="With --offline: field classes of this vault."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Validates a policy."""
    document = _read(file)
    if offline:
        warnings: list[str] = []
        _check_offline(document, data)
    else:
        with connection.open() as vault:
            warnings = list(vault.apply_policy(document, validate_only=True).warnings)
    if as_json:
        print_json({"valid": True, "warnings": warnings})
    else:
        print_line(f"{file} is valid")
        _print_warnings(warnings)


@online
def show(vault: "Vault", as_json: Json = False) -> None:
    """Prints the policy."""
    policy = vault.get_policy()
    if as_json:
        print_json(
            {"version": policy.version, "applied": when_json(policy.applied), "document": policy.document}
        )
        return
    print_remark(f"version {policy.version}, applied {when(policy.applied)}")
    sys.stdout.write(policy.document if policy.document.endswith("\n") else policy.document + "\n")


@online
def apply(vault: "Vault", file: PolicyFile, as_json: Json = False) -> None:
    """Puts a policy in force."""
    document = _read(file)
    before = vault.get_policy()
    applied = vault.apply_policy(document)
    difference = _difference(before.document, document)
    if as_json:
        print_json({"version": applied.version, "warnings": list(applied.warnings), "changed": difference})
        return
    for line in difference:
        print_line(line)
    _print_warnings(applied.warnings)
    changed = plural(len(difference), "line") + " changed" if difference else "no difference"
    print_line(f"version {applied.version} is in force; {changed}")


def _check_offline(document: str, data: Path | None) -> None:
    from vault.config import load_settings
    from vault.fields import load_field_classes
    from vault.policy.document import parse_policy

    catalog = load_field_classes(load_settings(data).fields if data else {})
    parse_policy(document, catalog.names)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not valid UTF-8") from None


def _difference(before: str, after: str) -> list[str]:
    from difflib import unified_diff

    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]


def _print_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print_line(f"warning: {warning}")
