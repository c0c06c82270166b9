"""`cvault check`: every invariant of the stores, offline."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import ExitCode, UsageError, message_of
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import plural, print_json, print_line, print_table
from vault.cli.passphrase import development_passphrase, passphrase_available, read_passphrase
from vault.cli.stopped import stopped
from vault.cli.texts import texts
from vault.errors import DataLossError, IntegrityFailedError

if TYPE_CHECKING:
    from vault.config import Settings
    from vault.core.checking import Finding
    from vault.crypto.hazmat import GuardedMemory

_HELP = """Check every invariant of a vault's stores. The vault must not be running.

With the passphrase it also opens every key and every record. Without one, or with --locked, it
checks what can be seen without keys: formats, numbers, the ledger's chain and signatures.

Exit codes: 0 clean, 1 something is wrong, 2 usage, 4 the vault is running or cannot be opened.

Examples:
  cvault check --data /var/lib/customer-vault
  cvault check --data /var/lib/customer-vault --locked --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check", **texts(_HELP, "Check a vault's stores, offline."))(check)


def check(
    data: DataDir = DEFAULT_DATA,
    passphrase_file: PassphraseFile = None,
    locked: Annotated[bool, typer.Option("--locked", help="Do not open keys and records.")] = False,
    as_json: Json = False,
) -> None:
    """Checks a vault."""
    if not (data / "FORMAT").exists():
        raise UsageError(f"there is no vault in {data}")
    from vault.config import load_settings
    from vault.keys.unlock import unlock

    settings = load_settings(data)
    with stopped(data):
        file = passphrase_file or development_passphrase(data)
        opens = not locked and (passphrase_available(file, settings.keys) or sys.stdin.isatty())
        edk = unlock(data, settings, read_passphrase(file, settings.keys, new=False)) if opens else None
        try:
            found = _findings(data, settings, edk)
        finally:
            if edk is not None:
                edk.free()
    severities = Counter(finding.severity for finding in found)
    if as_json:
        findings = [
            {"severity": each.severity, "code": each.code, "plane": each.plane, "detail": each.detail}
            for each in found
        ]
        print_json({"clean": not severities["error"], "opened": opens, "findings": findings})
    else:
        rows = [(each.severity, each.code, each.plane, each.detail) for each in found]
        print_table(("SEVERITY", "CODE", "PLANE", "DETAIL"), rows, empty="No findings.")
        depth = "keys and records opened" if opens else "keys and records not opened"
        print_line(f"{plural(severities['error'], 'error')}, {plural(severities['note'], 'note')}; {depth}")
    raise typer.Exit(ExitCode.PARTIAL if severities["error"] else ExitCode.OK)


def _findings(data: Path, settings: "Settings", edk: "GuardedMemory | None") -> "list[Finding]":
    """What the check finds; damage that keeps it from going on is its last finding."""
    from vault.core.checking import Finding, check

    found: list[Finding] = []
    try:
        found.extend(check(data, settings, edk))
    except (IntegrityFailedError, DataLossError) as error:
        where = error.details.get("file", "-")
        found.append(Finding("error", error.reason.value, where, f"{message_of(error)}; the check ends here"))
    return found
