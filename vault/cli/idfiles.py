"""Customers named on the command line or in a file, one a line."""

from collections.abc import Sequence
from pathlib import Path

from vault.cli.exits import UsageError


def gather_ids(given: Sequence[str], file: Path | None) -> list[str]:
    """The ids that a command is given, as arguments or in a file.

    Raises:
        UsageError: Neither or both were given, or the file is empty or no text.
    """
    if bool(given) == bool(file):
        raise UsageError("name customers as arguments or with --file, one of the two")
    if file is None:
        return list(given)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not valid UTF-8") from None
    ids = [line.removesuffix("\r") for line in lines if line.strip()]
    if not ids:
        raise UsageError(f"{file} names no customer")
    return ids
