"""What the use cases take and give. Lists keep the order of the request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from vault.errors import VaultError
from vault.model.access import Decision, Denial, Reveal
from vault.model.assurance import Assurance
from vault.model.consent import LawfulBasis
from vault.model.erasure import Awaited, Stage
from vault.model.secret import Secret
from vault.model.situation import Situation
from vault.model.swift import maker

T = TypeVar("T")


class Caller(NamedTuple):
    """An authenticated call: the name in its certificate, and how long it is willing to wait."""

    principal: str
    deadline_monotonic: float | None = None  # time.monotonic() seconds


class CustomerRef(NamedTuple):
    """Names a customer by exactly one of the two."""

    external_id: Secret | None = None
    token: str | None = None


class Outcome(IntEnum):
    """What storing one field did; numbers as in the API."""

    CREATED = 1
    UNCHANGED = 2
    UPDATED = 3
    EMPTY = 4
    REFUSED = 5


class TokenForm(IntEnum):
    """What Tokenize gives for values whose class has surrogates; numbers as in the API."""

    BY_CLASS = 0  # as the class is configured
    TOKEN = 1
    SURROGATE = 2


class FieldInput(NamedTuple):
    """One field to store; `surrogate` is an existing token of another vault, to stand for the value here."""

    field_class: str
    value: Secret
    label: str = ""
    surrogate: Secret | None = None


field_input = maker(FieldInput)


class Entry(NamedTuple):
    """One customer's fields to store."""

    customer: CustomerRef
    fields: Sequence[FieldInput]
    jurisdiction: str = ""


class FieldResult(NamedTuple):
    outcome: Outcome
    token: str = ""
    error: VaultError | None = None


field_result = maker(FieldResult)


class EntryResult(NamedTuple):
    customer_token: str = ""
    customer_created: bool = False
    results: Sequence[FieldResult] = ()
    error: VaultError | None = None


class StoredEntry(NamedTuple):
    """The `EntryResult` of an entry all of whose fields were stored, and are answered with tokens.

    Attributes:
        customer_token: The customer's own.
        customer_created: Whether the customer is new.
        outcomes: Of each field, as a plain number; entries alike share them.
        tokens: Of each field.
    """

    customer_token: str
    customer_created: bool
    outcomes: tuple[int, ...]
    tokens: Sequence[str]

    @property
    def results(self) -> Sequence[FieldResult]:
        """The fields one by one."""
        pairs = zip(self.outcomes, self.tokens, strict=True)
        return [FieldResult(Outcome(outcome), token) for outcome, token in pairs]

    @property
    def error(self) -> VaultError | None:
        """Nothing refused the entry."""
        return None


class Revealed(NamedTuple):
    """A detokenized batch: parallel to the tokens; `""` and `Reveal.NONE` where a denial stands."""

    values: Sequence[str]
    reveals: Sequence[int]
    denials: list[Denial]

    def __repr__(self) -> str:
        return f"<{len(self.values)} secrets, {len(self.denials)} denials>"


@dataclass(frozen=True, slots=True)
class Translated:
    tokens: list[str]
    denials: list[Denial]


class CustomerState(IntEnum):
    ACTIVE = 1
    RESTRICTED = 2
    SHREDDED = 3


class ValueState(IntEnum):
    LIVE = 1
    DELETED = 2
    SHREDDED = 3


@dataclass(frozen=True, slots=True)
class TokenInfo:
    domain: str
    state: ValueState
    customer_token: str
    customer_state: CustomerState
    field_class: str = ""
    labels: Sequence[str] = ()
    version: int = 0
    dek_generation: int = 0
    customer_created_ms: int = 0


@dataclass(frozen=True, slots=True)
class HeldValue:
    token: str
    field_class: str
    labels: Sequence[str]
    version: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a restriction or expiry is about; empty for every purpose, every field class."""

    purposes: Sequence[str] = ()
    field_classes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RestrictionInfo:
    """A restriction of one purpose and field class; empty for every one. Those set together share the id."""

    id: int
    purpose: str = ""
    field_class: str = ""
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class HoldInfo:
    """A legal hold on one field class; empty for every one."""

    id: int
    field_class: str = ""
    until_ms: int = 0
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ExpiryInfo:
    """From `at_ms` on nothing is revealed; empty for every purpose, every field class."""

    id: int
    purpose: str = ""
    field_class: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer without values. `shred_id` is set once its shred was asked for."""

    customer_token: str
    state: CustomerState
    jurisdiction: str = ""
    created_ms: int = 0
    dek_generation: int = 0
    held: Sequence[HeldValue] = ()
    shred_id: str = ""
    restrictions: Sequence[RestrictionInfo] = ()
    holds: Sequence[HoldInfo] = ()
    expiries: Sequence[ExpiryInfo] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; an empty `next_page_token` ends it."""

    items: Sequence[T]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class ExportedValue:
    held: HeldValue
    value: Secret
    reveal: Reveal
    error: VaultError | None = None


@dataclass(frozen=True, slots=True)
class Export:
    customer: Customer
    values: Sequence[ExportedValue]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of erasure: its bytes, the stage that it states, the id of the key that signed it."""

    content: bytes
    stage: Stage
    key_id: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. `final_ms` is 0 before it is; `assurance` is None while a root key stands.

    `shred_id` names a customer's shred, or values that went of one; of these the commitment is empty.
    """

    shred_id: str
    stage: Stage
    effective_ms: int
    ledger_seq: int
    commitment: bytes
    final_ms: int = 0
    assurance: Assurance | None = None
    waits_for: Sequence[Awaited] = ()
    held_values: int = 0


@dataclass(frozen=True, slots=True)
class ShredResult:
    """`certificate` is None where the reply would have become too large; it can be had later.

    `held_values` are those that a legal hold keeps; the shred is done when it ends.
    """

    values: int = 0
    dek_generations: int = 0
    salt: bytes = field(default=b"", repr=False)
    erasure: Erasure | None = None
    certificate: Certificate | None = None
    error: VaultError | None = None
    held_values: int = 0


@dataclass(frozen=True, slots=True)
class KeyringStatus:
    vault_id: str
    epoch: int
    epoch_created_ms: int
    provider: str
    assurance: str
    root_key_id: str
    signing_key_id: str
    customers: int
    shredded_customers: int
    wrapped_deks: int
    token_key_generation: int
    ledger_entries: int
    ledger_applied: int


@dataclass(frozen=True, slots=True)
class AccessQuery:
    customer: CustomerRef | None = None
    principal: str = ""
    start_ms: int = 0
    end_ms: int = 2**63 - 1
    page_size: int = 100
    page_token: str = ""
    field_class: str = ""
    purpose: str = ""
    actions: Sequence[str] = ()
    decision: Decision | None = None
    as_recorded: bool = False
    only_new: bool = False  # with `as_recorded`, on the first page


@dataclass(frozen=True, slots=True)
class AccessPage:
    """A page of accesses. `is_complete`: nothing is left that was recorded before the call."""

    items: "Sequence[Access]"
    next_page_token: str = ""
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """One recorded call, newest first in lists."""

    time_ms: int
    principal: str
    action: str
    purpose: str = ""
    values_plain: int = 0
    values_masked: int = 0
    values_denied: int = 0
    customers: int = 0
    field_classes: Sequence[str] = ()
    reasons: Sequence[str] = ()
    detail: str = ""
    basis: LawfulBasis | None = None
    break_glass: bool = False
    leaf: int | None = None


@dataclass(frozen=True, slots=True)
class InclusionProof:
    leaf: int
    size: int
    entry: bytes
    leaf_hash: bytes
    hashes: Sequence[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    old_size: int
    size: int
    old_root: bytes
    hashes: Sequence[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class AuditStatus:
    segments: int
    records: int
    bytes: int
    free_bytes: int
    writable: bool
    sync_interval_ms: int
    gaps: int
    sealed: int = 0


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    document: str
    version: int
    applied_ms: int
    warnings: Sequence[str] = ()
    changes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    version: int
    applied_ms: int
    principal: str


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """`principal` empty is the caller; `customer` None is a situation that nobody has to be in."""

    principal: str
    purpose: str
    field_class: str
    reveal: Reveal = Reveal.BEST
    basis: LawfulBasis | None = None
    customer: CustomerRef | None = None
    situation: Situation = field(default_factory=Situation)


@dataclass(frozen=True, slots=True)
class PrincipalInfo:
    name: str
    revoked: bool
    created_ms: int
    revoked_ms: int = 0
    certificate_expires_ms: int = 0
    certificate_pem: str = ""  # only in the answer that issued it
    ca_pem: str = ""
    suspended_ms: int = 0
