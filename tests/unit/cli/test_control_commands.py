"""`cvault approvals`, suspensions, budgets and who was read, against a scripted vault."""

import json
from pathlib import Path

import grpc
import pytest
from customervault.v1 import approval_service_pb2 as api
from customervault.v1 import audit_service_pb2, customer_service_pb2, key_service_pb2, policy_service_pb2
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.cli.conftest import Cvault
from tests.unit.client.scripted_vault import Failure, ScriptedVault

STAMP = Timestamp(seconds=1767323045)
ID = "0f9b3c1e8d7a4b5c9e2f1a0b3c4d5e6f"
TOKEN = f"cv1_{7:032x}"
APPROVAL = api.Approval(
    approval_id=ID,
    act=api.APPROVAL_ACT_SHRED,
    state=api.APPROVAL_STATE_PENDING,
    requester="eraser",
    reason="they left",
    digest="d1",
    customers=2,
    customer_tokens=[TOKEN],
    request_time=STAMP,
    expire_time=STAMP,
)


@pytest.mark.parametrize("act", ["shred", "export"])
def test_an_approval_for_customers_is_asked_for(
    cvault: Cvault, server: ScriptedVault, tmp_path: Path, act: str
) -> None:
    server.script("RequestApproval", api.RequestApprovalResponse(approval=APPROVAL))
    (tmp_path / "ids.txt").write_text(f"customer-1\n{TOKEN}\n")
    ran = cvault("approvals", "request", act, "--file", tmp_path / "ids.txt", "--reason", "they left")
    assert (ran.code, ran.err) == (0, "")
    assert ID in ran.out
    (request,) = server.requests("RequestApproval")
    assert (request.WhichOneof("act"), request.reason) == (act, "they left")
    first, second = getattr(request, act).customers
    assert (first.external_id, second.token) == ("customer-1", TOKEN)


def test_the_other_acts_are_asked_for(cvault: Cvault, server: ScriptedVault) -> None:
    server.script("RequestApproval", api.RequestApprovalResponse(approval=APPROVAL))
    server.script("RequestApproval", api.RequestApprovalResponse(approval=APPROVAL))
    assert cvault("approvals", "request", "rotate-epoch", "--reason", "due", "--json").document["state"] == (
        "pending"
    )
    glass = ("--purpose", "emergency", "--minutes", "20", "--reason", "fire")
    assert cvault("approvals", "request", "break-glass", *glass).code == 0
    rotation, grant = server.requests("RequestApproval")
    assert rotation.WhichOneof("act") == "rotate_epoch"
    assert (grant.break_glass.purpose, grant.break_glass.minutes) == ("emergency", 20)


@pytest.mark.parametrize("words", [("shred", "c1"), ("export", "c1"), ("rotate-epoch",), ("break-glass",)])
@pytest.mark.usefixtures("server")
def test_whoever_asks_says_why(cvault: Cvault, words: tuple[str, ...]) -> None:
    ran = cvault("approvals", "request", *words)
    assert (ran.code, ran.err) == (2, "error: say why: --reason TEXT\n")


def test_requests_are_listed_and_shown(cvault: Cvault, server: ScriptedVault) -> None:
    for _ in range(2):
        server.script("ListApprovals", api.ListApprovalsResponse(approvals=[APPROVAL]))
    server.script("GetApproval", api.GetApprovalResponse(approval=APPROVAL))
    ran = cvault("approvals", "list", "--state", "pending")
    assert ID in ran.out
    assert "2 customers" in ran.out
    assert server.requests("ListApprovals")[0].state == api.APPROVAL_STATE_PENDING
    assert cvault("approvals", "list", "--json").document["requester"] == "eraser"
    assert TOKEN in cvault("approvals", "show", ID).out
    assert cvault("approvals", "list", "--state", "odd").code == 2


@pytest.mark.parametrize(
    ("word", "method", "answer"),
    [
        ("approve", "Approve", api.ApproveResponse),
        ("reject", "Reject", api.RejectResponse),
        ("cancel", "Cancel", api.CancelResponse),
    ],
)
def test_requests_are_decided(cvault: Cvault, server: ScriptedVault, word: str, method: str, answer) -> None:
    decided = api.Approval(decider="anna", note="seen", grant_end_time=STAMP, decide_time=STAMP)
    decided.MergeFrom(APPROVAL)
    server.script(method, answer(approval=decided))
    ran = cvault("approvals", word, ID, "--note", "seen")
    assert ran.code == 0
    assert "anna" in ran.out
    (request,) = server.requests(method)
    assert (request.approval_id, request.note) == (ID, "seen")


def test_an_approval_goes_with_the_act(cvault: Cvault, server: ScriptedVault) -> None:
    server.script(
        "BatchShredCustomers",
        customer_service_pb2.BatchShredCustomersResponse(
            results=[customer_service_pb2.ShredResult(), customer_service_pb2.ShredResult()]
        ),
    )
    server.script("ExportCustomer", customer_service_pb2.ExportCustomerResponse())
    rotation = Operation(name="operations/1", done=True)
    rotation.metadata.Pack(key_service_pb2.RotateEpochMetadata(epoch=2))
    server.script("RotateEpoch", rotation)
    cvault("shred", "c1", "c2", "--approval", ID, "--yes")
    cvault("customers", "export", "c1", "--purpose", "p", "--approval", ID)
    cvault("keys", "rotate", "--approval", ID)
    for method in ("BatchShredCustomers", "ExportCustomer", "RotateEpoch"):
        assert [each.approval_id for each in server.requests(method)] == [ID]


def test_a_missing_approval_says_how_to_ask(cvault: Cvault, server: ScriptedVault) -> None:
    message = "another principal has to approve this first; ask with `cvault approvals request shred`"
    server.script(
        "BatchShredCustomers", Failure(grpc.StatusCode.FAILED_PRECONDITION, "APPROVAL_REQUIRED", message)
    )
    ran = cvault("shred", "c1", "c2", "--yes")
    assert (ran.code, ran.err) == (3, f"error: {message} [APPROVAL_REQUIRED]\n")


def test_principals_are_suspended_and_resumed(cvault: Cvault, server: ScriptedVault) -> None:
    principal = policy_service_pb2.Principal(
        name="crm", state=policy_service_pb2.PRINCIPAL_STATE_SUSPENDED, suspend_time=STAMP
    )
    server.script("SuspendPrincipal", policy_service_pb2.SuspendPrincipalResponse(principal=principal))
    server.script("ResumePrincipal", policy_service_pb2.ResumePrincipalResponse(principal=principal))
    shown = cvault("principals", "suspend", "crm", "--reason", "odd", "--json").document
    assert (shown["state"], shown["suspended"]) == ("suspended", "2026-01-02T03:04:05Z")
    assert cvault("principals", "resume", "crm").out == "resumed crm\n"
    (request,) = server.requests("SuspendPrincipal")
    assert (request.name, request.reason) == ("crm", "odd")


def test_the_use_of_budgets_is_shown(cvault: Cvault, server: ScriptedVault) -> None:
    use = policy_service_pb2.BudgetUse(
        budget="reading",
        kind=policy_service_pb2.BUDGET_KIND_READ,
        purposes=["support"],
        end_time=STAMP,
        customers=800,
        alert_customers=800,
        limit_customers=1000,
        alerted=True,
    )
    for _ in range(2):
        server.script("GetBudgetUse", policy_service_pb2.GetBudgetUseResponse(uses=[use]))
    assert "800 of 1,000" in cvault("principals", "budget", "crm").out
    assert cvault("principals", "budget", "crm", "--json").document["alerted"] is True


def test_whom_a_principal_read_is_listed_with_what_is_gone(cvault: Cvault, server: ScriptedVault) -> None:
    def page(tokens: list[str], found: int, following: str) -> audit_service_pb2.ListCustomersReadResponse:
        return audit_service_pb2.ListCustomersReadResponse(
            customer_tokens=tokens, next_page_token=following, locators=4, locators_found=found
        )

    pages = {"": page([TOKEN], 2, "more"), "more": page([], 0, "still"), "still": page([TOKEN], 1, "")}
    server.on("ListCustomersRead", lambda request: pages[request.page_token])
    ran = cvault("audit", "customers", "--principal", "crm", "--since", "2h")
    assert (ran.code, ran.out) == (0, f"{TOKEN}\n{TOKEN}\n")
    assert ran.err == "2 customers; 1 name in the log belong to customers shredded since\n"
    lines = cvault("audit", "customers", "--principal", "crm", "--json").out.splitlines()
    assert json.loads(lines[-1]) == {"customers": 2, "gone": 1}
    assert cvault("audit", "customers").code == 2
