"""The one mapping between protobuf messages and the model.

Functions named `to_...` read a request's part and raise `InvalidRequestError` naming the field; the
others write a part of a response. Plaintext moves straight between message and `Secret`: no message is
ever formatted.
"""

# ruff: noqa: D103 - the writers are named after the message that they write

from collections.abc import Iterable
from functools import lru_cache

from customervault.v1 import (
    audit_service_pb2 as audit_pb,
)
from customervault.v1 import (
    common_pb2 as common_pb,
)
from customervault.v1 import (
    customer_service_pb2 as customer_pb,
)
from customervault.v1 import (
    erasure_service_pb2 as erasure_pb,
)
from customervault.v1 import (
    key_service_pb2 as key_pb,
)
from customervault.v1 import (
    policy_service_pb2 as policy_pb,
)
from customervault.v1 import (
    token_service_pb2 as token_pb,
)
from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.timestamp_pb2 import Timestamp

from vault.core import operations
from vault.errors import InvalidRequestError, Reason, error_for
from vault.model.access import Decision, Denial, Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.erasure import Awaited, Stage, Step
from vault.model.requests import (
    Access,
    AccessQuery,
    AuditStatus,
    Certificate,
    ConsistencyProof,
    Customer,
    CustomerRef,
    Entry,
    EntryResult,
    Erasure,
    ExplainQuery,
    Export,
    ExportedValue,
    HeldValue,
    InclusionProof,
    KeyringStatus,
    PolicyInForce,
    PolicyVersion,
    PrincipalInfo,
    ShredResult,
    StoredEntry,
    TokenForm,
    TokenInfo,
    Translated,
    field_input,
)
from vault.model.secret import Secret
from vault.model.situation import Situation
from vault.policy.explaining import Explanation
from vault.server.convert_terms import add_terms
from vault.server.status import status_of, status_of_reason

DEFAULT_PAGE = 100
MAX_PAGE = 1000
END_OF_TIME_MS = 2**63 - 1
_STAGES = {
    Stage.EFFECTIVE: erasure_pb.ERASURE_STAGE_EFFECTIVE,
    Stage.FINAL_BEST_EFFORT: erasure_pb.ERASURE_STAGE_FINAL_BEST_EFFORT,
    Stage.FINAL: erasure_pb.ERASURE_STAGE_FINAL,
    Stage.HELD: erasure_pb.ERASURE_STAGE_HELD,
}
_STEPS = {
    Step.ROTATION: erasure_pb.AWAITED_STEP_ROTATION,
    Step.DESTRUCTION: erasure_pb.AWAITED_STEP_DESTRUCTION,
    Step.CONFIRMATION: erasure_pb.AWAITED_STEP_CONFIRMATION,
    Step.COPIES: erasure_pb.AWAITED_STEP_COPIES,
    Step.RESEALING: erasure_pb.AWAITED_STEP_RESEALING,
    Step.KEPT: erasure_pb.AWAITED_STEP_KEPT,
    Step.BACKUPS: erasure_pb.AWAITED_STEP_BACKUPS,
    Step.HOLD: erasure_pb.AWAITED_STEP_HOLD,
}

# Requests
_BASIS_PREFIX = "LAWFUL_BASIS_"


def to_ref(message: common_pb.CustomerRef) -> CustomerRef:
    """Which customer is meant."""
    match message.WhichOneof("ref"):
        case "external_id":
            return CustomerRef(external_id=Secret(message.external_id))
        case "token":
            return CustomerRef(token=message.token)
    raise InvalidRequestError("customer: an external_id or a token is needed", field="customer")


def to_entry(message: token_pb.TokenizeEntry) -> Entry:
    """One customer's fields."""
    return Entry(
        customer=to_ref(message.customer),
        fields=[
            field_input((f.field_class, Secret(f.value), f.label, Secret(s) if (s := f.surrogate) else None))
            for f in message.fields
        ],
        jurisdiction=message.jurisdiction,
    )


@lru_cache
def to_reveal(number: int) -> Reveal:
    """The reveal that is asked for; unspecified means BEST."""
    try:
        return Reveal(number or Reveal.BEST)
    except ValueError:
        raise InvalidRequestError("reveal: unknown number", field="reveal") from None


def to_form(number: int) -> TokenForm:
    """What is to stand for values; unspecified means as their classes are configured."""
    try:
        return TokenForm(number)
    except ValueError:
        raise InvalidRequestError("form: unknown number", field="form") from None


@lru_cache
def to_basis(number: int) -> LawfulBasis | None:
    """The lawful basis that is stated; unspecified means none."""
    if not number:
        return None
    if number not in common_pb.LawfulBasis.values():
        raise InvalidRequestError("lawful_basis: unknown number", field="lawful_basis")
    name = common_pb.LawfulBasis.Name(common_pb.LawfulBasis.ValueType(number))
    return LawfulBasis(name.removeprefix(_BASIS_PREFIX).lower())


def from_basis(basis: LawfulBasis | None) -> common_pb.LawfulBasis.ValueType:
    """A lawful basis, or none."""
    return common_pb.LawfulBasis.Value(_BASIS_PREFIX + (basis.value.upper() if basis else "UNSPECIFIED"))


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


def to_atomic(mode: int) -> bool:
    """Whether a batch is all or nothing; unspecified means PARTIAL."""
    if mode not in common_pb.BatchMode.values():
        raise InvalidRequestError("mode: unknown number", field="mode")
    return mode == common_pb.BATCH_MODE_ATOMIC


def to_page_size(size: int) -> int:
    """The page size to use: 0 means 100, and more than 1,000 means 1,000 (AIP-158)."""
    if size < 0:
        raise InvalidRequestError("page_size: must not be negative", field="page_size")
    return min(size, MAX_PAGE) or DEFAULT_PAGE


def to_stage(number: int) -> Stage | None:
    """The stage that is asked for; unspecified means any."""
    if not number:
        return None
    for stage, known in _STAGES.items():
        if known == number:
            return stage
    raise InvalidRequestError("stage: unknown number", field="stage")


def to_access_query(message: audit_pb.ListAccessRequest) -> AccessQuery:
    """What to look for in the access log."""
    if message.order not in (audit_pb.ACCESS_ORDER_UNSPECIFIED, audit_pb.ACCESS_ORDER_RECORDED):
        raise InvalidRequestError("order: unknown number", field="order")
    return AccessQuery(
        customer=to_ref(message.customer) if message.HasField("customer") else None,
        principal=message.principal,
        start_ms=_to_ms(message.start_time) if message.HasField("start_time") else 0,
        end_ms=_to_ms(message.end_time) if message.HasField("end_time") else END_OF_TIME_MS,
        page_size=to_page_size(message.page_size),
        page_token=message.page_token,
        field_class=message.field_class,
        purpose=message.purpose,
        actions=tuple(message.actions),
        decision=_to_decision(message.decision),
        as_recorded=message.order == audit_pb.ACCESS_ORDER_RECORDED,
        only_new=message.only_new,
    )


def _to_decision(number: int) -> Decision | None:
    if number and number not in tuple(Decision):
        raise InvalidRequestError("decision: unknown number", field="decision")
    return Decision(number) if number else None


def _to_ms(time: Timestamp) -> int:
    """Whole milliseconds, rounded up: right for an inclusive start and for an exclusive end alike."""
    return time.seconds * 1000 + -(-time.nanos // 1_000_000)


# Responses


def timestamp(ms: int) -> Timestamp | None:
    """A point in time; 0 stands for "never" and leaves the field unset."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000) if ms else None


def entry_result(result: EntryResult | StoredEntry) -> token_pb.TokenizeEntryResult:
    if result.error:
        return token_pb.TokenizeEntryResult(error=status_of(result.error))
    message = token_pb.TokenizeEntryResult(
        customer_token=result.customer_token, customer_created=result.customer_created
    )
    add = message.results.add
    for outcome, token, error in result.results:
        if error is None:
            add(token=token, outcome=outcome)
        else:
            add(token=token, outcome=outcome, error=status_of(error))
    return message


def add_denials(
    errors: "RepeatedCompositeFieldContainer[common_pb.ItemError]", denials: Iterable[Denial]
) -> None:
    """Appends the items of a batch that have no answer."""
    for denial in denials:
        error = errors.add()
        error.index = denial.index
        error.status.CopyFrom(status_of_reason(denial.reason))


def translated(result: Translated) -> token_pb.TranslateTokensResponse:
    response = token_pb.TranslateTokensResponse(tokens=result.tokens)
    add_denials(response.errors, result.denials)
    return response


def token_info(info: TokenInfo) -> token_pb.InspectTokenResponse:
    return token_pb.InspectTokenResponse(
        field_class=info.field_class,
        labels=info.labels,
        domain=info.domain,
        state=token_pb.ValueState.ValueType(info.state),
        version=info.version,
        dek_generation=info.dek_generation,
        customer_token=info.customer_token,
        customer_state=common_pb.CustomerState.ValueType(info.customer_state),
        customer_create_time=timestamp(info.customer_created_ms),
    )


def customer(model: Customer) -> customer_pb.Customer:
    message = customer_pb.Customer(
        customer_token=model.customer_token,
        state=common_pb.CustomerState.ValueType(model.state),
        jurisdiction=model.jurisdiction,
        create_time=timestamp(model.created_ms),
        dek_generation=model.dek_generation,
        held=[_held(each) for each in model.held],
        shred_id=model.shred_id,
    )
    add_terms(message, model)
    return message


def _held(value: HeldValue) -> customer_pb.HeldValue:
    return customer_pb.HeldValue(
        token=value.token, field_class=value.field_class, labels=value.labels, version=value.version
    )


def export(model: Export) -> customer_pb.ExportCustomerResponse:
    return customer_pb.ExportCustomerResponse(
        customer=customer(model.customer), values=[_exported(each) for each in model.values]
    )


def _exported(value: ExportedValue) -> customer_pb.ExportedValue:
    return customer_pb.ExportedValue(
        field_class=value.held.field_class,
        labels=value.held.labels,
        token=value.held.token,
        value="" if value.error else value.value.reveal(),
        reveal=common_pb.Reveal.ValueType(Reveal.NONE if value.error else value.reveal),
        error=status_of(value.error) if value.error else None,
    )


def shred_result(result: ShredResult) -> customer_pb.ShredResult:
    return customer_pb.ShredResult(
        values=result.values,
        dek_generations=result.dek_generations,
        salt=result.salt,
        erasure=erasure(result.erasure) if result.erasure else None,
        certificate=certificate(result.certificate) if result.certificate else None,
        error=status_of(result.error) if result.error else None,
        held_values=result.held_values,
    )


def erasure(model: Erasure) -> erasure_pb.Erasure:
    return erasure_pb.Erasure(
        shred_id=model.shred_id,
        stage=_STAGES[model.stage],
        effective_time=timestamp(model.effective_ms),
        ledger_seq=model.ledger_seq,
        commitment=model.commitment,
        final_time=timestamp(model.final_ms),
        assurance=model.assurance.value if model.assurance else "",
        waits_for=[_awaited(each) for each in model.waits_for],
        held_values=model.held_values,
    )


def _awaited(root_key: Awaited) -> erasure_pb.AwaitedRootKey:
    return erasure_pb.AwaitedRootKey(
        root_key_id=root_key.root_key_id,
        epoch=root_key.epoch,
        provider=root_key.provider,
        step=_STEPS[root_key.step],
        due_time=timestamp(root_key.due_ms or 0),
        missing_copies=root_key.copies.count if root_key.copies else 0,
        missing_copies_epoch=root_key.copies.epoch if root_key.copies else 0,
    )


def certificate(model: Certificate) -> erasure_pb.Certificate:
    return erasure_pb.Certificate(
        content=model.content, stage=_STAGES[model.stage], key_id=model.key_id
    )  # fmt: skip


def keyring_status(status: KeyringStatus) -> key_pb.GetKeyringStatusResponse:
    return key_pb.GetKeyringStatusResponse(
        epoch=status.epoch,
        epoch_create_time=timestamp(status.epoch_created_ms),
        provider=status.provider,
        assurance=status.assurance,
        root_key_id=status.root_key_id,
        customers=status.customers,
        shredded_customers=status.shredded_customers,
        wrapped_deks=status.wrapped_deks,
        token_key_generation=status.token_key_generation,
        ledger_entries=status.ledger_entries,
        ledger_applied=status.ledger_applied,
        vault_id=status.vault_id,
        signing_key_id=status.signing_key_id,
    )


def operation(model: operations.Operation) -> Operation:
    """Long work, as google.longrunning tells of it."""
    metadata = key_pb.RotateEpochMetadata(
        epoch=model.epoch,
        step=model.step,
        done=model.done,
        total=model.total,
        request_time=timestamp(model.requested_ms),
        start_time=timestamp(model.started_ms),
        update_time=timestamp(model.updated_ms),
        waits_for=model.message if model.state is operations.State.WAITING else "",
    )
    if model.remaining_ms is not None:
        metadata.remaining.FromMilliseconds(model.remaining_ms)
    message = Operation(name=model.name, done=model.finished)
    message.metadata.Pack(metadata)
    if model.state is operations.State.DONE:
        message.response.Pack(key_pb.RotateEpochResponse(epoch=model.epoch))
    elif model.state is operations.State.FAILED:
        message.error.CopyFrom(status_of(error_for(Reason(model.reason))(model.message)))
    return message


def access(record: Access) -> audit_pb.Access:
    return audit_pb.Access(
        time=timestamp(record.time_ms),
        principal=record.principal,
        action=record.action,
        purpose=record.purpose,
        values_plain=record.values_plain,
        values_masked=record.values_masked,
        values_denied=record.values_denied,
        customers=record.customers,
        field_classes=record.field_classes,
        reasons=record.reasons,
        detail=record.detail,
        lawful_basis=from_basis(record.basis),
        break_glass=record.break_glass,
        leaf=record.leaf,
    )


def inclusion_proof(proof: InclusionProof) -> audit_pb.GetInclusionProofResponse:
    """That a record is sealed."""
    return audit_pb.GetInclusionProofResponse(
        leaf=proof.leaf,
        size=proof.size,
        entry=proof.entry,
        leaf_hash=proof.leaf_hash,
        hashes=proof.hashes,
        checkpoint=proof.checkpoint,
    )


def consistency_proof(proof: ConsistencyProof) -> audit_pb.GetConsistencyProofResponse:
    """That the sealed log only grew."""
    return audit_pb.GetConsistencyProofResponse(
        old_size=proof.old_size,
        size=proof.size,
        old_root=proof.old_root,
        hashes=proof.hashes,
        checkpoint=proof.checkpoint,
    )


def audit_status(status: AuditStatus) -> audit_pb.GetAuditStatusResponse:
    return audit_pb.GetAuditStatusResponse(
        segments=status.segments,
        records=status.records,
        bytes=status.bytes,
        free_bytes=status.free_bytes,
        writable=status.writable,
        sync_interval_ms=status.sync_interval_ms,
        gaps=status.gaps,
        sealed=status.sealed,
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
