"""`ApprovalService`: what one principal may do only with another one's consent."""

from customervault.v1 import approval_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert, convert_controls


class ApprovalService:
    """Two-person approval of dangerous acts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def request_approval(
        self, caller: Caller, request: pb.RequestApprovalRequest
    ) -> pb.RequestApprovalResponse:
        """Asks another principal."""
        wanted = convert_controls.to_approval_request(request)
        info = self._vault.request_approval(caller, wanted, request.request_id)
        return pb.RequestApprovalResponse(approval=convert_controls.approval(info))

    def get_approval(self, caller: Caller, request: pb.GetApprovalRequest) -> pb.GetApprovalResponse:
        """One request."""
        info = self._vault.get_approval(caller, request.approval_id)
        return pb.GetApprovalResponse(approval=convert_controls.approval(info))

    def list_approvals(self, caller: Caller, request: pb.ListApprovalsRequest) -> pb.ListApprovalsResponse:
        """Requests, newest first."""
        state = convert_controls.to_approval_state(request.state)
        page = self._vault.list_approvals(
            caller, state, convert.to_page_size(request.page_size), request.page_token
        )
        return pb.ListApprovalsResponse(
            approvals=[convert_controls.approval(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def approve(self, caller: Caller, request: pb.ApproveRequest) -> pb.ApproveResponse:
        """Approves a request."""
        info = self._vault.approve(caller, request.approval_id, request.note, request.request_id)
        return pb.ApproveResponse(approval=convert_controls.approval(info))

    def reject(self, caller: Caller, request: pb.RejectRequest) -> pb.RejectResponse:
        """Refuses a request."""
        info = self._vault.reject(caller, request.approval_id, request.note, request.request_id)
        return pb.RejectResponse(approval=convert_controls.approval(info))

    def cancel(self, caller: Caller, request: pb.CancelRequest) -> pb.CancelResponse:
        """Withdraws a request, or ends what it gave."""
        info = self._vault.cancel_approval(caller, request.approval_id, request.note, request.request_id)
        return pb.CancelResponse(approval=convert_controls.approval(info))
