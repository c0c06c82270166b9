"""What calls about approvals, budgets and customers read return. Times are aware and in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# In the order of the API's numbers; "unknown" is 0 or newer than this client.
ApprovalAct = Literal["unknown", "shred", "export", "rotate_epoch", "break_glass"]
ApprovalState = Literal["unknown", "pending", "approved", "rejected", "cancelled", "used", "expired"]
BudgetKind = Literal["unknown", "read", "compare"]


@dataclass(frozen=True, slots=True)
class Approval:
    """A request for another principal's approval.

    Attributes:
        digest: What it is bound to: a keyed digest of act and parameters.
        customers: How many, for a shred or an export; `customers_used` of them are exported.
        customer_tokens: Those customers, in your first domain; from `get_approval` only.
        minutes: How long a break-glass grant lives; `grant_ends` is when it does end.
        expires: When it has to be approved by, or, once it is, used by.
        decider: Who approved, rejected or cancelled it, and `note` what was said.
    """

    approval_id: str
    act: ApprovalAct
    state: ApprovalState
    requester: str
    reason: str
    digest: str
    customers: int
    customers_used: int
    customer_tokens: Sequence[str]
    purpose: str
    minutes: int
    grant_ends: datetime | None
    requested: datetime | None
    expires: datetime | None
    decided: datetime | None
    decider: str
    note: str


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How much of one budget a principal has used in the window that runs now."""

    budget: str
    kind: BudgetKind
    purposes: Sequence[str]
    start: datetime | None
    end: datetime | None
    customers: int
    alert_customers: int
    limit_customers: int
    alerted: bool
    exceeded: bool


@dataclass(frozen=True, slots=True)
class CustomersReadPage:
    """Some of the customers of whom a principal was shown a value.

    Attributes:
        customer_tokens: They, by ascending number.
        locators: How many names for customers the access log has, for the whole question.
        locators_found: How many of them belong to this page's customers. What remains after the last page
            are customers who were shredded since, one for each key that they were read under.
    """

    customer_tokens: Sequence[str]
    locators: int
    locators_found: int
