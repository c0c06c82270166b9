"""`cvault audit export`: the access log as JSON Lines, in the order recorded.

    {"type": "export", "schema": 1, ...}    what was asked for, and when
    {"type": "access", ...}                 one for each access; see `audit_filter.as_json`
    {"type": "end", "accesses": n, "complete": true}

- Accesses are written page by page: memory holds one page.
- A file appears whole, under its name, when it is complete and on the disk; until then nothing is there, and
  what was there before stays. On standard output the last line says whether the export is complete: a text
  without that line was cut off.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from vault.cli.audit_filter import (
    ActionOption,
    ClassOption,
    CustomerOption,
    DecisionOption,
    PrincipalOption,
    PurposeOption,
    Since,
    Until,
    as_json,
    wanted,
)
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption
from vault.cli.exits import UsageError
from vault.cli.options import Json
from vault.cli.output import plural, print_json, print_remark, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.inputs import AccessFilter

_EXPORT = """Export accesses as JSON Lines, in the order recorded, to standard output or a file.

All that was recorded when you ask, or of a time range. Sealed records have their leaf number: `cvault audit
prove LEAF` proves them. The last line says whether the export is complete; a file appears only when it is.
The lines are described in docs/audit.md. With --json and a file, what was written is told as JSON, too.

Exit codes: 0 complete, 3 denied, 4 unavailable, 130 interrupted.

Examples:
  cvault audit export --since 2026-10-01 --until 2026-11-01 --out october.jsonl
  cvault audit export --class iban | gzip > iban.jsonl.gz
"""
SCHEMA: Final = 1
_REPORT_SECONDS: Final = 0.5

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Write to a file, readable by you alone; it is replaced."
    ),
]


def register(group: typer.Typer) -> None:
    """Adds the command."""
    group.command("export", **texts(_EXPORT, "Export accesses as JSON Lines."))(export)


@online
def export(
    vault: "Vault",
    out: Out = None,
    customer: CustomerOption = "",
    by: ByOption = By.AUTO,
    principal: PrincipalOption = "",
    field_class: ClassOption = "",
    purpose: PurposeOption = "",
    action: ActionOption = None,
    decision: DecisionOption = None,
    since: Since = "",
    until: Until = "",
    summary: Json = False,
) -> None:
    """Exports accesses."""
    asked = wanted(customer, by, principal, field_class, purpose, action, decision, since, until)
    if out is None:
        print_remark(f"{plural(_Writing(sys.stdout).run(vault, asked), 'access', 'accesses')} exported")
        return
    with _replacing(out) as file:
        written = _Writing(file).run(vault, asked)
    if summary:
        print_json({"path": str(out), "accesses": written, "complete": True})
    else:
        print_remark(f"{plural(written, 'access', 'accesses')} exported to {out}")


class _Writing:
    """One export on its way to a file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._written = 0
        self._began = self._reported = time.monotonic()

    def run(self, vault: "Vault", asked: "AccessFilter") -> int:
        """Writes it; returns how many accesses it has."""
        complete = False
        self._write(
            {"type": "export", "schema": SCHEMA, "exported": when_json(datetime.now(UTC)), **_told(asked)}
        )
        try:
            for access in vault.recorded_access(**asked):
                self._write({"type": "access", **as_json(access)})
                self._written += 1
                self._report()
            complete = True
        except BrokenPipeError:
            raise
        except BaseException:
            self._end_report()
            print_remark(f"not complete: it ended after {plural(self._written, 'access', 'accesses')}")
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                self._write({"type": "end", "accesses": self._written, "complete": complete})
                self._file.flush()
        self._end_report()
        return self._written

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")

    def _report(self) -> None:
        now = time.monotonic()
        if now < self._reported + _REPORT_SECONDS or not sys.stderr.isatty():
            return
        self._reported = now
        rate = self._written / (now - self._began)
        sys.stderr.write(f"\r{plural(self._written, 'access', 'accesses')}, {rate:,.0f}/s ")
        sys.stderr.flush()

    def _end_report(self) -> None:
        if self._reported > self._began:
            sys.stderr.write("\n")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file that takes another's place when all went well, and leaves no trace otherwise.

    Raises:
        UsageError: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _told(asked: "AccessFilter") -> dict[str, object]:
    """What was asked for, without the customer's name."""
    told: dict[str, object] = {
        "principal": asked["principal"],
        "field_class": asked["field_class"],
        "purpose": asked["purpose"],
        "actions": list(asked["actions"]),
        "decision": asked["decision"],
        "since": when_json(asked["start"]),
        "until": when_json(asked["end"]),
    }
    told["one_customer"] = "external_id" in asked
    return told
