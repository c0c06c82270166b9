"""Every error of the vault, grouped by whose fault it is.

Rules:
- Each error carries one machine-readable `Reason`; the API hands it out as `ErrorInfo.reason`.
- A message never holds a value, a key, a token or an external id. `details` holds names, limits
  and sizes only.
- Two tamper cases never have two messages: `IntegrityFailedError` has exactly one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Machine-readable reasons; part of the API, so never renamed."""

    # The caller's request.
    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_VALUE = "INVALID_VALUE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    TOKEN_MALFORMED = "TOKEN_MALFORMED"  # noqa: S105 - a reason, not a password
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"  # noqa: S105 - a reason, not a password
    CUSTOMER_UNKNOWN = "CUSTOMER_UNKNOWN"
    ERASURE_UNKNOWN = "ERASURE_UNKNOWN"
    PURPOSE_UNKNOWN = "PURPOSE_UNKNOWN"
    APPROVAL_UNKNOWN = "APPROVAL_UNKNOWN"
    PRINCIPAL_UNKNOWN = "PRINCIPAL_UNKNOWN"
    PRINCIPAL_EXISTS = "PRINCIPAL_EXISTS"
    POLICY_INVALID = "POLICY_INVALID"
    SURROGATES_EXHAUSTED = "SURROGATES_EXHAUSTED"
    SURROGATE_TAKEN = "SURROGATE_TAKEN"
    TAG_REFUSED = "TAG_REFUSED"
    QUESTION_UNFIT = "QUESTION_UNFIT"
    BATCH_ABORTED = "BATCH_ABORTED"
    # What policy says.
    UNAUTHENTICATED = "UNAUTHENTICATED"
    SUSPENDED = "SUSPENDED"
    ACTION_DENIED = "ACTION_DENIED"
    DOMAIN_DENIED = "DOMAIN_DENIED"
    PURPOSE_DENIED = "PURPOSE_DENIED"
    REVEAL_DENIED = "REVEAL_DENIED"
    RESTRICTED = "RESTRICTED"
    CONSENT_MISSING = "CONSENT_MISSING"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    OBJECTED = "OBJECTED"
    HELD = "HELD"
    TRAINING_EXPIRED = "TRAINING_EXPIRED"
    REGION_DENIED = "REGION_DENIED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    TOKEN_BOUND = "TOKEN_BOUND"  # noqa: S105 - in the access log only; callers are told TOKEN_UNKNOWN
    # What is gone.
    SHREDDED = "SHREDDED"
    ALREADY_SHREDDED = "ALREADY_SHREDDED"
    VALUE_DELETED = "VALUE_DELETED"
    EXPIRED = "EXPIRED"
    TOKEN_USED = "TOKEN_USED"  # noqa: S105 - a reason, not a password
    TOKEN_REVOKED = "TOKEN_REVOKED"  # noqa: S105 - a reason, not a password
    # The vault itself.
    REPLY_FULL = "REPLY_FULL"
    SEARCH_INCOMPLETE = "SEARCH_INCOMPLETE"
    OVERLOADED = "OVERLOADED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    STORAGE_FULL = "STORAGE_FULL"
    STORAGE_STOPPED = "STORAGE_STOPPED"
    STORAGE_FORMAT = "STORAGE_FORMAT"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    KEY_UNAVAILABLE = "KEY_UNAVAILABLE"
    WITNESS_UNAVAILABLE = "WITNESS_UNAVAILABLE"
    LEDGER_BEHIND = "LEDGER_BEHIND"
    DATA_LOSS = "DATA_LOSS"
    INTEGRITY_FAILED = "INTEGRITY_FAILED"
    INTERNAL = "INTERNAL"


class VaultError(Exception):
    """Root of the tree. `reason` is the class's; `details` are safe to show and to log."""

    reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details: Mapping[str, str] = details


class CallerError(VaultError):
    """Expected: the caller can mend it."""


class InvalidRequestError(CallerError):
    """A field of the request is missing or out of its range."""

    reason = Reason.INVALID_REQUEST


class InvalidValueError(CallerError):
    """A value does not fit its field class. Says why, never the value."""

    reason = Reason.INVALID_VALUE


class LimitExceededError(CallerError):
    """A configured limit was exceeded; the details name it, its size and the request's."""

    reason = Reason.LIMIT_EXCEEDED


class RequestIdReusedError(CallerError):
    """The request id was used with another body."""

    reason = Reason.REQUEST_ID_REUSED


class TokenMalformedError(CallerError):
    """Not the text of a token."""

    reason = Reason.TOKEN_MALFORMED


class TokenUnknownError(CallerError):
    """Well-formed, but not issued by this vault, or of a domain the caller is not in."""

    reason = Reason.TOKEN_UNKNOWN


class CustomerUnknownError(CallerError):
    """No such customer."""

    reason = Reason.CUSTOMER_UNKNOWN


class ErasureUnknownError(CallerError):
    """No such shred id."""

    reason = Reason.ERASURE_UNKNOWN


class PrincipalUnknownError(CallerError):
    """No such principal."""

    reason = Reason.PRINCIPAL_UNKNOWN


class PrincipalExistsError(CallerError):
    """The principal is registered already."""

    reason = Reason.PRINCIPAL_EXISTS


class PurposeUnknownError(CallerError):
    """The policy declares no such purpose."""

    reason = Reason.PURPOSE_UNKNOWN


class ApprovalUnknownError(CallerError):
    """No such request for approval."""

    reason = Reason.APPROVAL_UNKNOWN


class PolicyInvalidError(CallerError):
    """The policy document does not parse or contradicts itself; nothing was changed."""

    reason = Reason.POLICY_INVALID


class SurrogatesExhaustedError(CallerError):
    """Nearly all surrogates that the value could have are given out; the details say how many there are."""

    reason = Reason.SURROGATES_EXHAUSTED


class SurrogateTakenError(CallerError):
    """A surrogate that the request brings stands for another value of this domain."""

    reason = Reason.SURROGATE_TAKEN


class TagRefusedError(CallerError):
    """A tag is not of the form that tags have, or looks like personal data. Never says what it was."""

    reason = Reason.TAG_REFUSED


class QuestionUnfitError(CallerError):
    """A question does not fit the value: not its field class, or it has no answer to it.

    Also where the token is for a single use, which is for reading and is not used up by a question.
    """

    reason = Reason.QUESTION_UNFIT


class BatchAbortedError(CallerError):
    """An atomic batch was given up because of another item."""

    reason = Reason.BATCH_ABORTED


class DeniedError(CallerError):
    """Policy says no."""


class UnauthenticatedError(DeniedError):
    """No certificate, or one that names no registered principal."""

    reason = Reason.UNAUTHENTICATED


class SuspendedError(DeniedError):
    """The principal is revoked or suspended."""

    reason = Reason.SUSPENDED


class ActionDeniedError(DeniedError):
    """The principal may not perform this act."""

    reason = Reason.ACTION_DENIED


class DomainDeniedError(DeniedError):
    """The principal is not in the domain it named."""

    reason = Reason.DOMAIN_DENIED


class PurposeDeniedError(DeniedError):
    """Nothing is granted for this principal, purpose and field class."""

    reason = Reason.PURPOSE_DENIED


class RevealDeniedError(DeniedError):
    """The plain value was asked for where only a mask is granted."""

    reason = Reason.REVEAL_DENIED


class RestrictedError(DeniedError):
    """Processing of this customer is restricted."""

    reason = Reason.RESTRICTED


class ConsentMissingError(DeniedError):
    """The purpose needs a consent that the customer never gave."""

    reason = Reason.CONSENT_MISSING


class ConsentWithdrawnError(DeniedError):
    """The customer withdrew or refused the consent, or it expired."""

    reason = Reason.CONSENT_WITHDRAWN


class ObjectedError(DeniedError):
    """The customer objected to this purpose."""

    reason = Reason.OBJECTED


class HeldError(DeniedError):
    """A legal hold keeps what was to be erased."""

    reason = Reason.HELD


class TrainingExpiredError(DeniedError):
    """The principal's training has lapsed or is not on record."""

    reason = Reason.TRAINING_EXPIRED


class RegionDeniedError(DeniedError):
    """The customer's jurisdiction is closed to the principal's region."""

    reason = Reason.REGION_DENIED


class ApprovalRequiredError(DeniedError):
    """A second principal has to approve this first; the details say how."""

    reason = Reason.APPROVAL_REQUIRED


class BudgetExceededError(DeniedError):
    """The principal has read as many customers as its budget allows in this window."""

    reason = Reason.BUDGET_EXCEEDED


class TokenBoundError(DeniedError):
    """The token is bound to another principal. Said to the access log; the caller hears of no such token."""

    reason = Reason.TOKEN_BOUND


class GoneError(CallerError):
    """It was here and was ended on purpose."""


class ShreddedError(GoneError):
    """The customer was shredded."""

    reason = Reason.SHREDDED


class AlreadyShreddedError(GoneError):
    """A shred of a customer that was shredded before."""

    reason = Reason.ALREADY_SHREDDED


class ValueDeletedError(GoneError):
    """The value was deleted."""

    reason = Reason.VALUE_DELETED


class ExpiredError(GoneError):
    """The value's or the token's time has passed."""

    reason = Reason.EXPIRED


class TokenUsedError(GoneError):
    """The token was for one use, and was used."""

    reason = Reason.TOKEN_USED


class TokenRevokedError(GoneError):
    """The token was revoked; its value is not concerned."""

    reason = Reason.TOKEN_REVOKED


class ServiceError(VaultError):
    """Unexpected: the vault's side; the caller can only wait or report."""


class ReplyFullError(ServiceError):
    """The reply reached its size limit; ask again for the remaining items."""

    reason = Reason.REPLY_FULL


class SearchIncompleteError(ServiceError):
    """The index of a look-up is still being built; the details say how far it is."""

    reason = Reason.SEARCH_INCOMPLETE


class OverloadedError(ServiceError):
    """Too much work is waiting; retry later, but not before `retry_after_seconds`."""

    reason = Reason.OVERLOADED

    def __init__(self, message: str, *, retry_after_seconds: float = 0.1, **details: str) -> None:
        super().__init__(message, **details)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(ServiceError):
    """The caller's deadline passed before the work began."""

    reason = Reason.DEADLINE_EXCEEDED


class StorageFullError(ServiceError):
    """No space for this write. Reads and shreds go on."""

    reason = Reason.STORAGE_FULL


class StorageStoppedError(ServiceError):
    """A commit or sync failed; writes are stopped until the stores are checked."""

    reason = Reason.STORAGE_STOPPED


class StorageFormatError(ServiceError):
    """A store has a format version that this program does not know."""

    reason = Reason.STORAGE_FORMAT


class AuditUnavailableError(ServiceError):
    """The access could not be recorded, so nothing was revealed."""

    reason = Reason.AUDIT_UNAVAILABLE


class KeyUnavailableError(ServiceError):
    """The keyring or its provider cannot be used now."""

    reason = Reason.KEY_UNAVAILABLE


class WitnessUnavailableError(ServiceError):
    """The ledger's mirror or witness cannot be used now; the same call may be made again."""

    reason = Reason.WITNESS_UNAVAILABLE


class LedgerBehindError(ServiceError):
    """The ledger ends before, or differs from, what its mirror or witness has seen of it."""

    reason = Reason.LEDGER_BEHIND


class DataLossError(ServiceError):
    """A genuine token's record is missing from the store."""

    reason = Reason.DATA_LOSS


class IntegrityFailedError(ServiceError):
    """Stored bytes fail their authentication. Takes no message, on purpose."""

    reason = Reason.INTEGRITY_FAILED

    def __init__(self, **details: str) -> None:
        super().__init__("stored data failed its integrity check", **details)


def error_for(reason: Reason) -> type[VaultError]:
    """The class of the tree that carries `reason`."""
    return _BY_REASON.get(reason, VaultError)


def _leaves(root: type[VaultError]) -> list[type[VaultError]]:
    return [leaf for sub in root.__subclasses__() for leaf in (_leaves(sub) or [sub])]


_BY_REASON = {leaf.reason: leaf for leaf in _leaves(VaultError)}
