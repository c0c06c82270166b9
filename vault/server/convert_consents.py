"""The mapping between protobuf messages and the model, for consents; as `convert`.

Numbers of states, kinds and actors stand in the order of the API's.
"""

# ruff: noqa: D103 - the writers are named after the message that they write

from typing import Final

from customervault.v1 import consent_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from vault.consent.events import Actor, ConsentEvent, Kind
from vault.errors import InvalidRequestError
from vault.model.consents import ConsentAct, ConsentAnswer, Evidence, PurposeConsent, Saying
from vault.server.convert import timestamp, to_ref
from vault.server.status import status_of

_KINDS: Final = {kind: number for number, kind in enumerate(Kind, 1)}
_ACTORS: Final = {actor: number for number, actor in enumerate(Actor, 1)}
_ACTS: Final = {0: Actor.CUSTOMER} | {number: actor for actor, number in _ACTORS.items()}

# Requests


def to_act(message: pb.RecordConsentRequest | pb.ConsentEntry) -> ConsentAct:
    """What a customer says."""
    try:
        saying = Saying(message.decision)
    except ValueError:
        raise InvalidRequestError("decision: has to be stated", field="decision") from None
    expires_ms = _to_ms(message.expire_time) if message.HasField("expire_time") else 0
    if message.HasField("expire_time") and expires_ms <= 0:
        raise InvalidRequestError("expire_time: lies in the past", field="expire_time")
    return ConsentAct(
        to_ref(message.customer), message.purpose, saying, to_evidence(message.evidence), expires_ms
    )


def to_evidence(message: pb.ConsentEvidence) -> Evidence:
    """How a customer said it."""
    if message.actor not in _ACTS:
        raise InvalidRequestError("actor: unknown number", field="actor")
    return Evidence(
        notice_version=message.notice_version,
        text_sha256=message.text_sha256,
        locale=message.locale,
        method=message.method,
        acted=_ACTS[message.actor].value,
        acted_ms=_to_ms(message.act_time) if message.HasField("act_time") else 0,
    )


def _to_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000


# Responses


def result(answer: ConsentAnswer) -> pb.ConsentResult:
    if answer.error is not None:
        return pb.ConsentResult(purpose=answer.purpose, error=status_of(answer.error))
    return pb.ConsentResult(
        purpose=answer.purpose,
        event=answer.event,
        event_time=timestamp(answer.time_ms),
        state=pb.ConsentState.ValueType(answer.state),
        remaining_bases=[each.value for each in answer.remaining_bases],
    )


def purpose_consent(model: PurposeConsent) -> pb.PurposeConsent:
    return pb.PurposeConsent(
        purpose=model.purpose,
        state=pb.ConsentState.ValueType(model.state),
        since_time=timestamp(model.since_ms),
        expire_time=timestamp(model.expires_ms),
        notice_version=model.notice_version,
        event=model.event,
        needs_consent=model.needs_consent,
        other_bases=[each.value for each in model.other_bases],
    )


def event(model: ConsentEvent) -> pb.ConsentEvent:
    return pb.ConsentEvent(
        number=model.seq,
        kind=pb.ConsentEventKind.ValueType(_KINDS[model.kind]),
        purpose=model.purpose_name,
        time=timestamp(model.time_ms),
        evidence=pb.ConsentEvidence(
            notice_version=model.notice_version,
            text_sha256=model.text_sha256,
            locale=model.locale,
            method=model.method,
            actor=pb.ConsentActor.ValueType(_ACTORS[model.acted]),
            act_time=timestamp(model.acted_ms),
        ),
        expire_time=timestamp(model.expires_ms),
        principal=model.principal,
        jurisdiction=model.jurisdiction,
        sha256=model.digest(),
        previous_sha256=model.previous,
    )
