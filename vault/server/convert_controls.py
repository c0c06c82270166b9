"""Messages of approvals, budgets and customers read, to the model and back; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from customervault.v1 import approval_service_pb2 as approval_pb
from customervault.v1 import audit_service_pb2 as audit_pb
from customervault.v1 import policy_service_pb2 as policy_pb

from vault.errors import InvalidRequestError
from vault.model.controls import (
    ApprovalAct,
    ApprovalInfo,
    ApprovalRequest,
    ApprovalState,
    BudgetKind,
    BudgetUse,
    CustomersRead,
    CustomersReadQuery,
)
from vault.server.convert import timestamp, to_page_size, to_ref

_ACTS = {
    ApprovalAct.SHRED: approval_pb.APPROVAL_ACT_SHRED,
    ApprovalAct.EXPORT: approval_pb.APPROVAL_ACT_EXPORT,
    ApprovalAct.ROTATE_EPOCH: approval_pb.APPROVAL_ACT_ROTATE_EPOCH,
    ApprovalAct.BREAK_GLASS: approval_pb.APPROVAL_ACT_BREAK_GLASS,
}
_STATES = {
    ApprovalState.PENDING: approval_pb.APPROVAL_STATE_PENDING,
    ApprovalState.APPROVED: approval_pb.APPROVAL_STATE_APPROVED,
    ApprovalState.REJECTED: approval_pb.APPROVAL_STATE_REJECTED,
    ApprovalState.CANCELLED: approval_pb.APPROVAL_STATE_CANCELLED,
    ApprovalState.USED: approval_pb.APPROVAL_STATE_USED,
    ApprovalState.EXPIRED: approval_pb.APPROVAL_STATE_EXPIRED,
}
_KINDS = {
    BudgetKind.READ: policy_pb.BUDGET_KIND_READ,
    BudgetKind.COMPARE: policy_pb.BUDGET_KIND_COMPARE,
}


def to_approval_request(message: approval_pb.RequestApprovalRequest) -> ApprovalRequest:
    """Which act is to be approved."""
    reason = message.reason
    match message.WhichOneof("act"):
        case "shred":
            customers = [to_ref(each) for each in message.shred.customers]
            return ApprovalRequest(ApprovalAct.SHRED, reason, customers)
        case "export":
            customers = [to_ref(each) for each in message.export.customers]
            return ApprovalRequest(ApprovalAct.EXPORT, reason, customers)
        case "rotate_epoch":
            return ApprovalRequest(ApprovalAct.ROTATE_EPOCH, reason)
        case "break_glass":
            asked = message.break_glass
            return ApprovalRequest(
                ApprovalAct.BREAK_GLASS, reason, purpose=asked.purpose, minutes=asked.minutes
            )
    raise InvalidRequestError("act: say what is to be approved", field="act")


def to_approval_state(number: int) -> ApprovalState | None:
    """The state that is asked for; unspecified means any."""
    if not number:
        return None
    for state, known in _STATES.items():
        if known == number:
            return state
    raise InvalidRequestError("state: unknown number", field="state")


def to_customers_read_query(message: audit_pb.ListCustomersReadRequest) -> CustomersReadQuery:
    """Whose reads are asked for, and of when."""
    return CustomersReadQuery(
        principal=message.principal,
        start_ms=message.start_time.ToMilliseconds(),
        end_ms=message.end_time.ToMilliseconds(),
        domain=message.domain,
        page_size=to_page_size(message.page_size),
        page_token=message.page_token,
    )


def approval(info: ApprovalInfo) -> approval_pb.Approval:
    return approval_pb.Approval(
        approval_id=info.approval_id,
        act=_ACTS[info.act],
        state=_STATES[info.state],
        requester=info.requester,
        reason=info.reason,
        digest=info.digest,
        customers=info.customers,
        customers_used=info.customers_used,
        customer_tokens=info.customer_tokens,
        purpose=info.purpose,
        minutes=info.minutes,
        grant_end_time=timestamp(info.grant_end_ms),
        request_time=timestamp(info.requested_ms),
        expire_time=timestamp(info.expires_ms),
        decide_time=timestamp(info.decided_ms),
        decider=info.decider,
        note=info.note,
    )


def budget_use(use: BudgetUse) -> policy_pb.BudgetUse:
    return policy_pb.BudgetUse(
        budget=use.budget,
        kind=_KINDS[use.kind],
        purposes=use.purposes,
        start_time=timestamp(use.start_ms),
        end_time=timestamp(use.end_ms),
        customers=use.customers,
        alert_customers=use.alert_customers,
        limit_customers=use.limit_customers,
        alerted=use.alerted,
        exceeded=use.exceeded,
    )


def customers_read(page: CustomersRead) -> audit_pb.ListCustomersReadResponse:
    return audit_pb.ListCustomersReadResponse(
        customer_tokens=page.customer_tokens,
        next_page_token=page.next_page_token,
        locators=page.locators,
        locators_found=page.locators_found,
    )
