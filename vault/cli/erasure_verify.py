"""`cvault erasure verify`: checks a certificate of erasure, without a vault."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import RefusedError, UsageError
from vault.cli.options import Json
from vault.cli.output import plural, print_facts, print_json, print_line, visible, when, when_json
from vault.cli.texts import texts
from vault.errors import IntegrityFailedError

if TYPE_CHECKING:
    from vault.erasure.finality import Attempt
    from vault.erasure.verifying import Verified

_HELP = """Check a certificate of erasure. Needs no vault and no network, only the vault's public keys.

Fails on any changed byte, and when what the certificate says does not follow from the root keys and
times that it lists. With the external id and its salt it also checks whom it is about; an external id
on the command line can be read by other processes of the machine, so rather use --external-id-file.

In the file of public keys, each key vouches for the next one. Who has known one of them before names it with
--trust: then nothing is believed but that key and those that follow from it.

Exit codes: 0 it holds, whatever its stage; 1 it does not; 2 usage.

Examples:
  cvault erasure verify certificate.json --keys public/keys.json
  cvault erasure verify certificate.json --keys public/keys.json --external-id-file id --salt-file SALT
"""
_MEANS = {
    "effective": "no read through the vault can succeed; copies of the key may still be recovered",
    "held": "a legal hold keeps some values; the others are destroyed, and the customer is closed",
    "final": "no copy of the key can be recovered",
    "final-best-effort": "the key was destroyed wherever that is known, but not all of it can be proven",
}
_UNANNOUNCED = "one of these keys is not announced by the one before it"
_REFUSED = {
    "": "this is not what the vault signed: changed, cut, or signed by another key",
    "rule": "signed by the vault, but it contradicts itself: its stage does not follow from what it lists",
    "issued": "signed by the vault, but issued in the future; look at this machine's clock",
    "ledger": "signed by the vault, but its ledger proof does not hold",
}


def register(group: typer.Typer) -> None:
    """Adds the command to `cvault erasure`."""
    group.command("verify", **texts(_HELP, "Check a certificate, offline."))(verify_file)


def verify_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The certificate.")],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="FILE", help="The vault's public keys: its public/keys.json.")
    ],
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="KEY_ID", help="A key that is known; later ones follow from it."),
    ] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", metavar="ID", help="Whom it is said to be about.")
    ] = None,
    external_id_file: Annotated[
        Path | None,
        typer.Option("--external-id-file", metavar="FILE", help="The same from a file, one line."),
    ] = None,
    salt: Annotated[
        str | None, typer.Option("--salt", metavar="HEX", help="The salt of the shred, 64 hex digits.")
    ] = None,
    salt_file: Annotated[
        Path | None, typer.Option("--salt-file", metavar="FILE", help="The same from a file, 32 bytes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Checks a certificate."""
    from vault.erasure.publickeys import public_keys
    from vault.erasure.verifying import verify

    subject = _external_id(external_id, external_id_file)
    opening = _salt(salt, salt_file)
    if (subject is None) != (opening is None):
        raise UsageError("external id and salt are only of use together")
    try:
        known = public_keys(_read(keys), trust)
    except IntegrityFailedError as error:
        raise RefusedError(f"{keys}: {_UNANNOUNCED}", error.reason.value) from None
    now_ms = time.time_ns() // 1_000_000
    try:
        verified = verify(_read(file), known, now_ms=now_ms, external_id=subject, salt=opening)
    except IntegrityFailedError as error:
        reason = error.reason.value
        raise RefusedError(f"{file}: {_REFUSED[error.details.get('check', '')]}", reason) from None
    if as_json:
        print_json(_as_json(verified))
    else:
        _print(verified)


def _external_id(text: str | None, file: Path | None) -> bytes | None:
    if text is not None and file is not None:
        raise UsageError("--external-id and --external-id-file exclude each other")
    if file is not None:
        return _read(file).removesuffix(b"\n").removesuffix(b"\r")
    return None if text is None else text.encode()


def _salt(text: str | None, file: Path | None) -> bytes | None:
    if text is not None and file is not None:
        raise UsageError("--salt and --salt-file exclude each other")
    try:
        salt = _read(file) if file is not None else None if text is None else bytes.fromhex(text)
    except ValueError:
        raise UsageError("--salt has 64 hex digits") from None
    if salt is not None and len(salt) != 32:
        raise UsageError("a salt has 32 bytes, or 64 hex digits")
    return salt


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read") from error


def _print(verified: "Verified") -> None:
    statement, found = verified.statement, verified.conclusion
    assurance = found.assurance.value if found.assurance else "-"
    facts: list[tuple[str, object]] = [
        ("stage", found.stage.value),
        ("erasure", statement.erasure_id),
        ("vault", statement.vault_id.hex()),
        ("of", "a customer" if statement.scope == "customer" else "deleted or corrected values"),
        ("values", _values(verified)),
        ("effective", when(_moment(found.effective_ms))),
        ("final", when(_moment(found.final_ms))),
        ("assurance", assurance),
        ("issued", when(_moment(statement.issued_ms))),
        ("signed by", verified.key_id),
        ("customer", _customer(verified)),
        ("ledger", _ledger(verified)),
    ]
    print_line("The certificate holds.")
    print_facts(facts)
    print_list("Root keys", [f"{each.root_key_id}: {_root_key(each)}" for each in found.attempts])
    print_list("Not covered", statement.not_covered)
    print_line()
    print_line(meaning(found.stage.value))


def meaning(stage: str) -> str:
    """A sentence on what a stage means."""
    return f"{stage}: {_MEANS.get(stage, 'a stage that this program does not know')}."


def print_list(heading: str, lines: Sequence[str]) -> None:
    """A heading and its items, one a line."""
    print_line(f"{heading}:")
    for line in lines:
        print_line(f"  - {visible(line)}")


def _values(verified: "Verified") -> str:
    erased = verified.statement.erased_values
    if not erased:
        return str(verified.statement.values)
    named = [f"{each.value_no} ({'corrected' if each.corrected else 'deleted'})" for each in erased]
    return "number " + ", ".join(named)


def _customer(verified: "Verified") -> str:
    if verified.statement.customer is not None:
        region, number = verified.statement.customer
        return f"number {number} of region {region}"
    return "the one with that external id" if verified.commitment_checked else "not checked"


def _ledger(verified: "Verified") -> str:
    entry = f"entry {verified.statement.entry_seq}"
    proven = "proven to be in the ledger" if verified.ledger_checked else "without proof"
    outside = "held outside" if verified.statement.held_outside else "not held outside of the machine"
    return f"{entry}, {proven}, {outside}"


def _root_key(attempt: "Attempt") -> str:
    epoch = f"epoch {attempt.epoch}"
    said = [epoch if attempt.abandoned_seq is None else f"an abandoned attempt at {epoch}"]
    if attempt.copies:
        said.append(plural(attempt.copies, "keyring copy", "keyring copies"))
    destroyed = attempt.destroyed
    if destroyed is None:
        return ", ".join([*said, "not confirmed to be destroyed"])
    said.append(f"destroyed {when(_moment(destroyed.holds_from_ms))} by {attempt.provider}")
    said.append(destroyed.assurance.value)
    if destroyed.backups_ms is None:
        said.append("nobody knows how long its backups live")
    elif destroyed.backups_ms:
        said.append(f"its backups gone {when(_moment(destroyed.gone_ms))}")
    return ", ".join(said)


def _as_json(verified: "Verified") -> dict[str, object]:
    statement, found = verified.statement, verified.conclusion
    return {
        "valid": True,
        "stage": found.stage.value,
        "erasure_id": statement.erasure_id,
        "vault_id": statement.vault_id.hex(),
        "scope": statement.scope.value,
        "customer_no": None if statement.customer is None else statement.customer[1],
        "value_nos": [each.value_no for each in statement.erased_values],
        "effective": when_json(_moment(found.effective_ms)),
        "final": when_json(_moment(found.final_ms)),
        "assurance": found.assurance.value if found.assurance else None,
        "issued": when_json(_moment(statement.issued_ms)),
        "key_id": verified.key_id,
        "customer_checked": verified.commitment_checked,
        "ledger_checked": verified.ledger_checked,
        "held_outside": statement.held_outside,
        "not_covered": list(statement.not_covered),
    }


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC)
