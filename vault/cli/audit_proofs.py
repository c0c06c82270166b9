"""`cvault audit prove` and `cvault audit grown`: proofs from the sealed access log, checked as they come."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import online
from vault.cli.exits import RefusedError, UsageError
from vault.cli.options import Json
from vault.cli.output import print_facts, print_json
from vault.cli.texts import texts
from vault.errors import IntegrityFailedError, InvalidRequestError

if TYPE_CHECKING:
    from customervault import Vault

    from vault.tlog.checkpoints import Checkpoint

_PROVE = """Prove that a record is in the sealed access log.

LEAF is the record's number, as `cvault audit list --json` shows it. With --json: entry, hashes and
checkpoint, which are all that a program needs to check the proof (RFC 6962). With --keys it is checked here
as well.

Exit codes: 0 proven; 1 the proof does not hold; 2 usage.

Example:
  cvault audit prove 4711 --keys public/keys.json --json
"""
_GROWN = """Prove that the sealed access log only grew since it had SIZE leaves.

With --json: hashes and checkpoint, the proof for a program (RFC 6962). With --keys it is checked here as
well.

Exit codes: 0 proven; 1 the proof does not hold; 2 usage.

Example:
  cvault audit grown 4000 --keys public/keys.json --json
"""
Keys = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FILE", help="The vault's public/keys.json: check the proof here, too."),
]


def register(group: typer.Typer) -> None:
    """Adds the commands to `cvault audit`."""
    group.command("prove", **texts(_PROVE, "Prove that a record is sealed."))(prove)
    group.command("grown", **texts(_GROWN, "Prove that the sealed log only grew."))(grown)


@online
def prove(
    vault: "Vault",
    leaf: Annotated[int, typer.Argument(metavar="LEAF", min=0, show_default=False, help="Its number.")],
    keys: Keys = None,
    as_json: Json = False,
) -> None:
    """Proves that a record is sealed."""
    from vault.tlog.merkle import leaf_hash, verify_inclusion

    proof = vault.inclusion_proof(leaf)
    if keys is not None:
        try:
            if proof.entry and leaf_hash(proof.entry) != proof.leaf_hash:
                raise IntegrityFailedError  # noqa: TRY301 - one message for all that does not hold
            root = _checkpoint(proof.checkpoint, keys).root
            verify_inclusion(leaf, proof.size, proof.leaf_hash, proof.hashes, root)
        except IntegrityFailedError:
            raise RefusedError("the proof does not hold", "INTEGRITY_FAILED") from None
    if not as_json:
        _print_facts(
            {"leaf": proof.leaf, "hash": proof.leaf_hash.hex()}, proof.size, checked=keys is not None
        )
        return
    print_json(
        {
            "leaf": proof.leaf,
            "size": proof.size,
            "entry": _base64(proof.entry),
            "leaf_hash": _base64(proof.leaf_hash),
            "hashes": [_base64(each) for each in proof.hashes],
            "checkpoint": proof.checkpoint.decode(),
            "checked": keys is not None,
        }
    )


@online
def grown(
    vault: "Vault",
    size: Annotated[int, typer.Argument(metavar="SIZE", min=1, show_default=False, help="At that time.")],
    keys: Keys = None,
    as_json: Json = False,
) -> None:
    """Proves that the sealed log only grew."""
    from vault.tlog.merkle import verify_consistency

    proof = vault.consistency_proof(size)
    if keys is not None:
        try:
            checkpoint = _checkpoint(proof.checkpoint, keys)
            verify_consistency(size, checkpoint.size, proof.old_root, checkpoint.root, proof.hashes)
        except IntegrityFailedError:
            raise RefusedError("the proof does not hold", "INTEGRITY_FAILED") from None
    if not as_json:
        facts = {"old size": proof.old_size, "old root": proof.old_root.hex()}
        _print_facts(facts, proof.size, checked=keys is not None)
        return
    print_json(
        {
            "old_size": proof.old_size,
            "size": proof.size,
            "old_root": _base64(proof.old_root),
            "hashes": [_base64(each) for each in proof.hashes],
            "checkpoint": proof.checkpoint.decode(),
            "checked": keys is not None,
        }
    )


def _print_facts(facts: dict[str, object], size: int, *, checked: bool) -> None:
    said = "the proof holds" if checked else "not checked; --keys FILE does"
    print_facts((facts | {"leaves of the checkpoint": size, "checked": said}).items())


def _checkpoint(content: bytes, keys: Path) -> "Checkpoint":
    """The checkpoint of a proof, signed by one of the vault's keys under the access log's name."""
    from vault.audit.sealed.checkpoints import audit_key
    from vault.erasure.publickeys import public_keys
    from vault.tlog import notes
    from vault.tlog.checkpoints import Checkpoint
    from vault.tlog.notes import Note

    try:
        known = public_keys(keys.read_bytes()).values()
    except (OSError, InvalidRequestError, IntegrityFailedError) as error:
        raise UsageError(f"{keys} is no list of the vault's public keys") from error
    try:
        note = Note.parse(content)
        checkpoint = Checkpoint.parse(note.text)
        vault_id = bytes.fromhex(checkpoint.origin.removeprefix("customervault/").removesuffix("/audit"))
    except (InvalidRequestError, ValueError) as error:
        raise IntegrityFailedError from error
    named = [audit_key(vault_id, key) for key in known]
    notes.verify(note, named)
    if checkpoint.origin not in [key.name for key in named]:
        raise IntegrityFailedError
    return checkpoint


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
