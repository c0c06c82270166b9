"""Requests for approval as rows, and what may become of each.

Row of table `approvals` (with the MAC of `rows`), key: id 16; body: JSON of what `Approval` holds.

    pending --approve--> approved --use--> used
       |                    |
       +--reject, cancel----+--cancel        either, when its time has passed: expired

Rules:
- A request is bound to `digest`: a keyed hash of the act and exactly its parameters, customers by number.
  A row names no customer otherwise, so an old copy of it confirms no guess.
- Expired is what the clock says and is never stored. The clock does not run backwards (`time_floor_ms`).
- What was requested before a restore is expired: the row may be older than its use.
"""

import json
import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

from vault.core.engine import Engine
from vault.errors import ApprovalRequiredError, ApprovalUnknownError
from vault.model.controls import ApprovalAct, ApprovalInfo, ApprovalState
from vault.policy.decision import Grants
from vault.store.session import WriteSession
from vault.store.snapshot import Snapshot

APPROVALS: Final = "approvals"
KEPT_MS: Final = 400 * 86_400_000  # how long a request can be looked at

_HOW: Final = {
    ApprovalAct.SHRED: "cvault approvals request shred --file FILE --reason TEXT",
    ApprovalAct.EXPORT: "cvault approvals request export --file FILE --reason TEXT",
    ApprovalAct.ROTATE_EPOCH: "cvault approvals request rotate-epoch --reason TEXT",
    ApprovalAct.BREAK_GLASS: "cvault approvals request break-glass --purpose NAME --minutes N --reason TEXT",
}


@dataclass(frozen=True, slots=True)
class Approval:
    """One request. `state` is as stored; `Reading.state` says what the clock makes of it.

    Attributes:
        customers: numbers, ascending, for shred and export; `used` are those already exported.
        epoch: the one whose key would be destroyed.
        incarnation: how often the vault had been restored.
    """

    id: str
    act: ApprovalAct
    state: ApprovalState
    requester: str
    requester_id: int
    reason: str
    digest: str
    incarnation: int
    requested_ms: int
    expires_ms: int
    customers: tuple[int, ...] = ()
    used: tuple[int, ...] = ()
    epoch: int = 0
    purpose: str = ""
    minutes: int = 0
    grant_end_ms: int = 0
    decided_ms: int = 0
    decider: str = ""
    note: str = ""

    def state_at(self, now_ms: int, incarnation: int) -> ApprovalState:
        """What it is at a moment."""
        open_still = self.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
        if open_still and (now_ms >= self.expires_ms or incarnation != self.incarnation):
            return ApprovalState.EXPIRED
        return self.state

    def info(self, state: ApprovalState) -> ApprovalInfo:
        """As callers see it, without its customers."""
        return ApprovalInfo(
            approval_id=self.id,
            act=self.act,
            state=state,
            requester=self.requester,
            reason=self.reason,
            digest=self.digest,
            requested_ms=self.requested_ms,
            expires_ms=self.expires_ms,
            customers=len(self.customers),
            customers_used=len(self.used),
            purpose=self.purpose,
            minutes=self.minutes,
            grant_end_ms=self.grant_end_ms,
            decided_ms=self.decided_ms,
            decider=self.decider,
            note=self.note,
        )


def clock_ms(engine: Engine, reader: Snapshot | WriteSession) -> int:
    """Now, never before what any process has seen."""
    return max(engine.now_ms(), reader.meta.time_floor_ms)


def state_of(engine: Engine, reader: Snapshot | WriteSession, approval: Approval) -> ApprovalState:
    """What a request is now."""
    return approval.state_at(clock_ms(engine, reader), reader.meta.incarnation)


def read_approvals(engine: Engine, reader: Snapshot | WriteSession) -> Iterator[Approval]:
    """All requests that are kept, in no order."""
    for key, row in reader.rows(APPROVALS):
        yield _unpack(engine.rows.open(APPROVALS, key, row))


def find_approval(engine: Engine, reader: Snapshot | WriteSession, approval_id: str) -> Approval:
    """One request.

    Raises:
        ApprovalUnknownError: there is none with this id.
    """
    try:
        key = uuid.UUID(hex=approval_id).bytes
    except ValueError:
        key = b""
    body = engine.rows.get(reader, APPROVALS, key) if key else None
    if body is None:
        raise ApprovalUnknownError("no such request for approval")
    return _unpack(body)


def put_approval(engine: Engine, session: WriteSession, approval: Approval) -> None:
    """Writes a request."""
    body = json.dumps(asdict(approval), separators=(",", ":")).encode()
    engine.rows.put(session, APPROVALS, bytes.fromhex(approval.id), body)


def digest_of(
    engine: Engine, act: ApprovalAct, customers: Collection[int], *, epoch: int = 0, detail: str = ""
) -> str:
    """What a request with these parameters is bound to, 32 hex digits."""
    packed = b"".join(number.to_bytes(5, "big") for number in sorted(customers))
    parts = (act.value.encode(), epoch.to_bytes(4, "big"), detail.encode(), packed)
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return engine.secrets.request_mac(b"approval\0" + framed).hex()


def covering(
    engine: Engine,
    session: WriteSession,
    grants: Grants,
    approval_id: str,
    act: ApprovalAct,
    customers: Collection[int] = (),
) -> Approval:
    """The approval by which a principal may do an act now; `spend` it in the same session.

    Args:
        engine: the vault.
        session: in which the act is done.
        grants: who does it.
        approval_id: as given with the call; empty where none was.
        act: what is done.
        customers: numbers of whom it is done to. For SHRED, whoever was approved and is missing here has
            to be gone already; for EXPORT, one that has not been exported by this approval.

    Raises:
        ApprovalRequiredError: there is none, or it is not one for exactly this; the details say which.
        ApprovalUnknownError: there is none with this id.
    """
    if not approval_id:
        raise required(act, "no approval was given")
    approval = find_approval(engine, session, approval_id)
    if approval.requester_id != grants.id:
        raise required(act, "the approval was given to another principal")
    state = state_of(engine, session, approval)
    if state is not ApprovalState.APPROVED:
        raise required(act, f"the approval is {state.value}")
    if approval.act is not act or not _comprises(engine, session, approval, frozenset(customers)):
        raise required(act, "the approval is for other parameters")
    return approval


def spend(
    engine: Engine, session: WriteSession, approval: Approval, customers: Collection[int] = ()
) -> Approval:
    """Marks an approval as used; one for exports when its last customer was exported."""
    used = tuple(sorted({*approval.used, *customers}))
    whole = approval.act is not ApprovalAct.EXPORT or len(used) == len(approval.customers)
    state = ApprovalState.USED if whole else approval.state
    spent = replace(approval, used=used, state=state)
    put_approval(engine, session, spent)
    return spent


def required(act: ApprovalAct, why: str) -> ApprovalRequiredError:
    """The error that says that an approval is needed, why the one given does not do, and how to get one."""
    return ApprovalRequiredError(
        f"another principal has to approve this first ({why}); ask with `{_HOW[act]}`",
        act=act.value,
        approval=why,
        request_with=_HOW[act],
    )


def _comprises(engine: Engine, session: WriteSession, approval: Approval, customers: frozenset[int]) -> bool:
    approved = frozenset(approval.customers)
    match approval.act:
        case ApprovalAct.ROTATE_EPOCH:
            return approval.epoch == session.epoch
        case ApprovalAct.EXPORT:
            return customers <= approved and customers.isdisjoint(approval.used)
        case ApprovalAct.SHRED:
            # Whoever was shredded since, or by an earlier try of this very call, is not found any more.
            missing = approved - customers
            return customers <= approved and all(engine.book.is_shredded(session, n) for n in missing)  # type: ignore[arg-type]
        case ApprovalAct.BREAK_GLASS:
            return False  # not spent by a call: a grant stands in the registry


def _unpack(body: bytes) -> Approval:
    document = json.loads(body)
    return Approval(
        **document
        | {
            "act": ApprovalAct(document["act"]),
            "state": ApprovalState(document["state"]),
            "customers": tuple(document["customers"]),
            "used": tuple(document["used"]),
        }
    )
