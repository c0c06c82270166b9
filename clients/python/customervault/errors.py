"""Every error of the client, grouped by what the caller can do about it.

Rules:
- `reason` is the server's machine-readable reason. A reason that this client does not know keeps
  its text and gets the nearest class by gRPC code.
- Messages never hold a value, a key or a token; `details` holds names, limits and sizes.
- Errors of single items are the same classes as errors of calls.
"""

from collections.abc import Mapping
from typing import ClassVar


class VaultError(Exception):
    """Root of the tree.

    Attributes:
        reason: Machine-readable reason, for example `PURPOSE_DENIED`.
        message: Text for people.
        details: What the server adds: names, limits, sizes.
        code: Name of the gRPC status code, empty when no call was made.
        retry_after_seconds: How long the server asks to wait, if it does.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        details: Mapping[str, str] | None = None,
        code: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.details = dict(details or {})
        self.code = code
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class ConfigurationError(VaultError):
    """The client was given too little, or something unusable, to connect with."""

    default_reason = "CONFIGURATION"


class ClosedError(VaultError):
    """The client was closed."""

    default_reason = "CLOSED"


class InvalidRequestError(VaultError):
    """The request cannot be carried out as it stands."""

    default_reason = "INVALID_REQUEST"


class InvalidValueError(InvalidRequestError):
    """A value does not fit its field class."""

    default_reason = "INVALID_VALUE"


class LimitExceededError(InvalidRequestError):
    """A limit was exceeded; the details name it and its size."""

    default_reason = "LIMIT_EXCEEDED"


class RequestIdReusedError(InvalidRequestError):
    """The request id was used before, with another request."""

    default_reason = "REQUEST_ID_REUSED"


class TokenMalformedError(InvalidRequestError):
    """Not the text of a token."""

    default_reason = "TOKEN_MALFORMED"


class PolicyInvalidError(InvalidRequestError):
    """The policy does not parse or contradicts itself; nothing was changed."""

    default_reason = "POLICY_INVALID"


class SurrogatesExhaustedError(InvalidRequestError):
    """Nearly all surrogates that the value could have are given out; nothing was stored for it."""

    default_reason = "SURROGATES_EXHAUSTED"


class TagRefusedError(InvalidRequestError):
    """A tag is not of the form that tags have, or looks like personal data."""

    default_reason = "TAG_REFUSED"


class SurrogateTakenError(InvalidRequestError):
    """A surrogate from another vault stands for another value here."""

    default_reason = "SURROGATE_TAKEN"


class QuestionUnfitError(InvalidRequestError):
    """The question does not fit the value's field class, or the value has no answer to it."""

    default_reason = "QUESTION_UNFIT"


class PrincipalExistsError(InvalidRequestError):
    """The principal is registered already."""

    default_reason = "PRINCIPAL_EXISTS"


class BatchAbortedError(InvalidRequestError):
    """An atomic batch was given up because of another item."""

    default_reason = "BATCH_ABORTED"


class DeniedError(VaultError):
    """Policy says no."""

    default_reason = "DENIED"


class UnauthenticatedError(DeniedError):
    """No certificate, or one that names no registered principal."""

    default_reason = "UNAUTHENTICATED"


class SuspendedError(DeniedError):
    """The principal is revoked or suspended."""

    default_reason = "SUSPENDED"


class ActionDeniedError(DeniedError):
    """The principal may not perform this act."""

    default_reason = "ACTION_DENIED"


class DomainDeniedError(DeniedError):
    """The principal is not in the domain it named."""

    default_reason = "DOMAIN_DENIED"


class PurposeDeniedError(DeniedError):
    """Nothing is granted for this principal, purpose and field class."""

    default_reason = "PURPOSE_DENIED"


class RevealDeniedError(DeniedError):
    """The plain value was asked for where only a mask is granted."""

    default_reason = "REVEAL_DENIED"


class RestrictedError(DeniedError):
    """Processing of this customer is restricted."""

    default_reason = "RESTRICTED"


class ConsentMissingError(DeniedError):
    """The purpose needs a consent that the customer never gave."""

    default_reason = "CONSENT_MISSING"


class ConsentWithdrawnError(DeniedError):
    """The customer withdrew or refused the consent, or it expired."""

    default_reason = "CONSENT_WITHDRAWN"


class ObjectedError(DeniedError):
    """The customer objected to this purpose."""

    default_reason = "OBJECTED"


class HeldError(DeniedError):
    """A legal hold keeps what was to be erased."""

    default_reason = "HELD"


class TrainingExpiredError(DeniedError):
    """The principal's training has lapsed or is not on record."""

    default_reason = "TRAINING_EXPIRED"


class RegionDeniedError(DeniedError):
    """The customer's jurisdiction is closed to the principal's region."""

    default_reason = "REGION_DENIED"


class ApprovalRequiredError(DeniedError):
    """A second principal has to approve this first."""

    default_reason = "APPROVAL_REQUIRED"


class BudgetExceededError(DeniedError):
    """The principal has read as many customers as its budget allows."""

    default_reason = "BUDGET_EXCEEDED"


class GoneError(VaultError):
    """It was here and was ended on purpose."""

    default_reason = "GONE"


class ShreddedError(GoneError):
    """The customer was shredded."""

    default_reason = "SHREDDED"


class AlreadyShreddedError(GoneError):
    """A shred of a customer that was shredded before."""

    default_reason = "ALREADY_SHREDDED"


class ValueDeletedError(GoneError):
    """The value was deleted."""

    default_reason = "VALUE_DELETED"


class ExpiredError(GoneError):
    """The value's or the token's time has passed."""

    default_reason = "EXPIRED"


class TokenUsedError(GoneError):
    """The token was for one use, and was used."""

    default_reason = "TOKEN_USED"


class TokenRevokedError(GoneError):
    """The token was revoked; its value is not concerned."""

    default_reason = "TOKEN_REVOKED"


class NotFoundError(VaultError):
    """The vault knows nothing by that name, or the caller may not know of it."""

    default_reason = "NOT_FOUND"


class TokenUnknownError(NotFoundError):
    """Not a token of this vault, or one of a domain that the caller is not in."""

    default_reason = "TOKEN_UNKNOWN"


class TokenBoundError(NotFoundError):
    """The token is bound to another principal. The access log says so; reads say that it is unknown."""

    default_reason = "TOKEN_BOUND"


class CustomerUnknownError(NotFoundError):
    """No such customer."""

    default_reason = "CUSTOMER_UNKNOWN"


class ErasureUnknownError(NotFoundError):
    """No such shred id."""

    default_reason = "ERASURE_UNKNOWN"


class PurposeUnknownError(NotFoundError):
    """The policy declares no such purpose."""

    default_reason = "PURPOSE_UNKNOWN"


class ApprovalUnknownError(NotFoundError):
    """No such request for approval."""

    default_reason = "APPROVAL_UNKNOWN"


class PrincipalUnknownError(NotFoundError):
    """No such principal."""

    default_reason = "PRINCIPAL_UNKNOWN"


class UnavailableError(VaultError):
    """The vault cannot do it now; later it may."""

    default_reason = "UNAVAILABLE"


class ConnectionFailedError(UnavailableError):
    """The vault was not reached, or the connection ended before it answered."""

    default_reason = "CONNECTION_FAILED"


class ReplyFullError(UnavailableError):
    """The item did not fit into a reply."""

    default_reason = "REPLY_FULL"


class SearchIncompleteError(UnavailableError):
    """The index of a look-up is still being built; the details say how far it is."""

    default_reason = "SEARCH_INCOMPLETE"


class OverloadedError(UnavailableError):
    """Too much work is waiting at the vault."""

    default_reason = "OVERLOADED"


class StorageFullError(UnavailableError):
    """The vault has no space for this write. Reads and shreds go on."""

    default_reason = "STORAGE_FULL"


class StorageStoppedError(UnavailableError):
    """The vault stopped writing after a failed commit, until its stores are checked."""

    default_reason = "STORAGE_STOPPED"


class AuditUnavailableError(UnavailableError):
    """The access could not be recorded, so nothing was revealed."""

    default_reason = "AUDIT_UNAVAILABLE"


class KeyUnavailableError(UnavailableError):
    """The keyring cannot be used now."""

    default_reason = "KEY_UNAVAILABLE"


class WitnessUnavailableError(UnavailableError):
    """The vault could not have a write witnessed. Repeating it with its request id is safe."""

    default_reason = "WITNESS_UNAVAILABLE"


class LedgerBehindError(VaultError):
    """The vault's ledger is older than, or differs from, what its mirror or witness has seen."""

    default_reason = "LEDGER_BEHIND"


class DeadlineExceededError(VaultError):
    """Time ran out. A write may have been done; repeating it with its request id is safe."""

    default_reason = "DEADLINE_EXCEEDED"


class DataLossError(VaultError):
    """A genuine token's record is missing from the vault."""

    default_reason = "DATA_LOSS"


class IntegrityFailedError(VaultError):
    """Stored bytes fail their authentication."""

    default_reason = "INTEGRITY_FAILED"


def error_class(reason: str, code: str) -> type[VaultError]:
    """The class for a server's reason, else the nearest one for the gRPC code's name."""
    return _BY_REASON.get(reason) or _BY_CODE.get(code, VaultError)


def _subclasses(root: type[VaultError]) -> list[type[VaultError]]:
    return [found for sub in root.__subclasses__() for found in (sub, *_subclasses(sub))]


_BY_REASON = {found.default_reason: found for found in _subclasses(VaultError)}

_BY_CODE: dict[str, type[VaultError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
    "ALREADY_EXISTS": InvalidRequestError,
    "NOT_FOUND": NotFoundError,
    "PERMISSION_DENIED": DeniedError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "RESOURCE_EXHAUSTED": LimitExceededError,
    "ABORTED": UnavailableError,
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "DATA_LOSS": DataLossError,
}
