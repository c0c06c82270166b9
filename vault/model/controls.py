"""What callers ask for and learn about budgets and approvals, as types. Times in milliseconds since 1970."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vault.model.requests import CustomerRef


class BudgetKind(StrEnum):
    """What a window counts customers of. The names stand in the names of files."""

    READ = "read"
    COMPARE = "compare"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class BudgetEvent:
    """A principal came to a budget's alert level, or was first refused in this window."""

    principal: str
    budget: str
    kind: BudgetKind
    customers: int
    limit: int
    exceeded: bool


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One budget's window that runs now."""

    budget: str
    kind: BudgetKind
    purposes: Sequence[str]
    start_ms: int
    end_ms: int
    customers: int
    alert_customers: int
    limit_customers: int
    alerted: bool
    exceeded: bool


@dataclass(frozen=True, slots=True)
class CustomersReadQuery:
    """Of whom a principal was shown a value; `end_ms` is exclusive, 0 for now."""

    principal: str
    start_ms: int = 0
    end_ms: int = 0
    domain: str = ""
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class CustomersRead:
    """One page of them, by token.

    `locators` counts the names that the log has for the whole question, `locators_found` those that this
    page's customers account for.
    """

    customer_tokens: Sequence[str]
    next_page_token: str
    locators: int
    locators_found: int


class ApprovalAct(StrEnum):
    """What needs another principal's approval. Stored: names are never given a second meaning."""

    SHRED = "shred"
    EXPORT = "export"
    ROTATE_EPOCH = "rotate_epoch"
    BREAK_GLASS = "break_glass"


class ApprovalState(StrEnum):
    """Where a request is. EXPIRED is never stored: it is what time makes of the first two."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What is asked for: an act, and the parameters that it takes."""

    act: ApprovalAct
    reason: str
    customers: Sequence[CustomerRef] = ()
    purpose: str = ""
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalInfo:
    """A request for approval as callers see it.

    Attributes:
        digest: hex; what it is bound to.
        customer_tokens: in the asker's first domain; filled in for one request, not in lists.
        grant_end_ms: until when a break-glass grant lives; 0 where there is none.
        expires_ms: until when it has to be approved, or, once it is, used.
    """

    approval_id: str
    act: ApprovalAct
    state: ApprovalState
    requester: str
    reason: str
    digest: str
    requested_ms: int
    expires_ms: int
    customers: int = 0
    customers_used: int = 0
    customer_tokens: Sequence[str] = ()
    purpose: str = ""
    minutes: int = 0
    grant_end_ms: int = 0
    decided_ms: int = 0
    decider: str = ""
    note: str = ""
