"""Between messages of `customervault.v1` and the client's own types. Both directions, nothing else."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, get_args

from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.timestamp_pb2 import Timestamp

from customervault import control_results, results
from customervault._status import error_of_status
from customervault.errors import AlreadyShreddedError, InvalidRequestError, NotFoundError, VaultError
from customervault.inputs import Consent, CustomerRef, Entry, Field, Situation
from customervault.v1 import (
    approval_service_pb2,
    audit_service_pb2,
    common_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
    token_service_pb2,
)
from customervault.values import Answer, LawfulBasis, QuestionKind, Reveal, RevealLevel, TokenForm, Value

if TYPE_CHECKING:
    from google.protobuf.message import Message

REVEALS: dict[Reveal, "common_pb2.Reveal.ValueType"] = {
    "best": common_pb2.REVEAL_BEST,
    "plain": common_pb2.REVEAL_PLAIN,
    "masked": common_pb2.REVEAL_MASKED,
}
ASKABLE: dict[str, "common_pb2.Reveal.ValueType"] = {
    name.removeprefix("REVEAL_").lower(): number for name, number in common_pb2.Reveal.items() if number
}
ANSWERS = {name: number for name, number in ASKABLE.items() if name not in REVEALS}
BASES: Sequence[LawfulBasis] = get_args(LawfulBasis)
LEVELS: dict[int, RevealLevel | None] = {
    common_pb2.REVEAL_UNSPECIFIED: None,
    common_pb2.REVEAL_PLAIN: "plain",
    common_pb2.REVEAL_MASKED: "masked",
}
QUESTION_KINDS: dict[str, QuestionKind] = {name: name for name in get_args(QuestionKind)}
_ANSWER_NAMES: dict[int, Answer] = {
    common_pb2.REVEAL_PSEUDONYM: "pseudonym",
    common_pb2.REVEAL_COMPARE: "compare",
    **{ANSWERS[name]: name for name in get_args(QuestionKind)},
}
FORMS: dict[TokenForm, "token_service_pb2.TokenForm.ValueType"] = {
    "by_class": token_service_pb2.TOKEN_FORM_UNSPECIFIED,
    "token": token_service_pb2.TOKEN_FORM_TOKEN,
    "surrogate": token_service_pb2.TOKEN_FORM_SURROGATE,
}
Name = TypeVar("Name", bound=str)

# Each literal stands at the index of its number in the API.
_CONSENTS: Sequence[Consent] = get_args(Consent)
_OUTCOMES: Sequence[results.FieldOutcome] = get_args(results.FieldOutcome)
_STORED = frozenset({_OUTCOMES.index(name) for name in ("created", "unchanged", "updated")})
_CUSTOMER_STATES: Sequence[results.CustomerState] = get_args(results.CustomerState)
_VALUE_STATES: Sequence[results.ValueState] = get_args(results.ValueState)
_STAGES: Sequence[results.ErasureStage] = get_args(results.ErasureStage)
_STEPS: Sequence[results.AwaitedStep] = get_args(results.AwaitedStep)
_PRINCIPAL_STATES: Sequence[results.PrincipalState] = get_args(results.PrincipalState)
_APPROVAL_ACTS: Sequence[control_results.ApprovalAct] = get_args(control_results.ApprovalAct)
_APPROVAL_STATES: Sequence[control_results.ApprovalState] = get_args(control_results.ApprovalState)
_BUDGET_KINDS: Sequence[control_results.BudgetKind] = get_args(control_results.BudgetKind)


def batch_mode(atomic: bool) -> "common_pb2.BatchMode.ValueType":
    """The API's word for all-or-nothing."""
    return common_pb2.BATCH_MODE_ATOMIC if atomic else common_pb2.BATCH_MODE_PARTIAL


def token_form(form: TokenForm) -> "token_service_pb2.TokenForm.ValueType":
    """The API's word for what is to stand for values.

    Raises:
        InvalidRequestError: It is none.
    """
    if form not in FORMS:
        raise InvalidRequestError(f"form must be one of {', '.join(FORMS)}")
    return FORMS[form]


def basis_number(name: LawfulBasis | None) -> "common_pb2.LawfulBasis.ValueType":
    """A lawful basis as the API states it; unspecified for None."""
    if name is None:
        return common_pb2.LAWFUL_BASIS_UNSPECIFIED
    if name not in BASES:
        raise InvalidRequestError(f"basis must be one of {', '.join(BASES)}")
    return common_pb2.LawfulBasis.Value(f"LAWFUL_BASIS_{name.upper()}")


def basis(number: int) -> LawfulBasis | None:
    """The client's word for a lawful basis."""
    return BASES[number - 1] if 0 < number <= len(BASES) else None


def ref_message(ref: CustomerRef) -> common_pb2.CustomerRef:
    """A customer as the API names one."""
    if ref.token is not None:
        return common_pb2.CustomerRef(token=ref.token)
    return common_pb2.CustomerRef(external_id=ref.external_id or "")


def fill_entry(message: token_service_pb2.TokenizeEntry, entry: Entry, fields: Iterable[Field]) -> None:
    """One customer's fields, written into an empty message; `fields` are those of `entry`, read once."""
    customer = entry.customer
    if isinstance(customer, str):
        message.customer.external_id = customer
    else:
        message.customer.CopyFrom(ref_message(customer))
    if entry.jurisdiction:
        message.jurisdiction = entry.jurisdiction
    add = message.fields.add
    for field in fields:
        if field.surrogate:
            add(
                field_class=field.field_class,
                value=field.value,
                label=field.label,
                surrogate=field.surrogate,
            )
        else:
            add(field_class=field.field_class, value=field.value, label=field.label)


def tokenized(result: token_service_pb2.TokenizeEntryResult, sent: Sequence[Field]) -> results.Tokenized:
    """The answer for one entry, beside the fields that were sent."""
    error = _item_error(result)
    answers = []
    for field, answer in zip(sent, result.results, strict=error is None):
        number = answer.outcome
        refusal = None if number in _STORED else _item_error(answer)
        answers.append(
            results.FieldResult(field.field_class, field.label, outcome(number), answer.token, refusal)
        )
    return results.Tokenized(result.customer_token, result.customer_created, tuple(answers), error)


def outcome(number: int) -> results.FieldOutcome:
    """What storing a field did."""
    return _named(_OUTCOMES, number)


def token_info(reply: token_service_pb2.InspectTokenResponse) -> results.TokenInfo:
    """What a token stands for."""
    return results.TokenInfo(
        field_class=reply.field_class,
        labels=tuple(reply.labels),
        domain=reply.domain,
        state=_named(_VALUE_STATES, reply.state),
        version=reply.version,
        dek_generation=reply.dek_generation,
        customer_token=reply.customer_token,
        customer_state=_named(_CUSTOMER_STATES, reply.customer_state),
        customer_created=_time(reply, "customer_create_time"),
    )


def customer(message: customer_service_pb2.Customer) -> results.Customer:
    """A data subject without values."""
    return results.Customer(
        customer_token=message.customer_token,
        state=_named(_CUSTOMER_STATES, message.state),
        jurisdiction=message.jurisdiction,
        created=_time(message, "create_time"),
        dek_generation=message.dek_generation,
        held=tuple(
            results.HeldValue(held.token, held.field_class, tuple(held.labels), held.version)
            for held in message.held
        ),
        shred_id=message.shred_id,
        restrictions=tuple(
            results.Restriction(each.id, each.purpose, each.field_class, _time(each, "until_time"))
            for each in message.restrictions
        ),
        holds=tuple(
            results.Hold(each.id, each.field_class, _time(each, "until_time"), each.reference)
            for each in message.holds
        ),
        expiries=tuple(
            results.Expiry(each.id, each.purpose, each.field_class, _time(each, "expire_time"))
            for each in message.expiries
        ),
    )


def export(reply: customer_service_pb2.ExportCustomerResponse) -> results.Export:
    """All values of one customer."""
    return results.Export(
        customer=customer(reply.customer),
        values=tuple(
            results.ExportedValue(
                field_class=item.field_class,
                labels=tuple(item.labels),
                token=item.token,
                value=Value(item.value, LEVELS[item.reveal], _item_error(item)),
            )
            for item in reply.values
        ),
    )


def erasure(message: erasure_service_pb2.Erasure) -> results.Erasure:
    """The record of one shred."""
    return results.Erasure(
        shred_id=message.shred_id,
        stage=_named(_STAGES, message.stage),
        effective=_time(message, "effective_time"),
        ledger_seq=message.ledger_seq,
        commitment=message.commitment,
        final=_time(message, "final_time"),
        assurance=message.assurance,
        waits_for=tuple(
            results.AwaitedRootKey(
                each.root_key_id,
                each.epoch,
                each.provider,
                _named(_STEPS, each.step),
                _time(each, "due_time"),
                each.missing_copies,
                each.missing_copies_epoch,
            )
            for each in message.waits_for
        ),
        held_values=message.held_values,
    )


def certificate(message: erasure_service_pb2.Certificate) -> results.Certificate:
    """A certificate of erasure."""
    return results.Certificate(message.content, _named(_STAGES, message.stage), message.key_id)


def stage_number(stage: results.ErasureStage | None) -> "erasure_service_pb2.ErasureStage.ValueType":
    """The API's number of a stage; unspecified for None.

    Raises:
        ValueError: There is no such stage.
    """
    return erasure_service_pb2.ErasureStage.values()[_STAGES.index(stage) if stage else 0]


def shredded(
    result: customer_service_pb2.ShredResult, *, missing_ok: bool, validate_only: bool
) -> results.Shredded:
    """The answer for one customer of a shred; a failure stays in it."""
    error = _item_error(result)
    if error is not None:
        return shred_failed(error, missing_ok=missing_ok)
    done: results.ShredOutcome = "held" if result.held_values else "shredded"
    return results.Shredded(
        outcome="validated" if validate_only else done,
        values=result.values,
        dek_generations=result.dek_generations,
        salt=result.salt,
        erasure=erasure(result.erasure) if result.HasField("erasure") else None,
        certificate=certificate(result.certificate) if result.HasField("certificate") else None,
        held_values=result.held_values,
    )


def shred_failed(error: VaultError, *, missing_ok: bool) -> results.Shredded:
    """A shred that did not happen: accepted when the customer is gone and `missing_ok`."""
    if missing_ok and isinstance(error, AlreadyShreddedError):
        return results.Shredded(outcome="already_shredded")
    if missing_ok and isinstance(error, NotFoundError):
        return results.Shredded(outcome="missing")
    return results.Shredded(outcome="failed", error=error)


def access(message: audit_service_pb2.Access) -> results.Access:
    """One record of the access log."""
    return results.Access(
        time=_time(message, "time"),
        principal=message.principal,
        action=message.action,
        purpose=message.purpose,
        values_plain=message.values_plain,
        values_masked=message.values_masked,
        values_denied=message.values_denied,
        customers=message.customers,
        field_classes=tuple(message.field_classes),
        reasons=tuple(message.reasons),
        detail=message.detail,
        basis=basis(message.lawful_basis),
        break_glass=message.break_glass,
        leaf=message.leaf if message.HasField("leaf") else None,
    )


def audit_status(reply: audit_service_pb2.GetAuditStatusResponse) -> results.AuditStatus:
    """State of the access log."""
    return results.AuditStatus(
        segments=reply.segments,
        records=reply.records,
        bytes=reply.bytes,
        free_bytes=reply.free_bytes,
        writable=reply.writable,
        sync_interval_ms=reply.sync_interval_ms,
        gaps=reply.gaps,
        sealed=reply.sealed,
    )


def epoch_rotation(reply: Operation) -> results.EpochRotation:
    """How far a rotation of the epoch is."""
    told = key_service_pb2.RotateEpochMetadata()
    reply.metadata.Unpack(told)
    return results.EpochRotation(
        name=reply.name,
        finished=reply.done,
        epoch=told.epoch,
        step=told.step,
        done=told.done,
        total=told.total,
        requested=_time(told, "request_time"),
        started=_time(told, "start_time"),
        updated=_time(told, "update_time"),
        remaining=told.remaining.ToTimedelta() if told.HasField("remaining") else None,
        error=error_of_status(reply.error) if reply.HasField("error") else None,
        waits_for=told.waits_for,
    )


def keyring_status(reply: key_service_pb2.GetKeyringStatusResponse) -> results.KeyringStatus:
    """State of the vault's keys."""
    return results.KeyringStatus(
        epoch=reply.epoch,
        epoch_created=_time(reply, "epoch_create_time"),
        provider=reply.provider,
        assurance=reply.assurance,
        root_key_id=reply.root_key_id,
        customers=reply.customers,
        shredded_customers=reply.shredded_customers,
        wrapped_deks=reply.wrapped_deks,
        token_key_generation=reply.token_key_generation,
        ledger_entries=reply.ledger_entries,
        ledger_applied=reply.ledger_applied,
        vault_id=reply.vault_id,
        signing_key_id=reply.signing_key_id,
    )


def policy(reply: policy_service_pb2.GetPolicyResponse) -> results.Policy:
    """The policy in force."""
    return results.Policy(reply.document, reply.version, _time(reply, "apply_time"))


def situation_message(situation: Situation) -> policy_service_pb2.ExplainedSituation:
    """A situation that nobody has to be in."""
    if situation.consent not in _CONSENTS:
        raise InvalidRequestError(f"consent must be one of {', '.join(_CONSENTS)}")
    number = policy_service_pb2.ExplainedSituation.Consent.ValueType(_CONSENTS.index(situation.consent))
    return policy_service_pb2.ExplainedSituation(
        jurisdiction=situation.jurisdiction,
        consent=number,
        restricted=situation.restricted,
        held=situation.held,
        expired=situation.expired,
    )


def policy_version(message: policy_service_pb2.PolicyVersion) -> results.PolicyVersion:
    """One version of the policy."""
    return results.PolicyVersion(message.version, _time(message, "apply_time"), message.principal)


def explanation(reply: policy_service_pb2.ExplainResponse) -> results.Explanation:
    """Why a read is answered as it is."""
    return results.Explanation(
        reveal=LEVELS.get(reply.reveal) or _ANSWER_NAMES.get(reply.reveal),
        reason=reply.reason,
        basis=basis(reply.lawful_basis),
        deciders=tuple(reply.deciders),
        granted_by=tuple(reply.granted_by),
        text=reply.explanation,
        changes=tuple(reply.changes),
    )


def principal(message: policy_service_pb2.Principal) -> results.Principal:
    """An authenticated caller."""
    return results.Principal(
        name=message.name,
        state=_named(_PRINCIPAL_STATES, message.state),
        created=_time(message, "create_time"),
        revoked=_time(message, "revoke_time"),
        certificate_expires=_time(message, "certificate_expire_time"),
        suspended=_time(message, "suspend_time"),
    )


def approval(message: approval_service_pb2.Approval) -> control_results.Approval:
    """A request for approval."""
    return control_results.Approval(
        approval_id=message.approval_id,
        act=_named(_APPROVAL_ACTS, message.act),
        state=_named(_APPROVAL_STATES, message.state),
        requester=message.requester,
        reason=message.reason,
        digest=message.digest,
        customers=message.customers,
        customers_used=message.customers_used,
        customer_tokens=tuple(message.customer_tokens),
        purpose=message.purpose,
        minutes=message.minutes,
        grant_ends=_time(message, "grant_end_time"),
        requested=_time(message, "request_time"),
        expires=_time(message, "expire_time"),
        decided=_time(message, "decide_time"),
        decider=message.decider,
        note=message.note,
    )


def approval_state_number(
    state: control_results.ApprovalState | None,
) -> "approval_service_pb2.ApprovalState.ValueType":
    """The API's number of a state; unspecified for None.

    Raises:
        ValueError: There is no such state.
    """
    return approval_service_pb2.ApprovalState.values()[_APPROVAL_STATES.index(state) if state else 0]


def budget_use(message: policy_service_pb2.BudgetUse) -> control_results.BudgetUse:
    """One budget's window."""
    return control_results.BudgetUse(
        budget=message.budget,
        kind=_named(_BUDGET_KINDS, message.kind),
        purposes=tuple(message.purposes),
        start=_time(message, "start_time"),
        end=_time(message, "end_time"),
        customers=message.customers,
        alert_customers=message.alert_customers,
        limit_customers=message.limit_customers,
        alerted=message.alerted,
        exceeded=message.exceeded,
    )


def timestamp(time: datetime | None) -> Timestamp | None:
    """An aware time as the API states it.

    Raises:
        ValueError: The time is naive; its instant would depend on the machine.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError("give times with a time zone")
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message


def _named(names: Sequence[Name], number: int) -> Name:
    return names[number] if number < len(names) else names[0]


def _time(message: "Message", name: str) -> datetime | None:
    if not message.HasField(name):
        return None
    time: Timestamp = getattr(message, name)
    return time.ToDatetime(tzinfo=UTC)


def _item_error(message: "Message") -> VaultError | None:
    return error_of_status(getattr(message, "error")) if message.HasField("error") else None  # noqa: B009 - untyped
