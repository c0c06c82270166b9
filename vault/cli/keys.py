"""`cvault keys`: the keyring, rotation of a customer's key, and a trial of the key provider."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli import keycopies, keys_passphrase, keys_pseudonyms, keys_secrets
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.options import DEFAULT_DATA, Approval, DataDir, Json, PassphraseFile
from vault.cli.output import plural, print_facts, print_json, print_line, when, when_json
from vault.cli.passphrase import development_passphrase, read_passphrase
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import EpochRotation, KeyringStatus

_POLL_SECONDS = 0.5
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it is done.")]

_GROUP = """Keys: the state of the keyring, and rotation. Key material never leaves the vault.

Example:
  cvault keys status
"""
_STATUS = """Show epoch, key provider and counts of the keyring.

Example:
  cvault keys status --json
"""
_ROTATE = """Give one customer a new key generation and seal the customer's values again under it.

The old generation is destroyed at once, not kept for data backups: the next rotation of the epoch makes
final what was deleted or corrected of the customer, and backups from before do not open for it any more.

Example:
  cvault keys rotate-dek customer-4711
"""
_EPOCH = """Begin a new epoch: wrap every key anew under a new root key, and destroy the old one.

This is what makes shreds final: an old copy of the keyring opens nothing any more. The vault goes on serving.
Without --no-wait the command stays and shows how far the rotation is; interrupting it does not end the
rotation. While one is under way, another call joins it.

With `[keys] verified_copies`, the old root key is kept until so many copies of the new keyring are made
(`cvault keys copy`) and verified (`cvault keys verify`). The command says so and ends; the rest happens
by itself.

Example:
  cvault keys rotate
"""
_CHECK = """Take a throw-away root key of the configured key provider through its life.

Creates it, wraps and opens a key, tries another context, destroys it: with the settings in vault.toml
and the credentials of this shell. Needs no running vault, and no founded one. The provider keeps a
trace of the key (aws-kms: the key itself, pending deletion).

Example:
  cvault keys provider-check --data /var/lib/customer-vault
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Keyring and rotation."), no_args_is_help=True)
    group.command("status", **texts(_STATUS, "Show the keyring."))(status)
    group.command("rotate", **texts(_EPOCH, "Begin a new epoch."))(rotate)
    group.command("rotate-dek", **texts(_ROTATE, "Rotate one customer's key."))(rotate_dek)
    group.command("provider-check", **texts(_CHECK, "Try the key provider."))(provider_check)
    keys_secrets.register(group)
    keys_pseudonyms.register(group)
    keys_passphrase.register(group)
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
def rotate(vault: "Vault", wait: Wait = True, approval: Approval = "", as_json: Json = False) -> None:
    """Begins a new epoch, and follows it."""
    rotation = vault.rotate_epoch(approval_id=approval)
    if wait:
        rotation = _follow(vault, rotation, show=not as_json)
    if rotation.error is not None:
        raise rotation.error
    if as_json:
        print_json(
            {
                "operation": rotation.name,
                "finished": rotation.finished,
                "epoch": rotation.epoch,
                "step": rotation.step,
                "done": rotation.done,
                "total": rotation.total,
                "waits_for": rotation.waits_for,
            }
        )
    elif rotation.finished:
        print_line(
            f"epoch {rotation.epoch} is in use; the root key before it was destroyed, or is about to be"
        )
    elif rotation.waits_for:
        print_line(f"epoch {rotation.epoch} is in use; {rotation.waits_for}")
        print_line("Until then the root key before it is kept: cvault keys copy, then cvault keys verify.")
    else:
        print_line(f"the vault works on it: {rotation.name}")


def _follow(vault: "Vault", rotation: "EpochRotation", *, show: bool) -> "EpochRotation":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    console = Console(stderr=True, quiet=not show)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("waiting", total=None, rate="")
        while not rotation.finished and not rotation.waits_for:
            time.sleep(_POLL_SECONDS)
            rotation = vault.epoch_rotation(rotation.name)
            progress.update(
                task,
                description=rotation.step or "waiting",
                completed=rotation.done,
                total=rotation.total or None,
                rate=_rate(rotation),
            )
    return rotation


def _rate(rotation: "EpochRotation") -> str:
    if rotation.started is None or rotation.updated is None or not rotation.done:
        return ""
    seconds = (rotation.updated - rotation.started).total_seconds()
    return f"{rotation.done / seconds:,.0f} keys/s" if seconds > 0 else ""


def provider_check(
    data: DataDir = DEFAULT_DATA, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Tries the key provider."""
    from vault.config import load_settings
    from vault.keys.root_keys import check_provider

    settings = load_settings(data)
    file = passphrase_file or development_passphrase(data)
    said = check_provider(data, read_passphrase(file, settings.keys, new=False))
    effective_ms = said.effective_ms
    destroyed = None if effective_ms is None else datetime.fromtimestamp(effective_ms / 1000, UTC)
    facts = {
        "provider": settings.keys.provider,
        "root_key_id": said.root_key_id,
        "assurance": str(said.assurance),
        "destroyed": when_json(destroyed),
        "evidence": said.evidence,
        "retention": said.retention,
    }
    if as_json:
        print_json(facts)
    else:
        print_line("The key provider makes, uses and destroys root keys.")
        print_facts((name.replace("_", " "), fact) for name, fact in facts.items())


@online
def rotate_dek(vault: "Vault", customer: Customer, by: ByOption = By.AUTO, as_json: Json = False) -> None:
    """Rotates a customer's key."""
    rotated = vault.rotate_dek(**named(customer, by))
    if as_json:
        print_json({"dek_generation": rotated.dek_generation, "values_resealed": rotated.values_resealed})
    else:
        resealed = plural(rotated.values_resealed, "value")
        print_line(f"generation {rotated.dek_generation}; {resealed} sealed again")
