"""Messages of policy, its explanations and principals, to the model and back; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from customervault.v1 import common_pb2 as common_pb
from customervault.v1 import policy_service_pb2 as policy_pb

from vault.errors import InvalidRequestError
from vault.model.consent import ConsentState
from vault.model.requests import ExplainQuery, PolicyInForce, PolicyVersion, PrincipalInfo
from vault.model.situation import Situation
from vault.policy.explaining import Explanation
from vault.server.convert import from_basis, timestamp, to_basis, to_ref, to_reveal


def to_explain_query(request: policy_pb.ExplainRequest) -> ExplainQuery:
    """What is to be explained."""
    given = request.situation
    if given.consent not in policy_pb.ExplainedSituation.Consent.values():
        raise InvalidRequestError("situation.consent: unknown number", field="situation.consent")
    return ExplainQuery(
        principal=request.principal,
        purpose=request.purpose,
        field_class=request.field_class,
        reveal=to_reveal(request.reveal),
        basis=to_basis(request.lawful_basis),
        customer=to_ref(request.customer) if request.HasField("customer") else None,
        situation=Situation(
            consent=ConsentState(given.consent),
            jurisdiction=given.jurisdiction,
            restricted=given.restricted,
            held=given.held,
            expired=given.expired,
        ),
    )


def explanation(model: Explanation) -> policy_pb.ExplainResponse:
    return policy_pb.ExplainResponse(
        reveal=common_pb.Reveal.ValueType(model.reveal),
        reason=model.reason.value if model.reason else "",
        lawful_basis=from_basis(model.basis),
        deciders=model.deciders,
        granted_by=model.granted_by,
        explanation=model.text,
        changes=model.changes,
    )


def policy(model: PolicyInForce) -> policy_pb.GetPolicyResponse:
    return policy_pb.GetPolicyResponse(
        document=model.document, version=model.version, apply_time=timestamp(model.applied_ms)
    )


def policy_version(model: PolicyVersion) -> policy_pb.PolicyVersion:
    return policy_pb.PolicyVersion(
        version=model.version, apply_time=timestamp(model.applied_ms), principal=model.principal
    )


def principal(info: PrincipalInfo) -> policy_pb.Principal:
    state = policy_pb.PRINCIPAL_STATE_SUSPENDED if info.suspended_ms else policy_pb.PRINCIPAL_STATE_ACTIVE
    if info.revoked:
        state = policy_pb.PRINCIPAL_STATE_REVOKED
    return policy_pb.Principal(
        name=info.name,
        state=state,
        create_time=timestamp(info.created_ms),
        revoke_time=timestamp(info.revoked_ms),
        certificate_expire_time=timestamp(info.certificate_expires_ms),
        suspend_time=timestamp(info.suspended_ms),
    )
