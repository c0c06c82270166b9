"""`cvault policy`: who may see what."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import Connection, connecting, online
from vault.cli.customer_ref import By, named
from vault.cli.exits import ExitCode, UsageError
from vault.cli.options import Basis, Json, Purpose, lawful_basis
from vault.cli.output import plural, print_json, print_line, print_remark, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault

_GROUP = """Policy: who may see what, and for which purpose. Deny is the default.

Example:
  cvault policy show
"""
_CHECK = """Validate a policy file and run its examples; change nothing.

The vault is asked, which knows its field classes and principals. With --offline the file is checked
here against the usual field classes, or against those of the vault.toml in --data.

Exit codes: 0 valid, 1 invalid, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault policy check policy.toml
  cvault policy check policy.toml --offline
"""
_SHOW = """Print the policy in force, or an earlier version of it.

Examples:
  cvault policy show > policy.toml
  cvault policy show --version 3
"""
_TEST = """Run the examples of a policy file and print each with its answer. Asks no vault.

The usual field classes are known, or those of the vault.toml in --data.

Exit codes: 0 all as expected, 1 some are not or the file is invalid, 2 usage.

Example:
  cvault policy test policy.toml
"""
_DIFF = """Say what a policy file would change, one change a line; change nothing.

A file that `check` refuses, also for an example that fails, is not compared.

Example:
  cvault policy diff policy.toml
"""
_HISTORY = """List the versions of the policy, the newest first.

Example:
  cvault policy history
"""
_EXPLAIN = """Say why a read is answered as it is: what decides, and what would have to change.

Give a situation by options, or a customer. Explaining another principal's reads, or a given customer,
takes the action admin or audit. No value is read or shown.

Examples:
  cvault policy explain --purpose marketing --class email --jurisdiction DE --consent withdrawn
  cvault policy explain --principal crm-support --purpose support --class iban --customer customer-4711
"""
_APPLY = """Put a policy in force, for every read that starts after this command ends.

Shows how the file differs from the policy in force. A file that is not valid changes nothing.

Example:
  cvault policy apply policy.toml
"""


class Consent(StrEnum):
    """What a customer last said of a purpose."""

    NONE = "none"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


PolicyFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Who may see what."), no_args_is_help=True)
    group.command("check", **texts(_CHECK, "Validate a policy file."))(check)
    group.command("test", **texts(_TEST, "Run a policy file's examples."))(run_examples_of)
    group.command("diff", **texts(_DIFF, "Say what a policy file would change."))(diff)
    group.command("explain", **texts(_EXPLAIN, "Say why a read is answered as it is."))(explain)
    group.command("history", **texts(_HISTORY, "List the versions of the policy."))(history)
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


def run_examples_of(
    file: PolicyFile,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Field classes of this vault.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Runs examples."""
    from vault.errors import PolicyInvalidError
    from vault.policy.document import parse_policy
    from vault.policy.examples import run_examples

    classes = _field_classes(data)
    try:
        outcomes = run_examples(parse_policy(_read(file), classes), classes)
    except PolicyInvalidError as error:
        print_remark(str(error))
        raise typer.Exit(ExitCode.PARTIAL) from None
    for each in outcomes:
        state = "ok" if each.passed else f"FAILED: expected {each.example.expect}"
        if as_json:
            print_json({"example": each.example.line, "expected": each.example.expect, "got": each.got})
        else:
            print_line(f"{each.example.line}: {each.got} {state}. {each.explanation}")
    failed = sum(not each.passed for each in outcomes)
    if not as_json:
        print_line(f"{plural(len(outcomes), 'example')}, {failed} failed")
    if failed:
        raise typer.Exit(ExitCode.PARTIAL)


@online
def diff(vault: "Vault", file: PolicyFile, as_json: Json = False) -> None:
    """Says what a policy would change."""
    checked = vault.apply_policy(_read(file), validate_only=True)
    changes = list(checked.changes)
    if as_json:
        print_json({"changes": changes, "warnings": list(checked.warnings)})
        return
    for line in changes:
        print_line(line)
    _print_warnings(checked.warnings)
    print_line(plural(len(changes), "change") if changes else "no change of what is allowed")


@online
def history(vault: "Vault", as_json: Json = False) -> None:
    """Lists the versions of the policy."""
    versions = list(vault.policy_versions())
    if as_json:
        for each in versions:
            applied = when_json(each.applied)
            print_json({"version": each.version, "applied": applied, "principal": each.principal})
        return
    rows = [(str(each.version), when(each.applied), each.principal or "-") for each in versions]
    print_table(("VERSION", "APPLIED", "BY"), rows, empty="No versions.")


class Asked(StrEnum):
    """What a read may ask for."""

    BEST = "best"
    PLAIN = "plain"
    MASKED = "masked"
    PSEUDONYM = "pseudonym"
    COMPARE = "compare"
    AGE_OVER = "age_over"
    COUNTRY = "country"
    EMAIL_DOMAIN = "email_domain"
    POSTCODE_AREA = "postcode_area"
    CARD_BIN = "card_bin"


@online
def explain(
    vault: "Vault",
    purpose: Purpose = "",
    field_class: Annotated[str, typer.Option("--class", metavar="NAME", help="The field class.")] = "",
    principal: Annotated[
        str, typer.Option("--principal", metavar="NAME", help="Who reads; by default you.")
    ] = "",
    reveal: Annotated[
        Asked, typer.Option("--reveal", help="As for detokenize, or an answer without the value.")
    ] = Asked.BEST,
    basis: Basis = "",
    customer: Annotated[
        str, typer.Option("--customer", metavar="ID|TOKEN", help="Of whom, instead of a situation.")
    ] = "",
    jurisdiction: Annotated[
        str, typer.Option("--jurisdiction", metavar="CODE", help="Country, such as DE.")
    ] = "",
    consent: Annotated[
        Consent, typer.Option("--consent", help="What the customer last said.")
    ] = Consent.NONE,
    restricted: Annotated[bool, typer.Option("--restricted", help="Processing is restricted.")] = False,
    expired: Annotated[bool, typer.Option("--expired", help="The time for reading has passed.")] = False,
    as_json: Json = False,
) -> None:
    """Explains a read."""
    from customervault.inputs import Situation

    if not purpose or not field_class:
        raise UsageError("say what is read and why: --purpose NAME --class NAME")
    found = vault.explain(
        purpose,
        field_class,
        principal=principal,
        reveal=reveal.value,
        basis=lawful_basis(basis),
        situation=Situation(jurisdiction, consent.value, restricted=restricted, expired=expired),
        **(named(customer, By.AUTO) if customer else {}),
    )
    if as_json:
        print_json(
            {
                "reveal": found.reveal,
                "reason": found.reason or None,
                "basis": found.basis,
                "deciders": list(found.deciders),
                "granted_by": list(found.granted_by),
                "text": found.text,
                "changes": list(found.changes),
            }
        )
        return
    print_line(found.text)
    if found.reason:
        print_line(f"A caller is told {found.reason}.")
    for number, change in enumerate(found.changes):
        print_line(f"{'And' if number else 'To change that'}: {change}.")


@online
def show(
    vault: "Vault",
    version: Annotated[
        int, typer.Option("--version", metavar="N", min=0, help="That version; 0 for the one in force.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Prints the policy."""
    policy = vault.get_policy(version)
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
    from vault.policy.document import parse_policy
    from vault.policy.examples import require_sound

    classes = _field_classes(data)
    require_sound(parse_policy(document, classes), classes)


def _field_classes(data: Path | None) -> Sequence[str]:
    from vault.config import load_settings
    from vault.fields import load_field_classes

    return list(load_field_classes(load_settings(data).fields if data else {}).names)


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
