"""What consent verbs take and return. Times are aware and in UTC; None where the vault states none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from customervault.errors import VaultError
from customervault.inputs import CustomerRef

# Literals of the API stand in the order of its numbers; "unknown" is 0 or newer than this client.
ConsentDecision = Literal["unknown", "given", "refused", "withdrawn", "objected"]
ConsentEventKind = Literal["unknown", "given", "renewed", "withdrawn", "expired", "refused", "objected"]
ConsentActor = Literal["unknown", "customer", "agent", "guardian", "vault"]
ConsentState = Literal["none", "given", "withdrawn", "objected"]


class Evidence(NamedTuple):
    """How a customer said it.

    Attributes:
        notice_version: Of the notice that the customer saw.
        text_sha256: SHA-256 of the text that was shown, 32 bytes.
        locale: BCP 47, for example `de-AT`.
        method: For example `web_form`, `verbal`, `api`.
        actor: Who acted: `customer`, `agent` or `guardian`.
        acted: When the customer acted, where that is not now.
    """

    notice_version: str = ""
    text_sha256: bytes = b""
    locale: str = ""
    method: str = ""
    actor: ConsentActor = "customer"
    acted: datetime | None = None


class ConsentEntry(NamedTuple):
    """What one customer says of one purpose, for `record_consents`."""

    customer: str | CustomerRef
    purpose: str
    decision: ConsentDecision = "given"
    evidence: Evidence | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConsentResult:
    """What came of it.

    Attributes:
        event: Number of the event; 0 where it had been said before and nothing was written.
        state: Of the purpose, from now on.
        remaining_bases: Lawful bases on which readers may still state the purpose.
        error: Set when it was not recorded (`record_consents` only).
    """

    purpose: str
    event: int
    time: datetime | None
    state: ConsentState
    remaining_bases: Sequence[str]
    error: VaultError | None = None


@dataclass(frozen=True, slots=True)
class PurposeConsent:
    """Where a purpose stands with a customer; `event` is 0 where nothing was said."""

    purpose: str
    state: ConsentState
    since: datetime | None
    expires: datetime | None
    notice_version: str
    event: int
    needs_consent: bool
    other_bases: Sequence[str]


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One event. `sha256` is what the next event names as the one before it."""

    number: int
    kind: ConsentEventKind
    purpose: str
    time: datetime | None
    evidence: Evidence
    expires: datetime | None
    principal: str
    jurisdiction: str
    sha256: bytes
    previous_sha256: bytes


@dataclass(frozen=True, slots=True)
class ConsentReceipt:
    """A signed receipt, which `cvault consent verify` checks offline; keep its bytes as they are."""

    content: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class IngestedSignal:
    """Whether it was a signal, and what it did for each purpose that sells or shares."""

    recognized: bool
    results: Sequence[ConsentResult]
