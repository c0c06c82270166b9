from dataclasses import replace
from enum import IntEnum
from typing import Any

import pytest
from customervault.v1 import audit_service_pb2, common_pb2, token_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import InvalidRequestError, InvalidValueError, Reason, ShreddedError
from vault.model.access import Decision, Denial, Reveal
from vault.model.assurance import Assurance
from vault.model.erasure import Awaited, Stage, Step
from vault.model.requests import (
    Access,
    AuditStatus,
    Certificate,
    Customer,
    CustomerState,
    EntryResult,
    Erasure,
    Export,
    ExportedValue,
    FieldResult,
    HeldValue,
    KeyringStatus,
    Outcome,
    PolicyInForce,
    PrincipalInfo,
    ShredResult,
    TokenInfo,
    Translated,
    ValueState,
)
from vault.model.secret import Secret
from vault.server import convert, convert_audit, convert_erasure, convert_keys, convert_policy

HELD = HeldValue("cv1_ab", "email", ("work", "main"), 3)
CUSTOMER = Customer("cv1_cd", CustomerState.ACTIVE, "FR", 1_700_000_000_123, 2, (HELD,))
AWAITED = Awaited("root-2", 2, "aws-kms", Step.CONFIRMATION, 1_700_000_900_000)
ERASURE = Erasure(
    "shr_01", Stage.EFFECTIVE, 1_700_000_000_456, 77, b"c" * 32, waits_for=[AWAITED]
)  # fmt: skip
CERTIFICATE = Certificate(b"{}", Stage.EFFECTIVE, "key-1")


def same_fields(message: object, model: object, names: str) -> bool:
    """Whether the named fields of both are equal; repeated ones as lists."""

    def plain(value: object) -> object:
        return value if isinstance(value, (str, bytes, int, float)) else list(value)  # type: ignore[call-overload]

    return all(plain(getattr(message, n)) == plain(getattr(model, n)) for n in names.split())


def test_a_reference_is_an_external_id_or_a_token() -> None:
    by_id = convert.to_ref(common_pb2.CustomerRef(external_id="crm-1"))
    assert by_id.token is None
    assert by_id.external_id is not None
    assert by_id.external_id.reveal() == "crm-1"
    by_token = convert.to_ref(common_pb2.CustomerRef(token="cv1_ab"))
    assert (by_token.external_id, by_token.token) == (None, "cv1_ab")


def test_a_reference_to_nobody_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="customer"):
        convert.to_ref(common_pb2.CustomerRef())


def test_an_entry_keeps_the_order_of_its_fields() -> None:
    message = token_service_pb2.TokenizeEntry(
        customer=common_pb2.CustomerRef(external_id="x"),
        fields=[
            common_pb2.FieldInput(field_class="email", value="a@b.c"),
            common_pb2.FieldInput(field_class="phone", value="1", label="work"),
        ],
        jurisdiction="DE",
    )
    entry = convert.to_entry(message)
    assert entry.jurisdiction == "DE"
    assert [(f.field_class, f.value.reveal(), f.label) for f in entry.fields] == [
        ("email", "a@b.c", ""),
        ("phone", "1", "work"),
    ]


def test_reveal_defaults_to_best_and_knows_its_numbers() -> None:
    assert convert.to_reveal(0) is Reveal.BEST
    assert [convert.to_reveal(n) for n in range(1, 11)] == list(Reveal)[1:]
    with pytest.raises(InvalidRequestError):
        convert.to_reveal(11)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Reveal, common_pb2.Reveal),
        (Outcome, token_service_pb2.FieldOutcome),
        (CustomerState, common_pb2.CustomerState),
        (ValueState, token_service_pb2.ValueState),
    ],
)
def test_numbers_are_those_of_the_api(ours: type[IntEnum], theirs: Any) -> None:
    names = {number: name for name, number in theirs.items()}
    for member in ours:
        if member is not Reveal.NONE:
            assert names[member.value].endswith("_" + member.name)


def test_partial_is_the_default_mode() -> None:
    assert [convert.to_atomic(n) for n in (0, 1, 2)] == [False, False, True]
    with pytest.raises(InvalidRequestError):
        convert.to_atomic(3)


def test_page_sizes_have_a_default_and_a_maximum() -> None:
    assert [convert.to_page_size(n) for n in (0, 1, 1000, 1001)] == [100, 1, 1000, 1000]
    with pytest.raises(InvalidRequestError):
        convert.to_page_size(-1)


@given(st.integers(min_value=1, max_value=253_402_300_799_999))
def test_times_come_back_to_the_millisecond(ms: int) -> None:
    query = convert_audit.to_access_query(
        audit_service_pb2.ListAccessRequest(start_time=convert.timestamp(ms), end_time=convert.timestamp(ms))
    )
    assert (query.start_ms, query.end_ms) == (ms, ms)


def test_times_between_milliseconds_round_up_at_both_ends() -> None:
    between = Timestamp(seconds=1, nanos=1)
    query = convert_audit.to_access_query(
        audit_service_pb2.ListAccessRequest(start_time=between, end_time=between)
    )
    assert (query.start_ms, query.end_ms) == (1001, 1001)


def test_an_unbounded_query_covers_all_time() -> None:
    query = convert_audit.to_access_query(audit_service_pb2.ListAccessRequest(principal="crm"))
    assert (query.customer, query.principal) == (None, "crm")
    assert (query.start_ms, query.end_ms, query.page_size) == (0, 2**63 - 1, 100)


def test_what_an_access_query_asks() -> None:
    query = convert_audit.to_access_query(
        audit_service_pb2.ListAccessRequest(
            field_class="iban",
            purpose="support",
            actions=["Detokenize", "ApplyPolicy"],
            decision=audit_service_pb2.DECISION_DENIED,
            order=audit_service_pb2.ACCESS_ORDER_RECORDED,
            only_new=True,
        )
    )
    assert (query.field_class, query.purpose, query.actions) == (
        "iban",
        "support",
        ("Detokenize", "ApplyPolicy"),
    )
    assert (query.decision, query.as_recorded, query.only_new) == (Decision.DENIED, True, True)
    assert convert_audit.to_access_query(audit_service_pb2.ListAccessRequest()).decision is None


@pytest.mark.parametrize("unknown", [{"decision": 9}, {"order": 9}])
def test_numbers_that_an_access_query_does_not_know(unknown: dict[str, int]) -> None:
    with pytest.raises(InvalidRequestError):
        convert_audit.to_access_query(audit_service_pb2.ListAccessRequest(**unknown))


def test_never_leaves_a_time_unset() -> None:
    assert convert.timestamp(0) is None


def test_an_entry_result_carries_each_field() -> None:
    refused = FieldResult(Outcome.REFUSED, error=InvalidValueError("no @", field_class="email"))
    message = convert.entry_result(
        EntryResult("cv1_cd", True, (FieldResult(Outcome.CREATED, "cv1_ab"), refused))
    )
    assert message.customer_created
    assert message.customer_token == "cv1_cd"
    assert [r.outcome for r in message.results] == [1, 5]
    assert message.results[0].token == "cv1_ab"
    assert not message.results[0].HasField("error")
    assert message.results[1].error.message == "no @"


def test_a_refused_entry_carries_its_error_only() -> None:
    message = convert.entry_result(EntryResult(error=ShreddedError("gone")))
    assert message.error.message == "gone"
    assert not message.results


def test_denials_keep_index_and_reason() -> None:
    message = convert.translated(
        Translated(["cv1_ab", "", ""], [Denial(1, Reason.SHREDDED), Denial(2, Reason.TOKEN_UNKNOWN)])
    )
    assert list(message.tokens) == ["cv1_ab", "", ""]
    assert [(e.index, e.status.message) for e in message.errors] == [
        (1, "the customer was shredded"),
        (2, "no such token"),
    ]


def test_a_customer_carries_what_it_holds() -> None:
    message = convert.customer(CUSTOMER)
    assert same_fields(message, CUSTOMER, "customer_token state jurisdiction dek_generation shred_id")
    assert same_fields(message.held[0], HELD, "token field_class labels version")
    assert message.create_time.ToMilliseconds() == CUSTOMER.created_ms


def test_an_export_shows_values_and_why_some_are_missing() -> None:
    values = (
        ExportedValue(HELD, Secret("ada@example.org"), Reveal.PLAIN),
        ExportedValue(HELD, Secret("must not show"), Reveal.PLAIN, error=ShreddedError("gone")),
    )
    message = convert.export(Export(CUSTOMER, values))
    assert [(v.value, v.reveal) for v in message.values] == [("ada@example.org", 2), ("", 0)]
    assert same_fields(message.values[0], HELD, "token field_class labels")
    assert message.values[1].error.message == "gone"


def test_a_shred_carries_salt_and_certificate() -> None:
    message = convert_erasure.shred_result(ShredResult(5, 2, b"s" * 32, ERASURE, CERTIFICATE))
    assert (message.values, message.dek_generations, message.salt) == (5, 2, b"s" * 32)
    assert same_fields(message.erasure, ERASURE, "shred_id ledger_seq commitment")
    assert same_fields(message.certificate, CERTIFICATE, "content key_id")
    assert (message.erasure.stage, message.certificate.stage) == (1, 1)
    assert message.erasure.effective_time.ToMilliseconds() == ERASURE.effective_ms
    assert not message.erasure.HasField("final_time")


def test_an_erasure_says_what_it_waits_for() -> None:
    (awaited,) = convert_erasure.erasure(ERASURE).waits_for
    assert same_fields(awaited, AWAITED, "root_key_id epoch provider")
    assert (awaited.step, awaited.due_time.ToMilliseconds()) == (3, AWAITED.due_ms)
    assert (
        not convert_erasure.erasure(replace(ERASURE, waits_for=[replace(AWAITED, due_ms=None)]))
        .waits_for[0]
        .HasField("due_time")
    )


def test_a_final_erasure_says_since_when_and_how_sure() -> None:
    final = replace(ERASURE, stage=Stage.FINAL, final_ms=9_000, assurance=Assurance.HARDWARE, waits_for=[])
    message = convert_erasure.erasure(final)
    assert (message.stage, message.final_time.ToMilliseconds(), message.assurance) == (3, 9_000, "hardware")


@pytest.mark.parametrize("stage", [Stage.EFFECTIVE, Stage.FINAL_BEST_EFFORT, Stage.FINAL, Stage.HELD])
def test_a_stage_goes_there_and_back(stage: Stage) -> None:
    assert convert_erasure.to_stage(convert_erasure.erasure(replace(ERASURE, stage=stage)).stage) is stage


def test_no_stage_means_any_and_an_unknown_one_is_refused() -> None:
    assert convert_erasure.to_stage(0) is None
    with pytest.raises(InvalidRequestError):
        convert_erasure.to_stage(5)


def test_a_refused_shred_carries_its_error() -> None:
    message = convert_erasure.shred_result(ShredResult(error=ShreddedError("gone")))
    assert message.error.message == "gone"
    assert not message.HasField("erasure")


def test_the_remaining_answers_are_field_for_field() -> None:
    info = TokenInfo("crm", ValueState.LIVE, "cv1_cd", CustomerState.RESTRICTED, "email", ("a",), 4, 2, 1000)
    names = "domain state customer_token customer_state field_class labels version dek_generation"
    assert same_fields(convert.token_info(info), info, names)
    keyring = KeyringStatus("v", 1, 1000, "file", "best-effort", "root", "sign", 10, 2, 11, 3, 20, 19)
    names = (
        "vault_id epoch provider assurance root_key_id signing_key_id customers shredded_customers "
        "wrapped_deks token_key_generation ledger_entries ledger_applied"
    )
    assert same_fields(convert_keys.keyring_status(keyring), keyring, names)
    record = Access(5, "crm", "Detokenize", "support", 1, 2, 3, 4, ("email",), ("SHREDDED",), "detail")
    names = (
        "principal action purpose values_plain values_masked values_denied customers field_classes "
        "reasons detail"
    )
    assert same_fields(convert_audit.access(record), record, names)
    audit = AuditStatus(1, 2, 3, 4, True, 50, 6)
    names = "segments records bytes free_bytes writable sync_interval_ms gaps"
    assert same_fields(convert_audit.audit_status(audit), audit, names)
    policy = PolicyInForce("[principals]", 9, 1000)
    assert same_fields(convert_policy.policy(policy), policy, "document version")


def test_a_principal_is_active_or_revoked() -> None:
    active = convert_policy.principal(PrincipalInfo("crm", revoked=False, created_ms=1000))
    assert (active.state, active.HasField("revoke_time")) == (1, False)
    revoked = convert_policy.principal(PrincipalInfo("crm", revoked=True, created_ms=1000, revoked_ms=2000))
    assert (revoked.state, revoked.revoke_time.ToMilliseconds()) == (2, 2000)
