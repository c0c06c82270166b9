"""`PolicyService`: who may do what, and who they are."""

from customervault.v1 import policy_service_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert, convert_controls, convert_policy


class PolicyService:
    """Administers policy and principals."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def get_policy(self, caller: Caller, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
        """The policy in force."""
        return convert_policy.policy(self._vault.get_policy(caller, request.version))

    def list_policy_versions(
        self, caller: Caller, request: pb.ListPolicyVersionsRequest
    ) -> pb.ListPolicyVersionsResponse:
        """All versions of the policy."""
        page = self._vault.list_policy_versions(
            caller, convert.to_page_size(request.page_size), request.page_token
        )
        return pb.ListPolicyVersionsResponse(
            versions=[convert_policy.policy_version(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def explain(self, caller: Caller, request: pb.ExplainRequest) -> pb.ExplainResponse:
        """Why a read is answered as it is."""
        return convert_policy.explanation(
            self._vault.explain(caller, convert_policy.to_explain_query(request))
        )

    def apply_policy(self, caller: Caller, request: pb.ApplyPolicyRequest) -> pb.ApplyPolicyResponse:
        """Validates a policy and puts it in force."""
        policy = self._vault.apply_policy(
            caller, request.document, validate_only=request.validate_only, request_id=request.request_id
        )
        return pb.ApplyPolicyResponse(
            version=policy.version, warnings=policy.warnings, changes=policy.changes
        )

    def create_principal(
        self, caller: Caller, request: pb.CreatePrincipalRequest
    ) -> pb.CreatePrincipalResponse:
        """Registers a principal."""
        info = self._vault.create_principal(
            caller,
            request.name,
            request.certificate_request_pem,
            request.certificate_days,
            request.request_id,
        )
        return pb.CreatePrincipalResponse(
            principal=convert_policy.principal(info), certificate_pem=info.certificate_pem, ca_pem=info.ca_pem
        )

    def list_principals(self, caller: Caller, request: pb.ListPrincipalsRequest) -> pb.ListPrincipalsResponse:
        """All principals."""
        page = self._vault.list_principals(
            caller, convert.to_page_size(request.page_size), request.page_token
        )
        return pb.ListPrincipalsResponse(
            principals=[convert_policy.principal(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def revoke_principal(
        self, caller: Caller, request: pb.RevokePrincipalRequest
    ) -> pb.RevokePrincipalResponse:
        """Ends a principal's access."""
        info = self._vault.revoke_principal(caller, request.name, request.request_id)
        return pb.RevokePrincipalResponse(principal=convert_policy.principal(info))

    def suspend_principal(
        self, caller: Caller, request: pb.SuspendPrincipalRequest
    ) -> pb.SuspendPrincipalResponse:
        """Suspends a principal."""
        info = self._vault.suspend_principal(caller, request.name, request.reason, request.request_id)
        return pb.SuspendPrincipalResponse(principal=convert_policy.principal(info))

    def resume_principal(
        self, caller: Caller, request: pb.ResumePrincipalRequest
    ) -> pb.ResumePrincipalResponse:
        """Ends a suspension."""
        info = self._vault.resume_principal(caller, request.name, request.reason, request.request_id)
        return pb.ResumePrincipalResponse(principal=convert_policy.principal(info))

    def get_budget_use(self, caller: Caller, request: pb.GetBudgetUseRequest) -> pb.GetBudgetUseResponse:
        """How much of its budgets a principal has used."""
        uses = self._vault.budget_use(caller, request.principal)
        return pb.GetBudgetUseResponse(uses=[convert_controls.budget_use(each) for each in uses])
