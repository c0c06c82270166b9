"""Verbs of `ApprovalService`, of budgets and suspensions, and of who was read."""

from collections.abc import Iterable
from datetime import datetime

from customervault import _convert, results
from customervault._exchange import Exchange, Page, Request, request_id_or_new
from customervault.control_results import (
    Approval,
    ApprovalAct,
    ApprovalState,
    BudgetUse,
    CustomersReadPage,
)
from customervault.inputs import CustomerRef, as_ref
from customervault.v1 import approval_service_pb2 as api
from customervault.v1 import audit_service_pb2 as audit_api
from customervault.v1 import policy_service_pb2 as policy_api

_APPROVALS = "/customervault.v1.ApprovalService/"
_AUDIT = "/customervault.v1.AuditService/"
_POLICY = "/customervault.v1.PolicyService/"


def request_approval(
    act: ApprovalAct,
    *,
    reason: str,
    customers: Iterable[str | CustomerRef],
    purpose: str,
    minutes: int,
    request_id: str | None,
) -> Exchange[Approval]:
    """Ask another principal to approve an act."""
    message = api.RequestApprovalRequest(reason=reason, request_id=request_id_or_new(request_id))
    named = api.ApprovalCustomers(customers=[_convert.ref_message(as_ref(each)) for each in customers])
    if act == "shred":
        message.shred.CopyFrom(named)
    elif act == "export":
        message.export.CopyFrom(named)
    elif act == "rotate_epoch":
        message.rotate_epoch.SetInParent()
    elif act == "break_glass":
        message.break_glass.CopyFrom(api.ApprovalBreakGlass(purpose=purpose, minutes=minutes))
    else:
        raise ValueError("act is one of shred, export, rotate_epoch and break_glass")
    reply: api.RequestApprovalResponse = yield Request(
        _APPROVALS + "RequestApproval", message, api.RequestApprovalResponse
    )
    return _convert.approval(reply.approval)


def get_approval(approval_id: str) -> Exchange[Approval]:
    """One request."""
    reply: api.GetApprovalResponse = yield Request(
        _APPROVALS + "GetApproval", api.GetApprovalRequest(approval_id=approval_id), api.GetApprovalResponse
    )
    return _convert.approval(reply.approval)


def approval_page(
    page_token: str, *, state: ApprovalState | None, page_size: int
) -> Exchange[Page[Approval]]:
    """One page of all requests."""
    message = api.ListApprovalsRequest(
        state=_convert.approval_state_number(state), page_size=page_size, page_token=page_token
    )
    reply: api.ListApprovalsResponse = yield Request(
        _APPROVALS + "ListApprovals", message, api.ListApprovalsResponse
    )
    return [_convert.approval(found) for found in reply.approvals], reply.next_page_token


def approve(approval_id: str, *, note: str, request_id: str | None) -> Exchange[Approval]:
    """Approve a request."""
    message = api.ApproveRequest(approval_id=approval_id, note=note, request_id=request_id_or_new(request_id))
    reply: api.ApproveResponse = yield Request(_APPROVALS + "Approve", message, api.ApproveResponse)
    return _convert.approval(reply.approval)


def reject(approval_id: str, *, note: str, request_id: str | None) -> Exchange[Approval]:
    """Refuse a request."""
    message = api.RejectRequest(approval_id=approval_id, note=note, request_id=request_id_or_new(request_id))
    reply: api.RejectResponse = yield Request(_APPROVALS + "Reject", message, api.RejectResponse)
    return _convert.approval(reply.approval)


def cancel_approval(approval_id: str, *, note: str, request_id: str | None) -> Exchange[Approval]:
    """Withdraw a request, or end what it gave."""
    message = api.CancelRequest(approval_id=approval_id, note=note, request_id=request_id_or_new(request_id))
    reply: api.CancelResponse = yield Request(_APPROVALS + "Cancel", message, api.CancelResponse)
    return _convert.approval(reply.approval)


def suspend_principal(name: str, *, reason: str, request_id: str | None) -> Exchange[results.Principal]:
    """Suspend a principal."""
    message = policy_api.SuspendPrincipalRequest(
        name=name, reason=reason, request_id=request_id_or_new(request_id)
    )
    reply: policy_api.SuspendPrincipalResponse = yield Request(
        _POLICY + "SuspendPrincipal", message, policy_api.SuspendPrincipalResponse
    )
    return _convert.principal(reply.principal)


def resume_principal(name: str, *, reason: str, request_id: str | None) -> Exchange[results.Principal]:
    """End a suspension."""
    message = policy_api.ResumePrincipalRequest(
        name=name, reason=reason, request_id=request_id_or_new(request_id)
    )
    reply: policy_api.ResumePrincipalResponse = yield Request(
        _POLICY + "ResumePrincipal", message, policy_api.ResumePrincipalResponse
    )
    return _convert.principal(reply.principal)


def budget_use(principal: str) -> Exchange[list[BudgetUse]]:
    """How much of its budgets a principal has used."""
    reply: policy_api.GetBudgetUseResponse = yield Request(
        _POLICY + "GetBudgetUse",
        policy_api.GetBudgetUseRequest(principal=principal),
        policy_api.GetBudgetUseResponse,
    )
    return [_convert.budget_use(each) for each in reply.uses]


def customers_read_page(
    page_token: str,
    *,
    principal: str,
    start: datetime | None,
    end: datetime | None,
    domain: str,
    page_size: int,
) -> Exchange[Page[CustomersReadPage]]:
    """One page of whom a principal was shown a value of."""
    message = audit_api.ListCustomersReadRequest(
        principal=principal,
        start_time=_convert.timestamp(start),
        end_time=_convert.timestamp(end),
        domain=domain,
        page_size=page_size,
        page_token=page_token,
    )
    reply: audit_api.ListCustomersReadResponse = yield Request(
        _AUDIT + "ListCustomersRead", message, audit_api.ListCustomersReadResponse
    )
    page = CustomersReadPage(tuple(reply.customer_tokens), reply.locators, reply.locators_found)
    return [page], reply.next_page_token
