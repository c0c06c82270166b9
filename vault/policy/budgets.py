"""Budgets and approvals as types; `controls` reads them from the policy document.

Rules:
- What is absent is not limited and needs no approval.
- A budget's count is a principal's own: two principals of one budget do not share it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ANY_PURPOSE: Final = "*"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many distinct customers a principal may read, or compare with, in a window.

    Attributes:
        principals: whom it holds for, roles resolved; each has a window of its own.
        purposes: reads for these count; `"*"` is every one. Comparisons have no purpose.
        customers, compare: the hard levels; None is no limit.
        alert_at: share of a hard level, above 0 and at most 1.
        suspend: whether the principal is suspended when it goes beyond.
    """

    name: str
    principals: frozenset[str]
    purposes: frozenset[str]
    window_seconds: int
    customers: int | None = None
    compare: int | None = None
    alert_at: float = 0.8
    suspend: bool = False

    def covers(self, purpose: str) -> bool:
        """Whether a read for `purpose` counts."""
        return purpose in self.purposes or ANY_PURPOSE in self.purposes

    def alert_customers(self, limit: int) -> int:
        """The number of customers from which an alert is given; at least 1."""
        return max(1, int(limit * self.alert_at))


@dataclass(frozen=True, slots=True)
class Approvals:
    """Which acts need another principal's approval; None is never."""

    shred_customers: int | None = None
    export_customers: int | None = None
    destroy_epoch: bool = False
    valid_hours: int = 4
    break_glass_minutes: int = 60

    @property
    def asked_for(self) -> bool:
        """Whether any act needs one."""
        return self.shred_customers is not None or self.export_customers is not None or self.destroy_epoch


@dataclass(frozen=True, slots=True)
class Controls:
    """Both parts of a policy."""

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    approvals: Approvals = field(default_factory=Approvals)

    def budgets_of(self, principal: str) -> tuple[Budget, ...]:
        """The budgets that a principal keeps to."""
        return tuple(each for each in self.budgets.values() if principal in each.principals)
