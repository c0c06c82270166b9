"""`cvault keys`: the keyring, and rotation of a customer's key."""

from typing import TYPE_CHECKING

import typer

from vault.cli import keycopies
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.options import Json
from vault.cli.output import plural, print_facts, print_json, print_line, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import KeyringStatus

_GROUP = """Keys: the state of the keyring, and rotation. Key material never leaves the vault.

Example:
  cvault keys status
"""
_STATUS = """Show epoch, key provider and counts of the keyring.

Example:
  cvault keys status --json
"""
_ROTATE = """Give one customer a new key generation and seal the customer's values again under it.

Values that were deleted or corrected before become unrecoverable once the old generation is gone.

Example:
  cvault keys rotate-dek customer-4711
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Keyring and rotation."), no_args_is_help=True)
    group.command("status", **texts(_STATUS, "Show the keyring."))(status)
    group.command("rotate-dek", **texts(_ROTATE, "Rotate one customer's key."))(rotate_dek)
    keycopies.add_to(group)
    app.add_typer(group, name="keys")


def keyring_as_json(keyring: "KeyringStatus") -> dict[str, object]:
    """The state of the keyring as it is printed for scripts."""
    return {
        "vault_id": keyring.vault_id,
        "epoch": keyring.epoch,
        "epoch_created": when_json(keyring.epoch_created),
        "provider": keyring.provider,
        "assurance": keyring.assurance,
        "root_key_id": keyring.root_key_id,
        "signing_key_id": keyring.signing_key_id,
        "token_key_generation": keyring.token_key_generation,
        "customers": keyring.customers,
        "shredded_customers": keyring.shredded_customers,
        "wrapped_deks": keyring.wrapped_deks,
        "ledger_entries": keyring.ledger_entries,
        "ledger_applied": keyring.ledger_applied,
    }


@online
def status(vault: "Vault", as_json: Json = False) -> None:
    """Shows the keyring."""
    keyring = vault.keyring_status()
    facts = keyring_as_json(keyring)
    if as_json:
        print_json(facts)
    else:
        shown = facts | {"epoch_created": when(keyring.epoch_created)}
        print_facts((name.replace("_", " "), fact) for name, fact in shown.items())


@online
def rotate_dek(vault: "Vault", customer: Customer, by: ByOption = By.AUTO, as_json: Json = False) -> None:
    """Rotates a customer's key."""
    rotated = vault.rotate_dek(**named(customer, by))
    if as_json:
        print_json({"dek_generation": rotated.dek_generation, "values_resealed": rotated.values_resealed})
    else:
        resealed = plural(rotated.values_resealed, "value")
        print_line(f"generation {rotated.dek_generation}; {resealed} sealed again")
