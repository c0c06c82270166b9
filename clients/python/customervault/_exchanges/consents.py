"""Verbs of `ConsentService`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from customervault import _convert, consents
from customervault import _convert_consents as convert
from customervault._exchange import (
    Exchange,
    Page,
    Request,
    batches,
    request_id_of_batch,
    request_id_or_new,
)
from customervault.inputs import CustomerRef
from customervault.v1 import consent_service_pb2 as api

_SERVICE = "/customervault.v1.ConsentService/"


def record(
    ref: CustomerRef,
    purpose: str,
    decision: consents.ConsentDecision,
    *,
    evidence: consents.Evidence | None,
    expires: datetime | None,
    request_id: str | None,
) -> Exchange[consents.ConsentResult]:
    """A customer gives consent, or refuses it."""
    message = api.RecordConsentRequest(
        customer=_convert.ref_message(ref),
        purpose=purpose,
        decision=convert.decision_number(decision),
        evidence=convert.evidence_message(evidence),
        expire_time=_convert.timestamp(expires),
        request_id=request_id_or_new(request_id),
    )
    reply: api.RecordConsentResponse = yield Request(
        _SERVICE + "RecordConsent", message, api.RecordConsentResponse
    )
    return convert.result(reply.result)


def record_batches(
    entries: Iterable[consents.ConsentEntry], *, atomic: bool, request_id: str | None, max_batch: int
) -> Iterator[Exchange[list[consents.ConsentResult]]]:
    """What many customers say, one exchange per batch."""
    base = request_id_or_new(request_id)
    for number, batch in enumerate(batches(entries, max_batch)):
        message = api.BatchRecordConsentsRequest(
            entries=[convert.entry_message(entry) for entry in batch],
            mode=_convert.batch_mode(atomic),
            request_id=request_id_of_batch(base, number),
        )
        yield _record_batch(message)


def _record_batch(message: api.BatchRecordConsentsRequest) -> Exchange[list[consents.ConsentResult]]:
    reply: api.BatchRecordConsentsResponse = yield Request(
        _SERVICE + "BatchRecordConsents", message, api.BatchRecordConsentsResponse
    )
    return [convert.result(each) for each in reply.results]


def withdraw(
    ref: CustomerRef, purpose: str, *, evidence: consents.Evidence | None, request_id: str | None
) -> Exchange[consents.ConsentResult]:
    """A customer withdraws consent."""
    message = api.WithdrawConsentRequest(
        customer=_convert.ref_message(ref),
        purpose=purpose,
        evidence=convert.evidence_message(evidence),
        request_id=request_id_or_new(request_id),
    )
    reply: api.WithdrawConsentResponse = yield Request(
        _SERVICE + "WithdrawConsent", message, api.WithdrawConsentResponse
    )
    return convert.result(reply.result)


def objection(
    ref: CustomerRef, purpose: str, *, evidence: consents.Evidence | None, request_id: str | None
) -> Exchange[consents.ConsentResult]:
    """A customer objects."""
    message = api.RecordObjectionRequest(
        customer=_convert.ref_message(ref),
        purpose=purpose,
        evidence=convert.evidence_message(evidence),
        request_id=request_id_or_new(request_id),
    )
    reply: api.RecordObjectionResponse = yield Request(
        _SERVICE + "RecordObjection", message, api.RecordObjectionResponse
    )
    return convert.result(reply.result)


def state(ref: CustomerRef, purposes: Sequence[str]) -> Exchange[list[consents.PurposeConsent]]:
    """Where purposes stand."""
    message = api.GetConsentStateRequest(customer=_convert.ref_message(ref), purposes=purposes)
    reply: api.GetConsentStateResponse = yield Request(
        _SERVICE + "GetConsentState", message, api.GetConsentStateResponse
    )
    return [convert.purpose_consent(each) for each in reply.purposes]


def event_page(
    page_token: str, *, ref: CustomerRef, purpose: str, page_size: int
) -> Exchange[Page[consents.ConsentEvent]]:
    """One page of a customer's events."""
    message = api.ListConsentEventsRequest(
        customer=_convert.ref_message(ref), page_size=page_size, page_token=page_token, purpose=purpose
    )
    reply: api.ListConsentEventsResponse = yield Request(
        _SERVICE + "ListConsentEvents", message, api.ListConsentEventsResponse
    )
    return [convert.event(each) for each in reply.events], reply.next_page_token


def receipt(ref: CustomerRef, event: int, *, domain: str) -> Exchange[consents.ConsentReceipt]:
    """A signed receipt of one event."""
    message = api.GetReceiptRequest(customer=_convert.ref_message(ref), event=event, domain=domain)
    reply: api.GetReceiptResponse = yield Request(_SERVICE + "GetReceipt", message, api.GetReceiptResponse)
    return consents.ConsentReceipt(reply.content, reply.key_id)


def export(ref: CustomerRef, *, domain: str) -> Exchange[bytes]:
    """All consent records of a customer."""
    message = api.ExportConsentsRequest(customer=_convert.ref_message(ref), domain=domain)
    reply: api.ExportConsentsResponse = yield Request(
        _SERVICE + "ExportConsents", message, api.ExportConsentsResponse
    )
    return reply.content


def signal(
    ref: CustomerRef, sec_gpc: str | None, *, evidence: consents.Evidence | None, request_id: str | None
) -> Exchange[consents.IngestedSignal]:
    """A browser's signal."""
    message = api.IngestSignalRequest(
        customer=_convert.ref_message(ref),
        sec_gpc=sec_gpc,
        evidence=convert.evidence_message(evidence),
        request_id=request_id_or_new(request_id),
    )
    reply: api.IngestSignalResponse = yield Request(
        _SERVICE + "IngestSignal", message, api.IngestSignalResponse
    )
    return consents.IngestedSignal(reply.recognized, tuple(convert.result(each) for each in reply.results))
