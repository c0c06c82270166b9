"""`AuditService`: who read what, and why."""

from customervault.v1 import audit_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert_audit, convert_controls, convert_reach


class AuditService:
    """Reads the access log."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def list_access(self, caller: Caller, request: pb.ListAccessRequest) -> pb.ListAccessResponse:
        """Accesses, newest first or in the order recorded."""
        page = self._vault.list_access(caller, convert_audit.to_access_query(request))
        return pb.ListAccessResponse(
            accesses=[convert_audit.access(each) for each in page.items],
            next_page_token=page.next_page_token,
            complete=page.is_complete,
        )

    def list_customers_read(
        self, caller: Caller, request: pb.ListCustomersReadRequest
    ) -> pb.ListCustomersReadResponse:
        """Of whom a principal was shown a value."""
        query = convert_controls.to_customers_read_query(request)
        return convert_controls.customers_read(self._vault.customers_read(caller, query))

    def get_blast_radius(
        self, caller: Caller, request: pb.GetBlastRadiusRequest
    ) -> pb.GetBlastRadiusResponse:
        """Which customers' values were read."""
        query = convert_reach.to_blast_query(request)
        return convert_reach.blast_radius(self._vault.blast_radius(caller, query))

    def get_access_history(
        self, caller: Caller, request: pb.GetAccessHistoryRequest
    ) -> pb.GetAccessHistoryResponse:
        """What was done with one customer's data."""
        query = convert_reach.to_history_query(request)
        return convert_reach.access_history(self._vault.access_history(caller, query))

    def get_audit_status(
        self, caller: Caller, request: pb.GetAuditStatusRequest
    ) -> pb.GetAuditStatusResponse:
        """State of the log."""
        del request  # it has no fields
        return convert_audit.audit_status(self._vault.audit_status(caller))

    def get_inclusion_proof(
        self, caller: Caller, request: pb.GetInclusionProofRequest
    ) -> pb.GetInclusionProofResponse:
        """That a record is sealed."""
        return convert_audit.inclusion_proof(self._vault.inclusion_proof(caller, request.leaf))

    def get_consistency_proof(
        self, caller: Caller, request: pb.GetConsistencyProofRequest
    ) -> pb.GetConsistencyProofResponse:
        """That the sealed log only grew."""
        return convert_audit.consistency_proof(self._vault.consistency_proof(caller, request.old_size))
