"""`cvault consent verify`: checks a consent receipt, without a vault."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vault.cli.exits import RefusedError, UsageError
from vault.cli.options import Json
from vault.cli.output import print_facts, print_json, print_line, when, when_json
from vault.cli.texts import texts
from vault.errors import IntegrityFailedError

_HELP = """Check a consent receipt. Needs no vault and no network, only the vault's public keys.

Fails on any changed byte. A receipt says what was recorded; a later event may have ended it.

Exit codes: 0 it holds; 1 it does not; 2 usage.

Example:
  cvault consent verify receipt.json --keys public/keys.json
"""


def register(group: typer.Typer) -> None:
    """Adds the command to `cvault consent`."""
    group.command("verify", **texts(_HELP, "Check a receipt, offline."))(verify_file)


def verify_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The receipt.")],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="FILE", help="The vault's public keys: its public/keys.json.")
    ],
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="KEY_ID", help="A key that is known; later ones follow from it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Checks a receipt."""
    from vault.consent.receipts import verify_receipt
    from vault.erasure.publickeys import public_keys

    try:
        known = public_keys(_read(keys), trust)
    except IntegrityFailedError as error:
        text = "one of these keys is not announced by the one before it"
        raise RefusedError(f"{keys}: {text}", error.reason.value) from None
    try:
        facts = verify_receipt(_read(file), known, now_ms=time.time_ns() // 1_000_000)
    except IntegrityFailedError as error:
        text = "this is not what the vault signed: changed, cut, of the future, or signed by another key"
        raise RefusedError(f"{file}: {text}", error.reason.value) from None
    event = facts.event
    if as_json:
        issued = when_json(_moment(facts.issued_ms))
        print_json(
            {
                "valid": True,
                "vault_id": facts.vault_id.hex(),
                "customer": facts.customer,
                "issued": issued,
                "event": event.to_json(),
            }
        )
        return
    print_line("The receipt holds.")
    print_facts(
        [
            ("customer", facts.customer),
            ("event", event.seq),
            ("kind", event.kind.value),
            ("purpose", event.purpose_name),
            ("recorded", when(_moment(event.time_ms))),
            ("acted", event.acted.value),
            ("method", event.method or "-"),
            ("notice", event.notice_version or "-"),
            ("language", event.locale or "-"),
            ("expires", when(_moment(event.expires_ms))),
            ("text shown", event.text_sha256.hex() or "-"),
            ("issued", when(_moment(facts.issued_ms))),
            ("vault", facts.vault_id.hex()),
        ]
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read") from error


def _moment(time_ms: int) -> datetime | None:
    return datetime.fromtimestamp(time_ms / 1000, UTC) if time_ms else None
