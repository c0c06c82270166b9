"""Between messages of `ConsentService` and the client's own types; as `_convert`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

from google.protobuf.timestamp_pb2 import Timestamp

from customervault import consents
from customervault._convert import ref_message, timestamp
from customervault._status import error_of_status
from customervault.inputs import as_ref
from customervault.v1 import consent_service_pb2 as api

_DECISIONS: Sequence[consents.ConsentDecision] = get_args(consents.ConsentDecision)
_KINDS: Sequence[consents.ConsentEventKind] = get_args(consents.ConsentEventKind)
_ACTORS: Sequence[consents.ConsentActor] = get_args(consents.ConsentActor)
_STATES: Sequence[consents.ConsentState] = get_args(consents.ConsentState)


def evidence_message(evidence: consents.Evidence | None) -> api.ConsentEvidence | None:
    """How a customer said it; unset for None.

    Raises:
        ValueError: An unknown actor, or a naive time.
    """
    if evidence is None:
        return None
    return api.ConsentEvidence(
        notice_version=evidence.notice_version,
        text_sha256=evidence.text_sha256,
        locale=evidence.locale,
        method=evidence.method,
        actor=api.ConsentActor.values()[_number(_ACTORS, evidence.actor)],
        act_time=timestamp(evidence.acted),
    )


def decision_number(decision: consents.ConsentDecision) -> "api.ConsentDecision.ValueType":
    """The API's number of a decision.

    Raises:
        ValueError: There is no such decision.
    """
    return api.ConsentDecision.values()[_number(_DECISIONS, decision)]


def entry_message(entry: consents.ConsentEntry) -> api.ConsentEntry:
    """One act of a batch."""
    return api.ConsentEntry(
        customer=ref_message(as_ref(entry.customer)),
        purpose=entry.purpose,
        decision=decision_number(entry.decision),
        evidence=evidence_message(entry.evidence),
        expire_time=timestamp(entry.expires),
    )


def result(message: api.ConsentResult) -> consents.ConsentResult:
    """What came of an act."""
    return consents.ConsentResult(
        purpose=message.purpose,
        event=message.event,
        time=_time(message.event_time),
        state=_STATES[message.state] if message.state < len(_STATES) else "none",
        remaining_bases=tuple(message.remaining_bases),
        error=error_of_status(message.error) if message.HasField("error") else None,
    )


def purpose_consent(message: api.PurposeConsent) -> consents.PurposeConsent:
    """Where a purpose stands."""
    return consents.PurposeConsent(
        purpose=message.purpose,
        state=_STATES[message.state] if message.state < len(_STATES) else "none",
        since=_time(message.since_time),
        expires=_time(message.expire_time),
        notice_version=message.notice_version,
        event=message.event,
        needs_consent=message.needs_consent,
        other_bases=tuple(message.other_bases),
    )


def event(message: api.ConsentEvent) -> consents.ConsentEvent:
    """One event."""
    said = message.evidence
    return consents.ConsentEvent(
        number=message.number,
        kind=_KINDS[message.kind] if message.kind < len(_KINDS) else "unknown",
        purpose=message.purpose,
        time=_time(message.time),
        evidence=consents.Evidence(
            said.notice_version,
            said.text_sha256,
            said.locale,
            said.method,
            _ACTORS[said.actor] if said.actor < len(_ACTORS) else "unknown",
            _time(said.act_time),
        ),
        expires=_time(message.expire_time),
        principal=message.principal,
        jurisdiction=message.jurisdiction,
        sha256=message.sha256,
        previous_sha256=message.previous_sha256,
    )


def _number(names: Sequence[str], name: str) -> int:
    if name not in names[1:]:
        raise ValueError(f"{name!r} is none of {', '.join(names[1:])}")
    return names.index(name)


def _time(time: Timestamp) -> datetime | None:
    """A time; the vault states none as an empty message."""
    return time.ToDatetime(tzinfo=UTC) if time.seconds or time.nanos else None
