"""`cvault approvals`: what one person may do only with another one's consent."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, named
from vault.cli.exits import UsageError
from vault.cli.idfiles import gather_ids
from vault.cli.options import Json, Limit
from vault.cli.output import plural, print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.control_results import Approval, ApprovalAct

_GROUP = """Approvals: ask another person for what nobody may do alone, and decide what others ask for.

Which acts need one stands in the policy, under [approvals]. Nobody approves what they asked for.

Example:
  cvault approvals list --state pending
"""
_REQUEST = """Ask another person to approve an act.

Example:
  cvault approvals request shred --file leavers.txt --reason "contract 12 ended"
"""
_SHRED = """Ask to shred more customers at once than the policy's threshold.

The approval is good for one `cvault shred --approval` of exactly these customers.

Example:
  cvault approvals request shred --file leavers.txt --reason "contract 12 ended"
"""
_EXPORT = """Ask to export further customers, beyond the policy's threshold of a day; each of them once.

Example:
  cvault approvals request export --file subjects.txt --reason "court order"
"""
_ROTATE = """Ask to begin a new epoch, which destroys the root key of this one.

Example:
  cvault approvals request rotate-epoch --reason "quarterly"
"""
_BREAK_GLASS = """Ask to read for a break-glass purpose for some minutes, which begin with the approval.

Example:
  cvault approvals request break-glass --purpose emergency --minutes 30 --reason "incident 7"
"""
_LIST = """List requests, newest first: all if you approve or audit, else your own. With --json: one a line.

Example:
  cvault approvals list --state pending
"""
_SHOW = """Show one request, with the tokens of its customers.

Example:
  cvault approvals show 0f9b3c1e8d7a4b5c9e2f1a0b3c4d5e6f
"""
_APPROVE = """Approve another person's request.

Example:
  cvault approvals approve 0f9b3c1e8d7a4b5c9e2f1a0b3c4d5e6f --note "checked against the list"
"""
_REJECT = """Refuse another person's request.

Example:
  cvault approvals reject 0f9b3c1e8d7a4b5c9e2f1a0b3c4d5e6f --note "not these"
"""
_CANCEL = """Withdraw a request, or end an approval or a break-glass grant before its time.

Example:
  cvault approvals cancel 0f9b3c1e8d7a4b5c9e2f1a0b3c4d5e6f
"""

Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why. It is kept: name no customer in it.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What the other side shall read.")]
ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL_ID", show_default=False)]
Customers = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID...", help="Customers, by external id or token.", show_default=False),
]
CustomerFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="File with one customer a line.")
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Ask for and give consent to dangerous acts."), no_args_is_help=True)
    request = typer.Typer(**texts(_REQUEST, "Ask for an approval."), no_args_is_help=True)
    request.command("shred", **texts(_SHRED, "Ask to shred customers."))(request_shred)
    request.command("export", **texts(_EXPORT, "Ask to export customers."))(request_export)
    request.command("rotate-epoch", **texts(_ROTATE, "Ask to begin a new epoch."))(request_rotation)
    request.command("break-glass", **texts(_BREAK_GLASS, "Ask to read in an emergency."))(request_break_glass)
    group.add_typer(request, name="request")
    group.command("list", **texts(_LIST, "List requests."))(list_all)
    group.command("show", **texts(_SHOW, "Show one request."))(show)
    group.command("approve", **texts(_APPROVE, "Approve a request."))(approve)
    group.command("reject", **texts(_REJECT, "Refuse a request."))(reject)
    group.command("cancel", **texts(_CANCEL, "Withdraw a request."))(cancel)
    app.add_typer(group, name="approvals")


@online
def request_shred(
    vault: "Vault",
    customers: Customers = None,
    file: CustomerFile = None,
    by: ByOption = By.AUTO,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Asks to shred customers."""
    _request_for(vault, "shred", gather_ids(customers or [], file), by, reason, as_json=as_json)


@online
def request_export(
    vault: "Vault",
    customers: Customers = None,
    file: CustomerFile = None,
    by: ByOption = By.AUTO,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Asks to export customers."""
    _request_for(vault, "export", gather_ids(customers or [], file), by, reason, as_json=as_json)


@online
def request_rotation(vault: "Vault", reason: Reason = "", as_json: Json = False) -> None:
    """Asks to begin a new epoch."""
    _require(reason)
    _print(vault.request_approval("rotate_epoch", reason=reason), as_json=as_json)


@online
def request_break_glass(
    vault: "Vault",
    purpose: Annotated[str, typer.Option("--purpose", metavar="NAME", help="The break-glass purpose.")] = "",
    minutes: Annotated[
        int, typer.Option("--minutes", metavar="N", min=1, help="How long, from the approval on.")
    ] = 15,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Asks to read in an emergency."""
    _require(reason)
    asked = vault.request_approval("break_glass", reason=reason, purpose=purpose, minutes=minutes)
    _print(asked, as_json=as_json)


@online
def list_all(
    vault: "Vault",
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="Only requests in this state, such as pending.")
    ] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Lists requests."""
    from customervault.control_results import ApprovalState

    states = {known: known for known in get_args(ApprovalState)[1:]}
    if state and state not in states:
        raise UsageError(f"--state is one of {', '.join(states)}")
    found = islice(vault.list_approvals(state=states.get(state)), limit or None)
    if as_json:
        for each in found:
            print_json(_as_json(each))
        return
    rows = [
        (each.approval_id, each.act, each.state, each.requester, _what(each), when(each.expires), each.reason)
        for each in found
    ]
    headings = ("APPROVAL ID", "ACT", "STATE", "REQUESTED BY", "WHAT", "EXPIRES", "REASON")
    print_table(headings, rows, empty="No requests.")


@online
def show(vault: "Vault", approval_id: ApprovalId, as_json: Json = False) -> None:
    """Shows one request."""
    _print(vault.get_approval(approval_id), as_json=as_json)


@online
def approve(vault: "Vault", approval_id: ApprovalId, note: Note = "", as_json: Json = False) -> None:
    """Approves a request."""
    _print(vault.approve(approval_id, note=note), as_json=as_json)


@online
def reject(vault: "Vault", approval_id: ApprovalId, note: Note = "", as_json: Json = False) -> None:
    """Refuses a request."""
    _print(vault.reject(approval_id, note=note), as_json=as_json)


@online
def cancel(vault: "Vault", approval_id: ApprovalId, note: Note = "", as_json: Json = False) -> None:
    """Withdraws a request."""
    _print(vault.cancel_approval(approval_id, note=note), as_json=as_json)


def _request_for(
    vault: "Vault", act: "ApprovalAct", ids: list[str], by: By, reason: str, *, as_json: bool
) -> None:
    from customervault import CustomerRef

    _require(reason)
    refs = [CustomerRef(**named(text, by)) for text in ids]
    _print(vault.request_approval(act, reason=reason, customers=refs), as_json=as_json)


def _require(reason: str) -> None:
    if not reason:
        raise UsageError("say why: --reason TEXT")


def _what(approval: "Approval") -> str:
    if approval.customers:
        return plural(approval.customers, "customer")
    return f"{approval.purpose}, {approval.minutes} min" if approval.purpose else "-"


def _print(approval: "Approval", *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(approval))
        return
    facts: dict[str, object] = {
        "approval id": approval.approval_id,
        "act": approval.act.replace("_", " "),
        "state": approval.state,
        "requested by": f"{approval.requester}, {when(approval.requested)}",
        "reason": approval.reason,
        "what": _what(approval),
        "digest": approval.digest,
        "expires": when(approval.expires),
    }
    if approval.decider:
        facts |= {"decided by": f"{approval.decider}, {when(approval.decided)}", "note": approval.note or "-"}
    if approval.grant_ends is not None:
        facts["grant ends"] = when(approval.grant_ends)
    print_facts(facts.items())
    for token in approval.customer_tokens:
        print_line(token)


def _as_json(approval: "Approval") -> dict[str, object]:
    return {
        "approval_id": approval.approval_id,
        "act": approval.act,
        "state": approval.state,
        "requester": approval.requester,
        "reason": approval.reason,
        "digest": approval.digest,
        "customers": approval.customers,
        "customers_used": approval.customers_used,
        "customer_tokens": list(approval.customer_tokens),
        "purpose": approval.purpose,
        "minutes": approval.minutes,
        "grant_ends": when_json(approval.grant_ends),
        "requested": when_json(approval.requested),
        "expires": when_json(approval.expires),
        "decided": when_json(approval.decided),
        "decider": approval.decider,
        "note": approval.note,
    }
