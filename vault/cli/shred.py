"""`cvault shred`: destroys customers' keys, and with them every value."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli.certificates import CertificateFolder
from vault.cli.connection import online
from vault.cli.customer_ref import By, named
from vault.cli.exits import UsageError, code_for_batch, message_of, reason_of
from vault.cli.idfiles import gather_ids
from vault.cli.options import Approval, Json, Yes
from vault.cli.output import plural, print_json, print_line, print_remark, print_table, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import CustomerRef, Vault
    from customervault.results import Shredded

_BATCH = 500
_DONE = {"shredded", "held", "validated", "already_shredded", "missing"}
_ACCEPTED = {"shredded", "held", "validated"}

_HELP = """Destroy customers' keys, and with them every value, on every copy of the data.

There is no way back. --preview counts what would go and changes nothing. On a terminal you are
asked to type the id, or the number of customers; scripts pass --yes.

--certificates writes two files for each customer: SHRED_ID.json is the signed certificate, which
`cvault erasure verify` checks offline, SHRED_ID.salt the salt that opens its commitment to the external
id. The vault keeps no copy of the salt. Once the shred is final, `cvault erasure certificate SHRED_ID`
gets the certificate that says so; the salt opens it, too.

Where the policy asks for another person's approval of so many, `cvault approvals request shred` asks for
it, and --approval names it: exactly those customers, in one call.

Where a legal hold keeps some values, the others go, the customer is closed, and the shred is done by itself
when the hold ends: outcome held. Its certificate can be had then.

Exit codes: 0 all shredded or held, 1 some were not (unknown, shredded before), 2 usage, 3 denied,
4 unavailable. With --missing-ok unknown and shredded customers count as done.

Examples:
  cvault shred customer-4711 --preview
  cvault shred --file leavers.txt --missing-ok --certificates erased/ --yes --json
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
    certificates: Annotated[
        Path | None, typer.Option("--certificates", metavar="DIR", help="Write certificates and salts here.")
    ] = None,
    approval: Approval = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Shreds customers."""
    ids = gather_ids(customers or [], file)
    if not preview and not yes:
        _confirm(ids)
    folder = CertificateFolder(certificates, vault) if certificates and not preview else None
    report = _Report(preview=preview, as_json=as_json)
    try:
        for batch in _batches(ids, by, len(ids) if approval else _BATCH):
            answers = vault.shred_many(
                batch, missing_ok=missing_ok, validate_only=preview, approval_id=approval
            )
            try:
                if folder:
                    folder.write_all(answers)  # before anything is printed: a salt cannot be had again
            finally:
                report.add(answers)
    finally:
        report.finish()
    if folder and folder.written and not as_json:
        print_line(f"{plural(folder.written, 'certificate')} in {certificates}")
    raise typer.Exit(code_for_batch(report.reasons, len(ids)))


class _Report:
    """Tells what became of each customer: a line of JSON at once, or a table at the end."""

    def __init__(self, *, preview: bool, as_json: bool) -> None:
        self._preview = preview
        self._as_json = as_json
        self._outcomes: Counter[str] = Counter()
        self._rows: list[tuple[object, ...]] = []
        self._values = 0
        self._number = 0
        self.reasons: list[str] = []

    def add(self, answers: "Sequence[Shredded]") -> None:
        for answer in answers:
            self._number += 1
            self._outcomes[answer.outcome] += 1
            self._values += answer.values
            if answer.error is not None:
                self.reasons.append(reason_of(answer.error))
            if self._as_json:
                print_json(_line(self._number, answer))
            else:
                self._rows.append(_row(self._number, answer))

    def finish(self) -> None:
        """Also after a failure: what was shredded before it is gone, and has to be told."""
        if self._rows:
            print_table(("NO", "OUTCOME", "VALUES", "KEYS", "SHRED ID"), self._rows, empty="")
            print_line(_summary(self._outcomes, self._values, preview=self._preview))


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


def _batches(ids: Sequence[str], by: By, size: int) -> "Iterator[list[CustomerRef]]":
    from customervault import CustomerRef

    rest = iter(ids)
    while batch := [CustomerRef(**named(text, by)) for text in islice(rest, size)]:
        yield batch


def _line(number: int, answer: "Shredded") -> dict[str, Any]:
    document: dict[str, Any] = {
        "number": number,
        "outcome": answer.outcome,
        "values": answer.values,
        "dek_generations": answer.dek_generations,
        "held_values": answer.held_values,
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
    done = sum(count for outcome, count in outcomes.items() if outcome in _ACCEPTED)
    verb = "would be shredded" if preview else "shredded"
    text = f"{plural(done, 'customer')} {verb}, with {plural(values, 'value')}"
    failed = sum(count for outcome, count in outcomes.items() if outcome not in _DONE)
    passed = sum(outcomes.values()) - done - failed
    text += f"; {passed:,} passed over" if passed else ""
    text += f"; {outcomes['held']:,} of them when a legal hold ends" if outcomes["held"] else ""
    return text + (f"; {failed:,} not" if failed else "")
