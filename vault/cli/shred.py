"""`cvault shred`: destroys customers' keys, and with them every value."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli.connection import online
from vault.cli.customer_ref import By, named
from vault.cli.exits import UsageError, code_for_batch, message_of, reason_of
from vault.cli.options import Json, Yes
from vault.cli.output import plural, print_json, print_line, print_remark, print_table, when_json
from vault.cli.receipts import ReceiptFolder
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import CustomerRef, Vault
    from customervault.results import Shredded

_BATCH = 500
_DONE = {"shredded", "validated", "already_shredded", "missing"}

_HELP = """Destroy customers' keys, and with them every value, on every copy of the data.

There is no way back. --preview counts what would go and changes nothing. On a terminal you are
asked to type the id, or the number of customers; scripts pass --yes.

--receipts writes three files for each customer: SHRED_ID.json is the signed receipt,
SHRED_ID.sig its Ed25519 signature, SHRED_ID.salt the salt that opens its commitment to the external
id. The vault keeps no copy of the salt.

Exit codes: 0 all shredded, 1 some were not (unknown, shredded before), 2 usage, 3 denied,
4 unavailable. With --missing-ok unknown and shredded customers count as done.

Examples:
  cvault shred customer-4711 --preview
  cvault shred --file leavers.txt --missing-ok --receipts receipts/ --yes --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("shred", **texts(_HELP, "Destroy customers' keys."), no_args_is_help=True)(shred)


@online
def shred(
    vault: "Vault",
    customers: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Customers, by external id or token.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="File with one customer a line.")
    ] = None,
    by: Annotated[
        By, typer.Option("--by", help="What the IDs are; auto takes what looks like a token for one.")
    ] = By.AUTO,
    preview: Annotated[bool, typer.Option("--preview", help="Count what would go; change nothing.")] = False,
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="Accept unknown and shredded customers.")
    ] = False,
    receipts: Annotated[
        Path | None, typer.Option("--receipts", metavar="DIR", help="Write receipt, signature and salt here.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Shreds customers."""
    ids = _ids(customers or [], file)
    if not preview and not yes:
        _confirm(ids)
    folder = ReceiptFolder(receipts) if receipts and not preview else None
    outcomes: Counter[str] = Counter()
    reasons: list[str] = []
    rows: list[tuple[object, ...]] = []
    values = number = 0
    for batch in _batches(ids, by):
        answers = vault.shred_many(batch, missing_ok=missing_ok, validate_only=preview)
        for answer in answers:
            number += 1
            outcomes[answer.outcome] += 1
            values += answer.values
            if answer.error is not None:
                reasons.append(reason_of(answer.error))
            if folder and answer.erasure is not None:
                folder.write(answer)
            if as_json:
                print_json(_as_json(number, answer))
            else:
                rows.append(_row(number, answer))
        sys.stdout.flush()
    if not as_json:
        print_table(("NO", "OUTCOME", "VALUES", "KEYS", "SHRED ID"), rows, empty="No customers.")
        print_line(_summary(outcomes, values, preview=preview))
        if folder and folder.written:
            print_line(f"{plural(folder.written, 'receipt')} in {receipts}")
    raise typer.Exit(code_for_batch(reasons, len(ids)))


def _ids(given: Sequence[str], file: Path | None) -> list[str]:
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


def _confirm(ids: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("not on a terminal: confirm with --yes, or look first with --preview")
    expected = ids[0] if len(ids) == 1 else str(len(ids))
    what = "its id" if len(ids) == 1 else "their number"
    print_remark(f"This destroys {plural(len(ids), 'customer')} for good.")
    sys.stderr.write(f"Type {what} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().rstrip("\r\n") != expected:
        raise UsageError("not confirmed; nothing was shredded")


def _batches(ids: Sequence[str], by: By) -> "Iterator[list[CustomerRef]]":
    from customervault import CustomerRef

    rest = iter(ids)
    while batch := [CustomerRef(**named(text, by)) for text in islice(rest, _BATCH)]:
        yield batch


def _as_json(number: int, answer: "Shredded") -> dict[str, Any]:
    document: dict[str, Any] = {
        "number": number,
        "outcome": answer.outcome,
        "values": answer.values,
        "dek_generations": answer.dek_generations,
    }
    if answer.erasure is not None:
        document["shred_id"] = answer.shred_id
        document["effective"] = when_json(answer.erasure.effective)
        document["salt"] = answer.salt.hex()
    if answer.error is not None:
        document["error"] = {"reason": reason_of(answer.error), "message": message_of(answer.error)}
    return document


def _row(number: int, answer: "Shredded") -> tuple[object, ...]:
    last = f"[{reason_of(answer.error)}]" if answer.error is not None else answer.shred_id or "-"
    return number, answer.outcome.replace("_", " "), answer.values, answer.dek_generations, last


def _summary(outcomes: Counter[str], values: int, *, preview: bool) -> str:
    done = sum(count for outcome, count in outcomes.items() if outcome in {"shredded", "validated"})
    verb = "would be shredded" if preview else "shredded"
    text = f"{plural(done, 'customer')} {verb}, with {plural(values, 'value')}"
    failed = sum(count for outcome, count in outcomes.items() if outcome not in _DONE)
    passed = sum(outcomes.values()) - done - failed
    text += f"; {passed:,} passed over" if passed else ""
    return text + (f"; {failed:,} not" if failed else "")
