"""Two-person approval: asking, approving, rejecting, cancelling, looking.

Rules:
- Whoever asks must be able to do the act but for the approval, and never approves it. Approving takes the
  action `approve`, asked again under the write lock.
- A request waits `valid_hours`; an approval holds as long again, for one use by the requester alone.
- Approving a break-glass request makes a grant in the requester's registry row, in the same commit, for its
  minutes: decisions of every worker see it from then on, and see it end. `sweep` clears it away later.
- Every step is an act in the access log, with the request's id, before it is acknowledged.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vault.core.approvals import (
    APPROVALS,
    KEPT_MS,
    Approval,
    clock_ms,
    digest_of,
    find_approval,
    put_approval,
    read_approvals,
    required,
    state_of,
)
from vault.core.directory import Directory
from vault.core.engine import Engine
from vault.core.fieldinput import check_limit
from vault.core.references import customer_token, require
from vault.core.replay import Part
from vault.core.suspending import put_principal, require_short
from vault.core.trail import Trail
from vault.errors import (
    ActionDeniedError,
    ApprovalUnknownError,
    InvalidRequestError,
    PurposeUnknownError,
)
from vault.model.access import Action
from vault.model.controls import ApprovalAct, ApprovalInfo, ApprovalRequest, ApprovalState
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, Page
from vault.policy.decision import Grants
from vault.store.session import WriteSession
from vault.store.snapshot import Snapshot

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_NEEDED: Final = {
    ApprovalAct.SHRED: Action.SHRED,
    ApprovalAct.EXPORT: Action.EXPORT,
    ApprovalAct.ROTATE_EPOCH: Action.ROTATE,
}
_OVERSEERS: Final = (Action.APPROVE, Action.AUDIT, Action.ADMIN)
_DECIDED: Final = {
    ApprovalState.APPROVED: "Approve",
    ApprovalState.REJECTED: "Reject",
    ApprovalState.CANCELLED: "Cancel",
}


class Approving:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def request(self, caller: Caller, wanted: ApprovalRequest, request_id: str) -> ApprovalInfo:
        """Asks another principal to approve an act.

        Raises:
            DeniedError: the caller could not do it with an approval either.
            CustomerUnknownError: a customer is not there.
            InvalidRequestError, LimitExceededError, PurposeUnknownError: a parameter is wrong.
        """
        engine = self._engine
        require_short(wanted.reason)
        if not wanted.reason.strip():
            raise InvalidRequestError("say why: the approver has to know", field="reason")
        check_limit("shred_batch", len(wanted.customers), engine.settings.limits.shred_batch)
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            _require_able(grants, wanted)
            numbers = sorted({require(engine, grants, keys, ref) for ref in wanted.customers})
        request = engine.request(grants.id, request_id, "RequestApproval", _body(wanted))

        def job(session: WriteSession) -> ApprovalInfo:
            directory = engine.directory(session)
            grants = directory.access.principal(caller.principal)
            _require_able(grants, wanted)
            remembered = request.recall(session)
            if remembered is not None:
                return self._told(session, find_approval(engine, session, remembered))
            made = self._made(session, directory, grants, wanted, numbers)
            self._trail.act(
                grants,
                "RequestApproval",
                approval=made.id,
                act=made.act.value,
                customers=len(numbers),
                purpose=made.purpose,
                minutes=made.minutes,
            )
            put_approval(engine, session, made)
            request.remember(session, made.id)
            return self._told(session, made)

        return engine.committer.submit(job, deadline=caller.deadline_monotonic)

    def approve(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Approves another principal's request.

        Raises:
            ApprovalUnknownError: there is no such request.
            ActionDeniedError: the caller may not approve, or asked for it.
            InvalidRequestError: it is not waiting any more.
        """
        return self._decide(caller, approval_id, note, request_id, ApprovalState.APPROVED)

    def reject(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Refuses another principal's request. Raises as `approve` does."""
        return self._decide(caller, approval_id, note, request_id, ApprovalState.REJECTED)

    def cancel(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Withdraws a request, or ends what it gave; for whoever asked, may approve or administers.

        Raises:
            ApprovalUnknownError: there is no such request, or it is none of the caller's business.
            InvalidRequestError: there is nothing left to be cancelled.
        """
        return self._decide(caller, approval_id, note, request_id, ApprovalState.CANCELLED)

    def get(self, caller: Caller, approval_id: str) -> ApprovalInfo:
        """One request, with the tokens of its customers in the caller's first domain.

        Raises:
            ApprovalUnknownError: there is none, or it is none of the caller's business.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            approval = find_approval(engine, snapshot, approval_id)
            _require_sight(grants, approval)
            info = self._told(snapshot, approval)
        if grants.default_domain is None:
            return info
        domain = grants.default_domain
        tokens = [customer_token(engine, domain, CustomerNo(number)) for number in approval.customers]
        return replace(info, customer_tokens=tokens)

    def list(
        self, caller: Caller, state: ApprovalState | None, page_size: int, page_token: str
    ) -> Page[ApprovalInfo]:
        """Requests, newest first: all for whoever approves, audits or administers, else the caller's own."""
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            seen = [
                self._told(snapshot, each)
                for each in read_approvals(engine, snapshot)
                if each.requester_id == grants.id or any(map(grants.may, _OVERSEERS))
            ]
        found = [each for each in seen if state is None or each.state is state]
        found.sort(key=_place, reverse=True)
        later = [each for each in found if not page_token or _place(each) < page_token]
        page = later[:page_size]
        return Page(page, _place(page[-1]) if len(later) > len(page) else "")

    def require_grant(self, caller: Caller, purpose: str) -> None:
        """Refuses a read for a break-glass purpose without a live grant, and says how to get one.

        Decisions look at the grant, too, in the read's own transaction: this adds what a caller can do.

        Raises:
            ApprovalRequiredError: there is no grant.
        """
        engine = self._engine
        newest = engine.directories.newest
        declared = newest.access.policy.purposes.get(purpose) if newest is not None else None
        if declared is None or not declared.break_glass:
            return
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            if grants.breaks_glass(purpose) and grants.granted_until(purpose) <= clock_ms(engine, snapshot):
                raise required(ApprovalAct.BREAK_GLASS, "there is no live grant")

    def _made(
        self,
        session: WriteSession,
        directory: Directory,
        grants: Grants,
        wanted: ApprovalRequest,
        numbers: Sequence[int],
    ) -> Approval:
        engine, now = self._engine, clock_ms(self._engine, session)
        controls = directory.access.policy.controls.approvals
        if wanted.act is ApprovalAct.BREAK_GLASS:
            _require_purpose(directory, grants, wanted, controls.break_glass_minutes)
        epoch = session.epoch if wanted.act is ApprovalAct.ROTATE_EPOCH else 0
        detail = f"{wanted.purpose}\n{wanted.minutes}" if wanted.purpose else ""
        return Approval(
            id=uuid.uuid4().hex,
            act=wanted.act,
            state=ApprovalState.PENDING,
            requester=grants.name,
            requester_id=grants.id,
            reason=wanted.reason,
            digest=digest_of(engine, wanted.act, numbers, epoch=epoch, detail=detail),
            incarnation=session.meta.incarnation,
            requested_ms=now,
            expires_ms=now + controls.valid_hours * _HOUR_MS,
            customers=tuple(numbers),
            epoch=epoch,
            purpose=wanted.purpose,
            minutes=wanted.minutes,
        )

    def _decide(
        self, caller: Caller, approval_id: str, note: str, request_id: str, outcome: ApprovalState
    ) -> ApprovalInfo:
        engine, act = self._engine, _DECIDED[outcome]
        require_short(note)
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        request = engine.request(grants.id, request_id, act, [approval_id, note])

        def job(session: WriteSession) -> ApprovalInfo:
            directory = engine.directory(session)
            grants = directory.access.principal(caller.principal)
            approval = find_approval(engine, session, approval_id)
            _require_part(grants, approval, outcome)
            if request.recall(session) is not None:
                return self._told(session, approval)
            state, now = state_of(engine, session, approval), clock_ms(engine, session)
            cancels = outcome is ApprovalState.CANCELLED and state is ApprovalState.APPROVED
            if state is not ApprovalState.PENDING and not cancels:
                raise InvalidRequestError(
                    f"the request is {state.value}", field="approval_id", state=state.value
                )
            decided = replace(approval, state=outcome, decided_ms=now, decider=grants.name, note=note)
            if outcome is ApprovalState.APPROVED:
                decided = _holding(decided, directory, now)
            self._trail.act(
                grants,
                act,
                approval=approval.id,
                act=approval.act.value,
                requester=approval.requester,
                customers=len(approval.customers),
                purpose=approval.purpose,
            )
            put_approval(engine, session, decided)
            if decided.act is ApprovalAct.BREAK_GLASS and outcome is not ApprovalState.REJECTED:
                self._grant(session, directory, decided)
            request.remember(session, 1)
            return self._told(session, decided)

        return engine.committer.submit(job, deadline=caller.deadline_monotonic)

    def _grant(self, session: WriteSession, directory: Directory, approval: Approval) -> None:
        """Enters a break-glass grant into the requester's registry row, or strikes it out."""
        known = directory.principals.get(approval.requester)
        if known is None:
            return  # lost in a restore; the name is then registered anew, with another number
        granted = dict(known.break_glass)
        granted.pop(approval.purpose, None)
        if approval.state is ApprovalState.APPROVED:
            granted[approval.purpose] = approval.grant_end_ms
        if granted != known.break_glass:
            put_principal(self._engine, session, replace(known, break_glass=granted))

    def _told(self, reader: Snapshot | WriteSession, approval: Approval) -> ApprovalInfo:
        return approval.info(state_of(self._engine, reader, approval))


def sweep(engine: Engine) -> int:
    """Clears away grants that ended, and requests that were kept long enough; returns how many."""
    with engine.store.snapshot() as snapshot:
        if not any(_overdue(engine, snapshot)):
            return 0

    def job(session: WriteSession) -> int:
        old, ended = _overdue(engine, session)
        principals = engine.directory(session).principals
        for approval_id in old:
            session.delete_row(APPROVALS, bytes.fromhex(approval_id))
        for name in {name for name, _ in ended}:
            granted = principals[name].break_glass
            kept = {purpose: end for purpose, end in granted.items() if (name, purpose) not in ended}
            put_principal(engine, session, replace(principals[name], break_glass=kept))
        return len(old) + len(ended)

    return engine.committer.submit(job)


def _overdue(engine: Engine, reader: Snapshot | WriteSession) -> tuple[list[str], set[tuple[str, str]]]:
    """Requests to be forgotten, and grants (principal, purpose) without an approval that still holds."""
    now, requests = clock_ms(engine, reader), list(read_approvals(engine, reader))
    live = {
        (each.requester_id, each.purpose)
        for each in requests
        if each.act is ApprovalAct.BREAK_GLASS and state_of(engine, reader, each) is ApprovalState.APPROVED
    }
    ended = {
        (principal.name, purpose)
        for principal in engine.directory(reader).principals.values()
        for purpose in principal.break_glass
        if (principal.id, purpose) not in live
    }
    return [each.id for each in requests if each.requested_ms < now - KEPT_MS], ended


def _holding(approval: Approval, directory: Directory, now_ms: int) -> Approval:
    """An approval with the time for which it holds."""
    if approval.act is ApprovalAct.BREAK_GLASS:
        end_ms = now_ms + approval.minutes * _MINUTE_MS
        return replace(approval, grant_end_ms=end_ms, expires_ms=end_ms)
    hours = directory.access.policy.controls.approvals.valid_hours
    return replace(approval, expires_ms=now_ms + hours * _HOUR_MS)


def _require_able(grants: Grants, wanted: ApprovalRequest) -> None:
    """Raises unless the principal could do the act if only it were approved."""
    needed = _NEEDED.get(wanted.act)
    if needed is not None:
        grants.require(needed)
    if (wanted.act in (ApprovalAct.SHRED, ApprovalAct.EXPORT)) != bool(wanted.customers):
        raise InvalidRequestError("a shred or export names customers, other acts do not", field="customers")


def _require_purpose(directory: Directory, grants: Grants, wanted: ApprovalRequest, most: int) -> None:
    if wanted.purpose not in directory.access.policy.purposes:
        raise PurposeUnknownError("the policy declares no such purpose")
    if not grants.breaks_glass(wanted.purpose):
        raise InvalidRequestError("reads for this purpose need no approval", field="purpose")
    if not 1 <= wanted.minutes <= most:
        raise InvalidRequestError(f"a grant lives 1 to {most} minutes", field="minutes")


def _require_part(grants: Grants, approval: Approval, outcome: ApprovalState) -> None:
    """Raises unless the principal may decide this request so."""
    own = approval.requester_id == grants.id
    if outcome is ApprovalState.CANCELLED:
        if not own and not grants.may(Action.APPROVE) and not grants.may(Action.ADMIN):
            raise ApprovalUnknownError("no such request for approval")
        return
    grants.require(Action.APPROVE)
    if own:
        raise ActionDeniedError("nobody decides on what they asked for themselves", action="approve")


def _require_sight(grants: Grants, approval: Approval) -> None:
    if approval.requester_id != grants.id and not any(map(grants.may, _OVERSEERS)):
        raise ApprovalUnknownError("no such request for approval")


def _place(info: ApprovalInfo) -> str:
    return f"{info.requested_ms:015d}{info.approval_id}"


def _body(wanted: ApprovalRequest) -> list[Part]:
    body: list[Part] = [wanted.act.value, wanted.reason, wanted.purpose, wanted.minutes.to_bytes(8, "big")]
    for ref in wanted.customers:
        body += [ref.external_id, (ref.token or "").lower()]
    return body
