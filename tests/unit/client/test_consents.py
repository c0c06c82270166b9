from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from customervault import errors
from customervault.consents import ConsentEntry, Evidence
from customervault.v1 import common_pb2
from customervault.v1 import consent_service_pb2 as api
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.client.scripted_vault import Failure, ScriptedVault

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = Timestamp(seconds=int(THEN.timestamp()))
SAID = Evidence("2026-03", b"t" * 32, "de-AT", "web_form", "guardian", THEN)


def test_a_consent_is_sent_with_its_evidence_and_answered(server: ScriptedVault, connect: Any) -> None:
    result = api.ConsentResult(
        event=3,
        event_time=STAMP,
        state=api.CONSENT_STATE_GIVEN,
        remaining_bases=["contract"],
        purpose="marketing",
    )
    server.script("RecordConsent", api.RecordConsentResponse(result=result))
    answer = connect().record_consent("marketing", token="cv1_c", evidence=SAID, expires=THEN)
    (request,) = server.requests("RecordConsent")
    assert (request.customer.token, request.purpose) == ("cv1_c", "marketing")
    assert (request.decision, request.expire_time) == (api.CONSENT_DECISION_GIVEN, STAMP)
    assert request.request_id
    assert request.evidence == api.ConsentEvidence(
        notice_version="2026-03",
        text_sha256=b"t" * 32,
        locale="de-AT",
        method="web_form",
        actor=api.CONSENT_ACTOR_GUARDIAN,
        act_time=STAMP,
    )
    assert (answer.event, answer.time, answer.state) == (3, THEN, "given")
    assert (answer.purpose, answer.remaining_bases, answer.error) == ("marketing", ("contract",), None)


def test_a_batch_keeps_failures_in_its_answers(server: ScriptedVault, connect: Any) -> None:
    refused = Failure(grpc.StatusCode.NOT_FOUND, "CUSTOMER_UNKNOWN").status()
    results = [
        api.ConsentResult(event=1, state=api.CONSENT_STATE_WITHDRAWN),
        api.ConsentResult(error=refused),
    ]
    server.script("BatchRecordConsents", api.BatchRecordConsentsResponse(results=results))
    entries = [ConsentEntry("c1", "marketing", "refused", SAID), ConsentEntry("c2", "marketing")]
    first, second = connect().record_consents(entries, atomic=True)
    (request,) = server.requests("BatchRecordConsents")
    assert request.mode == common_pb2.BATCH_MODE_ATOMIC
    assert [each.decision for each in request.entries] == [
        api.CONSENT_DECISION_REFUSED,
        api.CONSENT_DECISION_GIVEN,
    ]
    assert (first.state, first.error) == ("withdrawn", None)
    assert isinstance(second.error, errors.NotFoundError)


def test_states_and_events_come_back_as_they_are(server: ScriptedVault, connect: Any) -> None:
    state = api.PurposeConsent(
        purpose="marketing",
        state=api.CONSENT_STATE_OBJECTED,
        since_time=STAMP,
        notice_version="7",
        event=2,
        needs_consent=True,
        other_bases=["contract"],
    )
    server.script("GetConsentState", api.GetConsentStateResponse(purposes=[state]))
    (found,) = connect().consent_state("marketing", external_id="c1")
    assert list(server.requests("GetConsentState")[0].purposes) == ["marketing"]
    assert (found.state, found.since, found.expires, found.event) == ("objected", THEN, None, 2)
    assert (found.needs_consent, found.other_bases, found.notice_version) == (True, ("contract",), "7")
    event = api.ConsentEvent(
        number=2,
        kind=api.CONSENT_EVENT_KIND_OBJECTED,
        purpose="marketing",
        time=STAMP,
        evidence=api.ConsentEvidence(method="gpc", actor=api.CONSENT_ACTOR_VAULT),
        sha256=b"h" * 32,
        previous_sha256=b"p" * 32,
    )
    server.script("ListConsentEvents", api.ListConsentEventsResponse(events=[event]))
    (listed,) = connect().list_consent_events(external_id="c1", purpose="marketing")
    assert (listed.number, listed.kind, listed.time, listed.expires) == (2, "objected", THEN, None)
    assert listed.evidence == Evidence(method="gpc", actor="vault")
    assert (listed.sha256, listed.previous_sha256) == (b"h" * 32, b"p" * 32)


@pytest.mark.parametrize("sec_gpc", ["1", "", None])
def test_an_absent_header_is_told_from_an_empty_one(
    server: ScriptedVault, connect: Any, sec_gpc: str | None
) -> None:
    server.script("IngestSignal", api.IngestSignalResponse(recognized=sec_gpc == "1"))
    assert connect().ingest_signal(sec_gpc, external_id="c1").recognized is (sec_gpc == "1")
    (request,) = server.requests("IngestSignal")
    assert request.HasField("sec_gpc") is (sec_gpc is not None)


def test_an_unknown_decision_is_not_sent(server: ScriptedVault, connect: Any) -> None:
    with pytest.raises(ValueError, match="maybe"):
        connect().record_consent("marketing", "maybe", external_id="c1")
    with pytest.raises(ValueError, match="somebody"):
        connect().withdraw_consent("marketing", external_id="c1", evidence=Evidence(actor="somebody"))  # type: ignore[arg-type]
    assert server.received == []
