"""The one mapping of the vault's errors to `google.rpc.Status`.

Rules:
- Every `Reason` has a code here, and a sentence for items that failed with a reason alone.
- Every status carries `ErrorInfo(domain="customervault", reason, metadata=details)`. OVERLOADED adds
  `RetryInfo`, with the wait that the error asks for.
- An exception that is not a `VaultError` tells the caller nothing but an incident id.
- Statuses travel in HTTP/2 trailers, which peers cap at 8 KiB, so messages are cut.
"""

import functools
import secrets
from collections.abc import Mapping
from typing import NamedTuple, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from vault.errors import OverloadedError, Reason, VaultError

ERROR_DOMAIN = "customervault"
MAX_MESSAGE_BYTES = 1000
MAX_DETAIL_BYTES = 200
RETRY_DELAY_MS = 100

Code = grpc.StatusCode


class _Meaning(NamedTuple):
    code: grpc.StatusCode
    sentence: str


MEANINGS: dict[Reason, _Meaning] = {
    Reason.INVALID_REQUEST: _Meaning(Code.INVALID_ARGUMENT, "the request is not valid"),
    Reason.INVALID_VALUE: _Meaning(Code.INVALID_ARGUMENT, "the value does not fit its field class"),
    Reason.LIMIT_EXCEEDED: _Meaning(Code.INVALID_ARGUMENT, "a configured limit was exceeded"),
    Reason.REQUEST_ID_REUSED: _Meaning(Code.INVALID_ARGUMENT, "the request id was used for another request"),
    Reason.TOKEN_MALFORMED: _Meaning(Code.INVALID_ARGUMENT, "not a token"),
    Reason.TOKEN_UNKNOWN: _Meaning(Code.NOT_FOUND, "no such token"),
    Reason.CUSTOMER_UNKNOWN: _Meaning(Code.NOT_FOUND, "no such customer"),
    Reason.ERASURE_UNKNOWN: _Meaning(Code.NOT_FOUND, "no such erasure"),
    Reason.PRINCIPAL_UNKNOWN: _Meaning(Code.NOT_FOUND, "no such principal"),
    Reason.PRINCIPAL_EXISTS: _Meaning(Code.ALREADY_EXISTS, "the principal is registered already"),
    Reason.PURPOSE_UNKNOWN: _Meaning(Code.NOT_FOUND, "the policy declares no such purpose"),
    Reason.APPROVAL_UNKNOWN: _Meaning(Code.NOT_FOUND, "no such request for approval"),
    Reason.POLICY_INVALID: _Meaning(Code.INVALID_ARGUMENT, "the policy is not valid"),
    Reason.BATCH_ABORTED: _Meaning(Code.ABORTED, "given up because of another item of the batch"),
    Reason.SURROGATES_EXHAUSTED: _Meaning(
        Code.RESOURCE_EXHAUSTED, "nearly all surrogates of this form are given out"
    ),
    Reason.SURROGATE_TAKEN: _Meaning(Code.ALREADY_EXISTS, "the surrogate stands for another value"),
    Reason.TAG_REFUSED: _Meaning(Code.INVALID_ARGUMENT, "not a tag, or one that looks like personal data"),
    Reason.QUESTION_UNFIT: _Meaning(
        Code.INVALID_ARGUMENT, "the question does not fit the value, its class or its token"
    ),
    Reason.UNAUTHENTICATED: _Meaning(Code.UNAUTHENTICATED, "no principal is known for this certificate"),
    Reason.SUSPENDED: _Meaning(Code.PERMISSION_DENIED, "the principal is revoked or suspended"),
    Reason.ACTION_DENIED: _Meaning(Code.PERMISSION_DENIED, "the principal may not do this"),
    Reason.DOMAIN_DENIED: _Meaning(Code.PERMISSION_DENIED, "the principal is not in this domain"),
    Reason.PURPOSE_DENIED: _Meaning(Code.PERMISSION_DENIED, "nothing is granted for this purpose and class"),
    Reason.REVEAL_DENIED: _Meaning(Code.PERMISSION_DENIED, "only a masked value is granted"),
    Reason.RESTRICTED: _Meaning(Code.PERMISSION_DENIED, "processing of this customer is restricted"),
    Reason.CONSENT_MISSING: _Meaning(
        Code.PERMISSION_DENIED, "the customer has not consented to this purpose"
    ),
    Reason.CONSENT_WITHDRAWN: _Meaning(
        Code.PERMISSION_DENIED, "the customer's consent to this purpose has ended"
    ),
    Reason.OBJECTED: _Meaning(Code.PERMISSION_DENIED, "the customer objected to this purpose"),
    Reason.HELD: _Meaning(Code.FAILED_PRECONDITION, "a legal hold keeps this from being erased"),
    Reason.TRAINING_EXPIRED: _Meaning(Code.PERMISSION_DENIED, "the principal's training is not valid"),
    Reason.REGION_DENIED: _Meaning(
        Code.PERMISSION_DENIED, "the customer's jurisdiction is closed to this region"
    ),
    Reason.APPROVAL_REQUIRED: _Meaning(
        Code.FAILED_PRECONDITION, "a second principal has to approve this first"
    ),
    Reason.BUDGET_EXCEEDED: _Meaning(
        Code.RESOURCE_EXHAUSTED, "the budget of customers for this window is used up"
    ),
    Reason.TOKEN_BOUND: _Meaning(Code.NOT_FOUND, "no such token"),
    Reason.SHREDDED: _Meaning(Code.NOT_FOUND, "the customer was shredded"),
    Reason.ALREADY_SHREDDED: _Meaning(Code.FAILED_PRECONDITION, "the customer was shredded before"),
    Reason.VALUE_DELETED: _Meaning(Code.NOT_FOUND, "the value was deleted"),
    Reason.EXPIRED: _Meaning(Code.NOT_FOUND, "the value's or the token's time has passed"),
    Reason.TOKEN_USED: _Meaning(Code.NOT_FOUND, "the token was for one use, and was used"),
    Reason.TOKEN_REVOKED: _Meaning(Code.NOT_FOUND, "the token was revoked"),
    Reason.REPLY_FULL: _Meaning(Code.RESOURCE_EXHAUSTED, "the reply is full; ask again for this item"),
    Reason.SEARCH_INCOMPLETE: _Meaning(
        Code.FAILED_PRECONDITION, "the index of this look-up is still being built"
    ),
    Reason.OVERLOADED: _Meaning(Code.RESOURCE_EXHAUSTED, "too much work is waiting; retry later"),
    Reason.DEADLINE_EXCEEDED: _Meaning(Code.DEADLINE_EXCEEDED, "the deadline passed before the work began"),
    Reason.STORAGE_FULL: _Meaning(Code.RESOURCE_EXHAUSTED, "no space is left for this write"),
    Reason.STORAGE_STOPPED: _Meaning(Code.UNAVAILABLE, "writes are stopped until the stores are checked"),
    Reason.STORAGE_FORMAT: _Meaning(Code.FAILED_PRECONDITION, "the stores have an unknown format"),
    Reason.AUDIT_UNAVAILABLE: _Meaning(Code.UNAVAILABLE, "the access could not be recorded"),
    Reason.KEY_UNAVAILABLE: _Meaning(Code.UNAVAILABLE, "the keyring cannot be used now"),
    Reason.WITNESS_UNAVAILABLE: _Meaning(Code.UNAVAILABLE, "the mirror or witness cannot be used now"),
    Reason.LEDGER_BEHIND: _Meaning(Code.FAILED_PRECONDITION, "the ledger is behind its mirror or witness"),
    Reason.DATA_LOSS: _Meaning(Code.DATA_LOSS, "the token's record is missing"),
    Reason.INTEGRITY_FAILED: _Meaning(Code.DATA_LOSS, "stored data failed its integrity check"),
    Reason.INTERNAL: _Meaning(Code.INTERNAL, "internal error"),
}


def code_for(reason: Reason) -> grpc.StatusCode:
    """The gRPC code that stands for `reason`."""
    return MEANINGS[reason].code


def status_of(error: VaultError) -> Status:
    """The status of an expected error: its message, reason and details."""
    retry_ms = RETRY_DELAY_MS
    if isinstance(error, OverloadedError):
        retry_ms = max(1, round(error.retry_after_seconds * 1000))
    return _status(error.reason, str(error) or MEANINGS[error.reason].sentence, error.details, retry_ms)


def status_of_reason(reason: Reason) -> Status:
    """The status of a batch's item that failed; one shared object a reason, to copy from."""
    return _BY_REASON[reason]


def status_of_incident(incident: str) -> Status:
    """The status of an unexpected exception: nothing but the id under which it was logged."""
    return _status(Reason.INTERNAL, f"internal error; incident {incident}", {"incident": incident})


def new_incident() -> str:
    """A fresh incident id (10 hex digits)."""
    return secrets.token_hex(5)


def overloaded(error: OverloadedError) -> grpc.Status:
    """The status of a refusal for load, ready made where it was made before: refusing has to be cheap."""
    return _overloaded(str(error), error.retry_after_seconds, tuple(error.details.items()))


@functools.lru_cache(256)
def _overloaded(
    message: str, retry_after_seconds: float, details: tuple[tuple[str, str], ...]
) -> grpc.Status:
    error = OverloadedError(message, retry_after_seconds=retry_after_seconds, **dict(details))
    return to_grpc(status_of(error))


def to_grpc(status: Status) -> grpc.Status:
    """The form that `context.abort_with_status` takes."""
    return cast(grpc.Status, rpc_status.to_status(status))


def _status(
    reason: Reason, message: str, details: Mapping[str, str], retry_ms: int = RETRY_DELAY_MS
) -> Status:
    info = ErrorInfo(reason=reason.value, domain=ERROR_DOMAIN)
    for name, detail in details.items():
        info.metadata[name] = _cut(detail, MAX_DETAIL_BYTES)
    status = Status(code=code_for(reason).value[0], message=_cut(message, MAX_MESSAGE_BYTES))
    status.details.add().Pack(info)
    if reason is Reason.OVERLOADED:
        delay = Duration()
        delay.FromMilliseconds(retry_ms)
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status


def _cut(text: str, size: int) -> str:
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= size else encoded[: size - 3].decode(errors="ignore") + "…"


_BY_REASON = {reason: _status(reason, meaning.sentence, {}) for reason, meaning in MEANINGS.items()}
