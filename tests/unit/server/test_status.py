import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from vault.errors import IntegrityFailedError, LimitExceededError, OverloadedError, Reason, error_for
from vault.server import status


def info_of(message: Status) -> ErrorInfo:
    info = ErrorInfo()
    assert message.details[0].Unpack(info)
    return info


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_code_and_a_sentence(reason: Reason) -> None:
    message = status.status_of_reason(reason)
    assert message.code == status.code_for(reason).value[0] != grpc.StatusCode.OK.value[0]
    assert message.message
    assert info_of(message).reason == reason.value
    assert info_of(message).domain == "customervault"


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.INTEGRITY_FAILED])
def test_an_error_keeps_its_message_and_details(reason: Reason) -> None:
    message = status.status_of(error_for(reason)("too many", limit="batch_tokens"))
    assert message.code == status.code_for(reason).value[0]
    assert message.message == "too many"
    assert dict(info_of(message).metadata) == {"limit": "batch_tokens"}


def test_two_tamper_cases_have_one_message() -> None:
    batch, single = status.status_of_reason(Reason.INTEGRITY_FAILED), status.status_of(IntegrityFailedError())
    assert batch == single


def test_overloaded_says_when_to_retry() -> None:
    retry = RetryInfo()
    assert status.status_of(OverloadedError("busy")).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == status.RETRY_DELAY_MS


def test_only_overloaded_says_when_to_retry() -> None:
    assert [r for r in Reason if len(status.status_of_reason(r).details) > 1] == [Reason.OVERLOADED]


def test_long_messages_fit_into_trailers() -> None:
    message = status.status_of(LimitExceededError("ü" * 5000, limit="Ω" * 5000))
    assert len(message.message.encode()) <= status.MAX_MESSAGE_BYTES
    assert message.message.endswith("ü…")
    assert sum(len(value) for _, value in status.to_grpc(message).trailing_metadata) < 4096


def test_an_incident_tells_its_id_and_nothing_else() -> None:
    incident = status.new_incident()
    message = status.status_of_incident(incident)
    assert message.code == grpc.StatusCode.INTERNAL.value[0]
    assert dict(info_of(message).metadata) == {"incident": incident}
    assert incident in message.message
    assert status.new_incident() != incident


def test_the_grpc_form_carries_code_and_details() -> None:
    form = status.to_grpc(status.status_of(OverloadedError("busy")))
    assert form.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert form.details == "busy"
    (key, value), *_ = form.trailing_metadata
    assert key == "grpc-status-details-bin"
    assert Status.FromString(value) == status.status_of(OverloadedError("busy"))
