"""`ConsentService`: what customers have agreed to."""

from customervault.v1 import consent_service_pb2 as pb

from vault.core.vault import Vault
from vault.errors import InvalidRequestError
from vault.model.consents import ConsentAct, Saying
from vault.model.requests import Caller
from vault.server import convert, convert_consents

_ANSWERS = frozenset({Saying.GIVEN, Saying.REFUSED})


class ConsentService:
    """Records what customers say of purposes, and tells it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def record_consent(self, caller: Caller, request: pb.RecordConsentRequest) -> pb.RecordConsentResponse:
        """A customer gives consent, or refuses it."""
        act = convert_consents.to_act(request)
        if act.saying not in _ANSWERS:
            raise InvalidRequestError("decision: has to be GIVEN or REFUSED", field="decision")
        answer = self._vault.record_consent(caller, act, request_id=request.request_id)
        return pb.RecordConsentResponse(result=convert_consents.result(answer))

    def batch_record_consents(
        self, caller: Caller, request: pb.BatchRecordConsentsRequest
    ) -> pb.BatchRecordConsentsResponse:
        """What many customers say."""
        answers = self._vault.record_consents(
            caller,
            [convert_consents.to_act(entry) for entry in request.entries],
            request_id=request.request_id,
            atomic=convert.to_atomic(request.mode),
        )
        return pb.BatchRecordConsentsResponse(results=[convert_consents.result(each) for each in answers])

    def withdraw_consent(
        self, caller: Caller, request: pb.WithdrawConsentRequest
    ) -> pb.WithdrawConsentResponse:
        """A customer withdraws consent."""
        act = self._act(request, Saying.WITHDRAWN)
        answer = self._vault.record_consent(
            caller, act, request_id=request.request_id, method="WithdrawConsent"
        )
        return pb.WithdrawConsentResponse(result=convert_consents.result(answer))

    def record_objection(
        self, caller: Caller, request: pb.RecordObjectionRequest
    ) -> pb.RecordObjectionResponse:
        """A customer objects."""
        act = self._act(request, Saying.OBJECTED)
        answer = self._vault.record_consent(
            caller, act, request_id=request.request_id, method="RecordObjection"
        )
        return pb.RecordObjectionResponse(result=convert_consents.result(answer))

    def get_consent_state(
        self, caller: Caller, request: pb.GetConsentStateRequest
    ) -> pb.GetConsentStateResponse:
        """Where purposes stand."""
        found = self._vault.consent_state(caller, convert.to_ref(request.customer), request.purposes)
        return pb.GetConsentStateResponse(
            purposes=[convert_consents.purpose_consent(each) for each in found]
        )  # fmt: skip

    def list_consent_events(
        self, caller: Caller, request: pb.ListConsentEventsRequest
    ) -> pb.ListConsentEventsResponse:
        """A customer's events."""
        page = self._vault.list_consent_events(
            caller,
            convert.to_ref(request.customer),
            request.purpose,
            convert.to_page_size(request.page_size),
            request.page_token,
        )
        return pb.ListConsentEventsResponse(
            events=[convert_consents.event(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def get_receipt(self, caller: Caller, request: pb.GetReceiptRequest) -> pb.GetReceiptResponse:
        """A signed receipt of one event."""
        receipt = self._vault.consent_receipt(
            caller, convert.to_ref(request.customer), request.event, request.domain
        )
        return pb.GetReceiptResponse(content=receipt.content, key_id=receipt.key_id)

    def export_consents(self, caller: Caller, request: pb.ExportConsentsRequest) -> pb.ExportConsentsResponse:
        """All consent records of a customer."""
        content = self._vault.export_consents(caller, convert.to_ref(request.customer), request.domain)
        return pb.ExportConsentsResponse(content=content)

    def ingest_signal(self, caller: Caller, request: pb.IngestSignalRequest) -> pb.IngestSignalResponse:
        """A browser's signal."""
        answer = self._vault.ingest_signal(
            caller,
            convert.to_ref(request.customer),
            request.sec_gpc if request.HasField("sec_gpc") else None,
            convert_consents.to_evidence(request.evidence),
            request.request_id,
        )
        return pb.IngestSignalResponse(
            recognized=answer.recognized, results=[convert_consents.result(each) for each in answer.answers]
        )

    def _act(
        self, request: pb.WithdrawConsentRequest | pb.RecordObjectionRequest, saying: Saying
    ) -> ConsentAct:
        ref, evidence = convert.to_ref(request.customer), convert_consents.to_evidence(request.evidence)
        return ConsentAct(ref, request.purpose, saying, evidence)
