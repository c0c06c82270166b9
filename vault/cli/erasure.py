"""`cvault erasure`: what was shredded, deleted and corrected, and the proof of it."""

import sys
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli import erasure_verify
from vault.cli.certificates import write_new
from vault.cli.connection import online
from vault.cli.options import Json, Limit
from vault.cli.output import plural, print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import AwaitedRootKey, Erasure

_GROUP = """Erasures: what was shredded, deleted or corrected, how far it is gone, and the signed certificate.

Example:
  cvault erasure list
"""
_LIST = """List all erasures, oldest first. With --json: one a line, as they come.

shr_... is a customer that was shredded; val_... are values of one customer that were deleted or corrected
before the customer got another data key.

Examples:
  cvault erasure list --limit 20
  cvault erasure list --stage effective
"""
_STATUS = """Show how far one erasure has come, and what has to happen before it is final.

effective: no read through the vault can succeed. final: no copy of the key can be recovered.
final-best-effort: destroyed wherever that is known, but not all of it can be proven. held: a legal hold keeps
some of it; the rest is destroyed.

Example:
  cvault erasure status shr_0123456789abcdef0123456789abcdef
"""
_CERTIFICATE = """Get the certificate of one erasure, at the stage that it has reached.

It goes to --out, which is never replaced, else to standard output, without a line end: its bytes are
what was signed. The salt that came with the shred opens later certificates, too. Values that were deleted
or corrected have a certificate once a rotation has destroyed their key; status says what that waits for.
With --json: stage, key id and the certificate as a text.

Example:
  cvault erasure certificate shr_0123456789abcdef0123456789abcdef --out certificate.json
"""


_KEPT = {
    "resealing": "the next rotation, then for data backups, then for another rotation",
    "kept": "data backups until {}, then for the next rotation",
}


class StageName(StrEnum):
    """What `--stage` takes."""

    EFFECTIVE = "effective"
    FINAL_BEST_EFFORT = "final-best-effort"
    FINAL = "final"
    HELD = "held"


ShredId = Annotated[str, typer.Argument(metavar="ERASURE_ID", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "What was erased."), no_args_is_help=True)
    group.command("list", **texts(_LIST, "List all erasures."))(list_all)
    group.command("status", **texts(_STATUS, "Show how far one erasure has come."))(status)
    group.command("certificate", **texts(_CERTIFICATE, "Get a certificate."))(certificate)
    erasure_verify.register(group)
    app.add_typer(group, name="erasure")


@online
def list_all(
    vault: "Vault",
    stage: Annotated[
        StageName | None, typer.Option("--stage", help="Only those at this stage.", show_default=False)
    ] = None,
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Lists erasures."""
    found = vault.list_erasures(page_size=min(limit, 1000) or 1000, stage=stage.value if stage else None)
    chosen = islice(found, limit or None)
    if as_json:
        for erasure in chosen:
            print_json(_as_json(erasure))
        return
    rows, held_back = [], []
    for each in chosen:
        told = each.stage, when(each.effective), when(each.final), each.ledger_seq, _briefly(each)
        rows.append((each.shred_id, *told))
        held_back += [awaited for awaited in each.waits_for if awaited.step == "copies"]
    heads = ("ERASURE ID", "STAGE", "EFFECTIVE", "FINAL", "LEDGER", "WAITS FOR")
    print_table(heads, rows, empty="No erasures.")
    if rows:
        print_line(plural(len(rows), "erasure"))
    for sentence in sorted({_copies_in_words(awaited) for awaited in held_back}):
        print_line(sentence)


@online
def status(vault: "Vault", shred_id: ShredId, as_json: Json = False) -> None:
    """Shows one erasure."""
    erasure = vault.get_erasure(shred_id)
    if as_json:
        print_json(_as_json(erasure))
        return
    print_facts(
        [
            ("erasure id", erasure.shred_id),
            ("stage", erasure.stage),
            ("effective", when(erasure.effective)),
            ("final", when(erasure.final)),
            ("assurance", erasure.assurance or "-"),
            *([("held values", erasure.held_values)] if erasure.held_values else []),
            ("ledger entry", erasure.ledger_seq),
            ("commitment", erasure.commitment.hex() or "-"),
        ]
    )
    if erasure.waits_for:
        erasure_verify.print_list("Waits for", [_in_words(each) for each in erasure.waits_for])
    print_line()
    print_line(erasure_verify.meaning(erasure.stage))


@online
def certificate(
    vault: "Vault",
    shred_id: ShredId,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here, with mode 0600.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Gets the newest certificate."""
    found = vault.certificate(shred_id)
    if out is not None:
        write_new(out, found.content)
    if as_json:
        content = found.content.decode()
        print_json({"stage": found.stage, "key_id": found.key_id, "certificate": content})
    elif out is not None:
        print_line(f"{out}, at stage {found.stage}, signed by {found.key_id}")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(found.content)
        sys.stdout.buffer.flush()


def _briefly(erasure: "Erasure") -> str:
    steps = {each.step: _KEPT.get(each.step, each.step).format(when(each.due)) for each in erasure.waits_for}
    return "; ".join(steps.values())


def _in_words(root_key: "AwaitedRootKey") -> str:
    due = when(root_key.due)
    if root_key.step == "hold":
        return "a legal hold" + (f", which ends {due}" if root_key.due else "")
    name = f"root key {root_key.root_key_id} of epoch {root_key.epoch}"
    match root_key.step:
        case "resealing" | "kept":
            rest = f"in use; waits for {_KEPT[root_key.step].format(due)}"
        case "rotation":
            rest = "its epoch is in use, or being made; a rotation ends it"
        case "destruction":
            rest = f"not in use any more; {root_key.provider} has still to be told to destroy it"
        case "copies":
            rest = f"not in use any more; {_copies_in_words(root_key)}"
        case "confirmation":
            rest = f"{root_key.provider} is to destroy it, not before {due}, and then has to show it gone"
        case "backups":
            rest = f"destroyed; the backups that {root_key.provider} keeps of it end {due}"
        case _:
            rest = "a step that this program does not know"
    return f"{name}: {rest}"


def _copies_in_words(root_key: "AwaitedRootKey") -> str:
    copies = plural(root_key.missing_copies, "copy", "copies")
    return f"waiting for {copies} of the keyring of epoch {root_key.missing_copies_epoch}"


def _as_json(erasure: "Erasure") -> dict[str, object]:
    return {
        "shred_id": erasure.shred_id,
        "stage": erasure.stage,
        "effective": when_json(erasure.effective),
        "final": when_json(erasure.final),
        "assurance": erasure.assurance or None,
        "ledger_seq": erasure.ledger_seq,
        "commitment": erasure.commitment.hex() or None,
        "held_values": erasure.held_values,
        "waits_for": [
            {
                "root_key_id": each.root_key_id,
                "epoch": each.epoch,
                "provider": each.provider,
                "step": each.step,
                "due": when_json(each.due),
                "missing_copies": each.missing_copies,
                "missing_copies_epoch": each.missing_copies_epoch or None,
            }
            for each in erasure.waits_for
        ],
    }
