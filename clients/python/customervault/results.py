"""What calls return. Times are aware and in UTC; None where the vault states none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from customervault.errors import NotFoundError, VaultError
from customervault.values import Answer, LawfulBasis, RevealLevel, Value

# Literals of the API stand in the order of its numbers; "unknown" is 0 or newer than this client.
FieldOutcome = Literal["unknown", "created", "unchanged", "updated", "empty", "refused"]
CustomerState = Literal["unknown", "active", "restricted", "shredded"]
ValueState = Literal["unknown", "live", "deleted", "shredded"]
ErasureStage = Literal["unknown", "effective", "final-best-effort", "final", "held"]
AwaitedStep = Literal[
    "unknown", "rotation", "destruction", "confirmation", "backups", "copies", "resealing", "kept", "hold"
]
ShredOutcome = Literal["shredded", "held", "validated", "already_shredded", "missing", "failed"]
PrincipalState = Literal["unknown", "active", "revoked", "suspended"]


class FieldResult(NamedTuple):
    """What storing one field did. `token` is empty when nothing is held for it."""

    field_class: str
    label: str
    outcome: FieldOutcome
    token: str
    error: VaultError | None = None

    @property
    def key(self) -> str | tuple[str, str]:
        """The field class, or (class, label) when it has a label."""
        return (self.field_class, self.label) if self.label else self.field_class


@dataclass(frozen=True, slots=True)
class Tokenized:
    """One customer's fields, stored.

    Attributes:
        customer_token: Names the customer in later calls; holds no value.
        created: Whether the customer is new.
        results: One per field, in the order given.
        error: Set when the entry as a whole was refused (`tokenize_many` only).
    """

    customer_token: str
    created: bool
    results: Sequence[FieldResult]
    error: VaultError | None = None

    @property
    def ok(self) -> bool:
        """Whether neither the entry nor any field was refused."""
        return self.error is None and all(result.error is None for result in self.results)

    @property
    def tokens(self) -> dict[str | tuple[str, str], str]:
        """Tokens by field class, or by (class, label); without empty and refused fields."""
        return {result.key: result.token for result in self.results if result.token}

    def token(self, field_class: str, label: str = "") -> str:
        """The token of one field.

        Raises:
            VaultError: Why the field, or the whole entry, was refused.
            NotFoundError: No such field was given, or it was empty.
        """
        if self.error is not None:
            raise self.error
        for result in self.results:
            if (result.field_class, result.label) == (field_class, label):
                if result.error is not None:
                    raise result.error
                if result.token:
                    return result.token
        raise NotFoundError("no token was issued for this field")


@dataclass(frozen=True, slots=True)
class Translation:
    """One token in another domain, or the error that stands in its place."""

    token: str
    error: VaultError | None = None

    def get(self) -> str:
        """The token.

        Raises:
            VaultError: Why this token was not translated.
        """
        if self.error is not None:
            raise self.error
        return self.token


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What a token stands for. `version` is 1 for a value that was never updated."""

    field_class: str
    labels: Sequence[str]
    domain: str
    state: ValueState
    version: int
    dek_generation: int
    customer_token: str
    customer_state: CustomerState
    customer_created: datetime | None


@dataclass(frozen=True, slots=True)
class CreatedCustomer:
    """The customer of an external id; `created` is False when it was held already."""

    customer_token: str
    created: bool


@dataclass(frozen=True, slots=True)
class HeldValue:
    """One value that a customer holds, without the value."""

    token: str
    field_class: str
    labels: Sequence[str]
    version: int


@dataclass(frozen=True, slots=True)
class Restriction:
    """A restriction of one purpose and field class; empty for every one. Those set together share the id."""

    id: int
    purpose: str
    field_class: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold on one field class; empty for every one. Those placed together share the id."""

    id: int
    field_class: str
    until: datetime | None
    reference: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """A time from which nothing is revealed for one purpose and field class; empty for every one."""

    id: int
    purpose: str
    field_class: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A data subject.

    Listings leave `held`, `restrictions`, `holds` and `expiries` empty. `shred_id` is set once its shred was
    asked for, which may still wait for a legal hold.
    """

    customer_token: str
    state: CustomerState
    jurisdiction: str
    created: datetime | None
    dek_generation: int
    held: Sequence[HeldValue]
    shred_id: str
    restrictions: Sequence[Restriction] = ()
    holds: Sequence[Hold] = ()
    expiries: Sequence[Expiry] = ()


@dataclass(frozen=True, slots=True)
class ExportedValue:
    """One value of an export; `value` raises its error when it was not given."""

    field_class: str
    labels: Sequence[str]
    token: str
    value: Value


@dataclass(frozen=True, slots=True)
class Export:
    """All values of one customer."""

    customer: Customer
    values: Sequence[ExportedValue]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed statement about one erasure, which `cvault erasure verify` checks offline.

    Attributes:
        content: Canonical JSON; keep the bytes as they are.
        stage: What it states. A certificate at a later stage replaces it.
        key_id: Names the public key, in the vault's `public/keys.json`.
    """

    content: bytes
    stage: ErasureStage
    key_id: str


@dataclass(frozen=True, slots=True)
class AwaitedRootKey:
    """A root key that has to be gone before an erasure is final.

    Attributes:
        step: What has to happen next: a `rotation` of the epoch; the `destruction` of the key; the provider's
            `confirmation` that it is gone; the end of the provider's own `backups` of it; or, before it is
            destroyed, `copies` of the keyring in use. Of single values also `resealing`, a rotation that
            gives the other values a new data key, and `kept`: the old one is kept for data backups until
            `due`. A rotation follows. With `hold` it is no root key: a legal hold has to end.
        due: Not before this time, where that is known.
        missing_copies: How many verified copies are missing, with step `copies`.
        missing_copies_epoch: Of which epoch's keyring.
    """

    root_key_id: str
    epoch: int
    provider: str
    step: AwaitedStep
    due: datetime | None
    missing_copies: int = 0
    missing_copies_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Erasure:
    """The record of one shred.

    Attributes:
        ledger_seq: Position in the ledger.
        commitment: Commitment to the external id, opened by the salt of `Shredded`.
        final: None until no copy of the key can be recovered.
        assurance: `hardware`, `service-attested` or `best-effort`; empty while a root key stands.
        waits_for: Root keys that have to be gone first; none once it is final.
        held_values: At stage `held`: how many values the hold keeps, the external id among them.
    """

    shred_id: str
    stage: ErasureStage
    effective: datetime | None
    ledger_seq: int
    commitment: bytes
    final: datetime | None = None
    assurance: str = ""
    waits_for: Sequence[AwaitedRootKey] = ()
    held_values: int = 0


@dataclass(frozen=True, slots=True)
class Shredded:
    """The answer for one customer of a shred.

    Attributes:
        outcome: `held` where a legal hold keeps some of it, and the shred is done when that ends; `validated`
            when only asked what would go; `already_shredded` and `missing` with
            `missing_ok`; `failed` in `shred_many`, with `error`.
        values: How many live values went, or would go.
        dek_generations: How many key generations went, or would go.
        salt: Opens the certificate's commitment. The vault keeps no copy.
        erasure: None unless shredded.
        certificate: At stage `effective`. None unless shredded, or where the vault's reply had no room for
            it: `certificate(shred_id)` gets it.
        held_values: How many values a legal hold keeps, the external id among them.
    """

    outcome: ShredOutcome
    values: int = 0
    dek_generations: int = 0
    salt: bytes = field(default=b"", repr=False)
    erasure: Erasure | None = None
    certificate: Certificate | None = None
    error: VaultError | None = None
    held_values: int = 0

    @property
    def shred_id(self) -> str:
        """`shr_` and 32 hex digits; empty unless shredded."""
        return self.erasure.shred_id if self.erasure else ""


@dataclass(frozen=True, slots=True)
class RotatedDek:
    """The customer's new key generation, and how many values were re-sealed under it."""

    dek_generation: int
    values_resealed: int


@dataclass(frozen=True, slots=True)
class EpochRotation:
    """How far a rotation of the epoch is. `done` of `total` keys in `step`; `error` once it has failed.

    Attributes:
        waits_for: What its last step waits for; the new epoch is in use then. It ends by itself.
    """

    name: str
    finished: bool
    epoch: int
    step: str
    done: int
    total: int
    requested: datetime | None
    started: datetime | None
    updated: datetime | None
    remaining: timedelta | None
    error: VaultError | None = None
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class KeyringStatus:
    """State of the vault's keys. `assurance` is `hardware`, `service-attested` or `best-effort`."""

    epoch: int
    epoch_created: datetime | None
    provider: str
    assurance: str
    root_key_id: str
    customers: int
    shredded_customers: int
    wrapped_deks: int
    token_key_generation: int
    ledger_entries: int
    ledger_applied: int
    vault_id: str
    signing_key_id: str


@dataclass(frozen=True, slots=True)
class Access:
    """One call that touched values, or one administrative act (`detail` says what it did)."""

    time: datetime | None
    principal: str
    action: str
    purpose: str
    values_plain: int
    values_masked: int
    values_denied: int
    customers: int
    field_classes: Sequence[str]
    reasons: Sequence[str]
    detail: str
    basis: LawfulBasis | None = None
    break_glass: bool = False
    leaf: int | None = None
    """Its number in the sealed log; None until it is there."""


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Accesses in the order recorded. `complete`: nothing is left that was recorded before.

    `next_page_token` leads on to what comes, whenever that is.
    """

    accesses: Sequence[Access]
    next_page_token: str
    complete: bool


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a leaf is in the sealed access log: RFC 6962 audit path and signed checkpoint.

    `entry` is empty where retention has removed it; its hash is `leaf_hash`.
    """

    leaf: int
    size: int
    entry: bytes
    leaf_hash: bytes
    hashes: Sequence[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the sealed access log only grew: RFC 6962 consistency proof and signed checkpoint."""

    old_size: int
    size: int
    old_root: bytes
    hashes: Sequence[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """State of the access log. `gaps` were found after a loss of power; `sealed` counts leaves."""

    segments: int
    records: int
    bytes: int
    free_bytes: int
    writable: bool
    sync_interval_ms: int
    gaps: int
    sealed: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force, as its TOML document."""

    document: str
    version: int
    applied: datetime | None


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version of the policy: when it was put in force, and by whom."""

    version: int
    applied: datetime | None
    principal: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a read is answered as it is.

    Attributes:
        reveal: `plain`, `masked` or the answer that was asked for; None for a denial.
        reason: Of a denial.
        basis: The lawful basis that was judged by.
        deciders: Lines of the policy, guards and rules that decided, the foremost first.
        granted_by: Lines that would grant what guards or rules forbid.
        text: The same in a sentence.
        changes: What would have to change, all of it together.
    """

    reveal: RevealLevel | Answer | None
    reason: str
    basis: LawfulBasis | None
    deciders: Sequence[str]
    granted_by: Sequence[str]
    text: str
    changes: Sequence[str]


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """The version now in force, remarks that do not stop it, and what it changes."""

    version: int
    warnings: Sequence[str]
    changes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, by the name in its certificate."""

    name: str
    state: PrincipalState
    created: datetime | None
    revoked: datetime | None
    certificate_expires: datetime | None
    suspended: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreatedPrincipal:
    """A new principal; the certificate is there when a request was given."""

    principal: Principal
    certificate_pem: str
    ca_pem: str
