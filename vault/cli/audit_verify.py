"""`cvault audit verify`: checks a sealed access log, without a vault."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import RefusedError, UsageError
from vault.cli.options import Json
from vault.cli.output import print_facts, print_json, print_line, visible
from vault.cli.texts import texts
from vault.errors import IntegrityFailedError, InvalidRequestError

if TYPE_CHECKING:
    from vault.audit.sealed.verifying import Progress
    from vault.tlog.notes import VerifierKey

_HELP = """Check a sealed access log: every entry, every hash, every signature. Needs no vault and no network.

DIR is the directory `audit/tree` of the vault, or a copy of it. Finds any entry that was changed, dropped,
moved or cut off, and with --seen a log that was forked or rolled back: give it the witness's newest
checkpoint (GET /<origin hash>/checkpoint, or its file), or one that you kept. With --witness-key, a log
without that witness's cosignature fails, too.

Exit codes: 0 it holds; 1 it does not; 2 usage.

Examples:
  cvault audit verify vault-data/audit/tree --keys vault-data/public/keys.json
  cvault audit verify copy --keys keys.json --witness-key "$WITNESS_KEY" --seen checkpoint-of-the-witness
"""
_BAR_SECONDS = 0.2


def register(group: typer.Typer) -> None:
    """Adds the command to `cvault audit`."""
    group.command("verify", **texts(_HELP, "Check a sealed log, offline."))(verify_directory)


def verify_directory(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="The sealed log, or a copy.")
    ],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="FILE", help="The vault's public keys: its public/keys.json.")
    ],
    witness_keys: Annotated[
        list[str] | None,
        typer.Option("--witness-key", metavar="KEY", help="Of a witness that must have signed."),
    ] = None,
    seen: Annotated[
        list[Path] | None,
        typer.Option("--seen", metavar="FILE", help="A checkpoint seen before; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Checks a sealed log."""
    from vault.audit.sealed.verifying import verify
    from vault.tlog.notes import VerifierKey

    known = log_keys(directory, keys)
    witnesses = [VerifierKey.parse(text) for text in witness_keys or ()]
    checkpoints = [_read(path) for path in seen or ()]
    began = time.perf_counter()
    with _progress() as progress:
        try:
            report = verify(directory, known, witnesses=witnesses, seen=checkpoints, progress=progress)
        except OSError as error:
            raise UsageError(f"{directory} cannot be read") from error
    facts: dict[str, object] = {
        "leaves": report.size,
        "records": report.records,
        "first_held": report.first,
        "root": report.root.hex(),
        "cosigned": report.cosigned,
        "seconds": round(time.perf_counter() - began, 2),
    }
    if as_json:
        print_json({"valid": not report.errors, **facts, "errors": report.errors, "notes": report.notes})
    else:
        if not report.errors:
            print_line("The access log holds.")
        print_facts((name.replace("_", " "), fact) for name, fact in facts.items())
        for each in report.notes:
            print_line(f"note: {visible(each)}")
        for each in report.errors:
            print_line(f"error: {visible(each)}")
    if report.errors:
        raise RefusedError(f"{directory}: the access log does not hold", "INTEGRITY_FAILED")


def log_keys(directory: Path, keys: Path) -> "list[VerifierKey]":
    """The vault's keys under the name of the log in a directory.

    Raises:
        UsageError: there is no sealed log, or no list of keys.
    """
    from vault.audit.sealed.checkpoints import audit_key
    from vault.audit.sealed.files import CHECKPOINT
    from vault.erasure.publickeys import public_keys

    origin = _read(directory / CHECKPOINT).partition(b"\n")[0].decode(errors="replace")
    try:
        vault_id = bytes.fromhex(origin.removeprefix("customervault/").removesuffix("/audit"))
        found = [audit_key(vault_id, key) for key in public_keys(_read(keys)).values()]
    except (ValueError, InvalidRequestError, IntegrityFailedError) as error:
        raise UsageError(f"{directory} is no sealed access log, or {keys} no list of public keys") from error
    return found


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A line on stderr with rate and time left; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _size: None
        return
    began, shown = time.perf_counter(), 0.0

    def show(done: int, size: int) -> None:
        nonlocal shown
        now = time.perf_counter()
        if now - shown < _BAR_SECONDS or not done:
            return
        shown = now
        rate = done / (now - began)
        left = (size - done) / rate
        sys.stderr.write(f"\r{done:,} of {size:,} leaves, {rate:,.0f}/s, {left:.0f} s left ")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read") from error
