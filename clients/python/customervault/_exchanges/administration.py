"""Verbs of `KeyService`, `AuditService` and `PolicyService`, and the health check."""

from google.longrunning.operations_proto_pb2 import GetOperationRequest, Operation
from grpc_health.v1 import health_pb2

from customervault import _convert, results
from customervault._exchange import Exchange, Page, Request, request_id_or_new
from customervault.errors import InvalidRequestError
from customervault.inputs import CustomerRef, Situation
from customervault.v1 import audit_service_pb2 as audit_api
from customervault.v1 import key_service_pb2 as key_api
from customervault.v1 import policy_service_pb2 as policy_api
from customervault.values import Answer, LawfulBasis, Reveal

_KEYS = "/customervault.v1.KeyService/"
_OPERATIONS = "/google.longrunning.Operations/"
_AUDIT = "/customervault.v1.AuditService/"
_POLICY = "/customervault.v1.PolicyService/"


def rotate_dek(ref: CustomerRef, *, request_id: str | None) -> Exchange[results.RotatedDek]:
    """Re-seal one customer's values under a new key generation."""
    message = key_api.RotateDekRequest(
        customer=_convert.ref_message(ref), request_id=request_id_or_new(request_id)
    )
    reply: key_api.RotateDekResponse = yield Request(_KEYS + "RotateDek", message, key_api.RotateDekResponse)
    return results.RotatedDek(reply.dek_generation, reply.values_resealed)


def rotate_epoch(*, approval_id: str, request_id: str | None) -> Exchange[results.EpochRotation]:
    """Ask for a new epoch, or join the rotation under way."""
    message = key_api.RotateEpochRequest(request_id=request_id_or_new(request_id), approval_id=approval_id)
    reply: Operation = yield Request(_KEYS + "RotateEpoch", message, Operation)
    return _convert.epoch_rotation(reply)


def epoch_rotation(name: str) -> Exchange[results.EpochRotation]:
    """How far a rotation is."""
    message = GetOperationRequest(name=name)
    reply: Operation = yield Request(_OPERATIONS + "GetOperation", message, Operation)
    return _convert.epoch_rotation(reply)


def keyring_status() -> Exchange[results.KeyringStatus]:
    """State of the vault's keys."""
    reply: key_api.GetKeyringStatusResponse = yield Request(
        _KEYS + "GetKeyringStatus", key_api.GetKeyringStatusRequest(), key_api.GetKeyringStatusResponse
    )
    return _convert.keyring_status(reply)


def audit_status() -> Exchange[results.AuditStatus]:
    """State of the access log."""
    reply: audit_api.GetAuditStatusResponse = yield Request(
        _AUDIT + "GetAuditStatus", audit_api.GetAuditStatusRequest(), audit_api.GetAuditStatusResponse
    )
    return _convert.audit_status(reply)


def inclusion_proof(leaf: int) -> Exchange[results.InclusionProof]:
    """That a leaf is in the sealed access log."""
    reply: audit_api.GetInclusionProofResponse = yield Request(
        _AUDIT + "GetInclusionProof",
        audit_api.GetInclusionProofRequest(leaf=leaf),
        audit_api.GetInclusionProofResponse,
    )
    return results.InclusionProof(
        reply.leaf, reply.size, reply.entry, reply.leaf_hash, tuple(reply.hashes), reply.checkpoint
    )


def consistency_proof(old_size: int) -> Exchange[results.ConsistencyProof]:
    """That the sealed access log only grew since it had `old_size` leaves."""
    reply: audit_api.GetConsistencyProofResponse = yield Request(
        _AUDIT + "GetConsistencyProof",
        audit_api.GetConsistencyProofRequest(old_size=old_size),
        audit_api.GetConsistencyProofResponse,
    )
    return results.ConsistencyProof(
        reply.old_size, reply.size, reply.old_root, tuple(reply.hashes), reply.checkpoint
    )


def get_policy(version: int) -> Exchange[results.Policy]:
    """The policy in force, or a version of it."""
    reply: policy_api.GetPolicyResponse = yield Request(
        _POLICY + "GetPolicy", policy_api.GetPolicyRequest(version=version), policy_api.GetPolicyResponse
    )
    return _convert.policy(reply)


def policy_version_page(page_token: str, *, page_size: int) -> Exchange[Page[results.PolicyVersion]]:
    """One page of the policy's versions."""
    reply: policy_api.ListPolicyVersionsResponse = yield Request(
        _POLICY + "ListPolicyVersions",
        policy_api.ListPolicyVersionsRequest(page_size=page_size, page_token=page_token),
        policy_api.ListPolicyVersionsResponse,
    )
    return [_convert.policy_version(found) for found in reply.versions], reply.next_page_token


def explain(
    principal: str,
    purpose: str,
    field_class: str,
    *,
    reveal: Reveal | Answer,
    basis: LawfulBasis | None,
    subject: CustomerRef | Situation,
) -> Exchange[results.Explanation]:
    """Why a read is answered as it is."""
    if reveal not in _convert.ASKABLE:
        raise InvalidRequestError(f"reveal must be one of {', '.join(_convert.ASKABLE)}")
    message = policy_api.ExplainRequest(
        principal=principal,
        purpose=purpose,
        field_class=field_class,
        reveal=_convert.ASKABLE[reveal],
        lawful_basis=_convert.basis_number(basis),
    )
    if isinstance(subject, CustomerRef):
        message.customer.CopyFrom(_convert.ref_message(subject))
    else:
        message.situation.CopyFrom(_convert.situation_message(subject))
    reply: policy_api.ExplainResponse = yield Request(
        _POLICY + "Explain", message, policy_api.ExplainResponse
    )
    return _convert.explanation(reply)


def apply_policy(
    document: str, *, validate_only: bool, request_id: str | None
) -> Exchange[results.AppliedPolicy]:
    """Validate a policy and put it in force."""
    message = policy_api.ApplyPolicyRequest(
        document=document, validate_only=validate_only, request_id=request_id_or_new(request_id)
    )
    reply: policy_api.ApplyPolicyResponse = yield Request(
        _POLICY + "ApplyPolicy", message, policy_api.ApplyPolicyResponse
    )
    return results.AppliedPolicy(reply.version, tuple(reply.warnings), tuple(reply.changes))


def create_principal(
    name: str, csr: str, *, certificate_days: int, request_id: str | None
) -> Exchange[results.CreatedPrincipal]:
    """Register a principal."""
    message = policy_api.CreatePrincipalRequest(
        name=name,
        certificate_request_pem=csr,
        certificate_days=certificate_days,
        request_id=request_id_or_new(request_id),
    )
    reply: policy_api.CreatePrincipalResponse = yield Request(
        _POLICY + "CreatePrincipal", message, policy_api.CreatePrincipalResponse
    )
    return results.CreatedPrincipal(_convert.principal(reply.principal), reply.certificate_pem, reply.ca_pem)


def principal_page(page_token: str, *, page_size: int) -> Exchange[Page[results.Principal]]:
    """One page of all principals."""
    reply: policy_api.ListPrincipalsResponse = yield Request(
        _POLICY + "ListPrincipals",
        policy_api.ListPrincipalsRequest(page_size=page_size, page_token=page_token),
        policy_api.ListPrincipalsResponse,
    )
    return [_convert.principal(found) for found in reply.principals], reply.next_page_token


def revoke_principal(name: str, *, request_id: str | None) -> Exchange[results.Principal]:
    """Revoke a principal."""
    message = policy_api.RevokePrincipalRequest(name=name, request_id=request_id_or_new(request_id))
    reply: policy_api.RevokePrincipalResponse = yield Request(
        _POLICY + "RevokePrincipal", message, policy_api.RevokePrincipalResponse
    )
    return _convert.principal(reply.principal)


def healthy() -> Exchange[bool]:
    """Whether the vault says that it serves (gRPC health checking protocol)."""
    reply: health_pb2.HealthCheckResponse = yield Request(
        "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse
    )
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
