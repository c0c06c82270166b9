"""What the commands for backups and for copies of the keyring have in common."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import ExitCode
from vault.cli.output import plural, print_json, print_line, print_table

if TYPE_CHECKING:
    from vault.core.backup import Problem
    from vault.store.bundle import Bundle

Directory = Annotated[Path, typer.Argument(metavar="DIR", show_default=False)]
Keep = Annotated[
    int | None, typer.Option("--keep", metavar="N", min=0, help="Keep the newest N, however old they are.")
]
OlderThan = Annotated[
    float | None,
    typer.Option("--older-than", metavar="DAYS", min=0, help="Remove such only as are older than this."),
]
_DAY_MS = 86_400_000
_LEFT_SECONDS = 7 * 86_400  # no copy takes so long to be made


def time_of(created_ms: int) -> str:
    """A time in UTC to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(created_ms / 1000))


def print_problems(problems: "Sequence[Problem]", path: Path, *, as_json: bool) -> None:
    """Tells the outcome of a verification and ends the command."""
    if as_json:
        found = [{"file": each.file, "problem": each.text} for each in problems]
        print_json({"name": path.name, "whole": not problems, "problems": found})
    elif problems:
        print_table(("FILE", "PROBLEM"), [(each.file, each.text) for each in problems], empty="")
    else:
        print_line(f"{path.name} is whole")
    raise typer.Exit(ExitCode.PARTIAL if problems else ExitCode.OK)


def prune(
    directory: Path,
    kind: str,
    keep: int | None,
    older_than_days: float | None,
    *,
    worthless: "Callable[[Bundle], bool]",
    as_json: bool,
) -> None:
    """Removes what need not be kept, and says what that was."""
    from vault.store.bundle import bundles, clear_leftovers, outdated, remove

    before_ms = None
    if older_than_days is not None:
        before_ms = int(time.time() * 1000 - older_than_days * _DAY_MS)
    found = bundles(directory, kind)
    going = outdated(found, keep=keep or 0, older_than_ms=before_ms, worthless=worthless)
    for each in going:
        remove(each)
    clear_leftovers(directory, _LEFT_SECONDS)
    names = [each.path.name for each in going]
    if as_json:
        print_json({"removed": names, "kept": [each.path.name for each in found if each not in going]})
        return
    for name in names:
        print_line(f"removed {name}")
    print_line(f"{plural(len(names), 'copy', 'copies')} removed, {len(found) - len(going):,} kept")
