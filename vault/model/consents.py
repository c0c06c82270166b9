"""What the use cases of consent take and give. Times are milliseconds since 1970, 0 for none."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from vault.errors import VaultError
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.requests import CustomerRef


class Saying(IntEnum):
    """What a customer says of a purpose."""

    GIVEN = 1
    REFUSED = 2
    WITHDRAWN = 3
    OBJECTED = 4


class Evidence(NamedTuple):
    """How a customer said it. `text_sha256` is 32 bytes or none; `acted` is customer, agent or guardian."""

    notice_version: str = ""
    text_sha256: bytes = b""
    locale: str = ""
    method: str = ""
    acted: str = "customer"
    acted_ms: int = 0


NO_EVIDENCE = Evidence()


class ConsentAct(NamedTuple):
    """One thing that one customer says of one purpose; only a consent has an end."""

    customer: CustomerRef
    purpose: str
    saying: Saying
    evidence: Evidence = NO_EVIDENCE
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class ConsentAnswer:
    """What came of an act.

    Attributes:
        event: number of the event; 0 where the customer had said so before, and nothing was written.
        state: of the purpose, after it.
        remaining_bases: on which the purpose may still stand, if its readers state them.
        error: why nothing was done, in a batch.
    """

    purpose: str = ""
    event: int = 0
    time_ms: int = 0
    state: ConsentState = ConsentState.NONE
    remaining_bases: Sequence[LawfulBasis] = ()
    error: VaultError | None = None


@dataclass(frozen=True, slots=True)
class PurposeConsent:
    """Where a purpose stands with a customer; without an event nothing was ever said."""

    purpose: str
    state: ConsentState
    since_ms: int = 0
    expires_ms: int = 0
    notice_version: str = ""
    event: int = 0
    needs_consent: bool = False
    other_bases: Sequence[LawfulBasis] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed receipt: its bytes, and the id of the key that signed it."""

    content: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class SignalAnswer:
    """What a signal did: nothing where it was none."""

    recognized: bool
    answers: Sequence[ConsentAnswer] = ()
