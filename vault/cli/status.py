"""`cvault status`: is the vault serving, and how is it."""

from typing import TYPE_CHECKING

import typer

from vault.cli.connection import online
from vault.cli.exits import CommandError, ExitCode, message_of, reason_of
from vault.cli.keys import keyring_as_json
from vault.cli.options import Json
from vault.cli.output import print_facts, print_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault

_HELP = """Show whether the vault serves, the state of its keyring and of its access log.

Keyring and log are shown to principals who may see them.

Exit codes: 0 serving, 2 usage, 3 denied, 4 not serving.

Example:
  cvault status --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status", **texts(_HELP, "Show whether the vault serves, and how it is."))(status)


@online
def status(vault: "Vault", as_json: Json = False) -> None:
    """Shows the state of the vault."""
    from customervault.errors import DeniedError, UnauthenticatedError

    if not vault.healthy():
        raise CommandError("the vault is not serving", reason="NOT_SERVING", code=ExitCode.UNAVAILABLE)
    document: dict[str, object] = {"serving": True}
    facts: list[tuple[str, object]] = [("serving", "yes")]
    try:
        keyring = vault.keyring_status()
        document["keyring"] = keyring_as_json(keyring)
        facts += [
            ("vault", keyring.vault_id),
            ("epoch", f"{keyring.epoch}, provider {keyring.provider} ({keyring.assurance})"),
            ("customers", f"{keyring.customers:,}, of them {keyring.shredded_customers:,} shredded"),
            ("ledger", f"{keyring.ledger_entries:,} entries, {keyring.ledger_applied:,} applied"),
        ]
    except UnauthenticatedError:
        raise
    except DeniedError as error:
        document["keyring"] = {"error": {"reason": reason_of(error), "message": message_of(error)}}
        facts.append(("keyring", f"not shown [{reason_of(error)}]"))
    try:
        audit = vault.audit_status()
        document["audit"] = {
            "writable": audit.writable,
            "records": audit.records,
            "bytes": audit.bytes,
            "free_bytes": audit.free_bytes,
            "gaps": audit.gaps,
        }
        state = "writable" if audit.writable else "NOT WRITABLE: nothing is revealed"
        facts.append(("audit", f"{state}, {audit.records:,} records, {audit.gaps:,} gaps"))
    except DeniedError as error:
        document["audit"] = {"error": {"reason": reason_of(error), "message": message_of(error)}}
        facts.append(("audit", f"not shown [{reason_of(error)}]"))
    if as_json:
        print_json(document)
    else:
        print_facts(facts)
