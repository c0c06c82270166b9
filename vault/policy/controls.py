"""Budgets and approvals: the parts of the policy that bear on how much, and on who else must agree.

    [budgets.<name>]    principals = [...], roles = [...]     whom it holds for, each for itself
                        purposes = ["*"]                      reads for these count
                        window = "1h" | "24h" | "7d"          fixed windows, counted from 1970 in UTC
                        customers = 1000                      distinct customers read in a window
                        compare = 500                         distinct customers compared in a window
                        alert_at = 0.8                        share of either from which an alert is given
                        suspend = false                       whether going beyond suspends the principal
    [approvals]         shred_customers = 100                 a bulk shred of more needs an approval
                        export_customers = 100                an export of more a principal and day does
                        destroy_epoch = true                  a new epoch does
                        valid_hours = 4                       how long a request waits, and an approval holds
                        break_glass_minutes = 60              the longest grant of a break-glass purpose

Rules:
- What is not there is not limited, and needs no approval: a policy without these tables means what it did.
- A principal of several budgets keeps to each of them.
- Withdrawing a consent and shredding a single customer never need an approval; there is no key for it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from vault.model.ids import is_name
from vault.policy.budgets import ANY_PURPOSE, Approvals, Budget, Controls
from vault.policy.rules import spell

MAX_CUSTOMERS: Final = 1_000_000  # of a budget: its window takes 16 bytes a customer on disk
MIN_WINDOW_SECONDS: Final = 60
MAX_WINDOW_SECONDS: Final = 31 * 86_400
MAX_VALID_HOURS: Final = 7 * 24
MAX_BREAK_GLASS_MINUTES: Final = 24 * 60

_BUDGET_KEYS = ("principals", "roles", "purposes", "window", "customers", "compare", "alert_at", "suspend")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])\Z")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400}

Problem = Callable[[tuple[str, ...], str], None]
"""Notes a problem of the document: its place and what is wrong."""


def read_controls(
    root: Mapping[str, object],
    *,
    members: Mapping[str, Collection[str]],
    roles: Collection[str],
    purposes: Collection[str],
    problem: Problem,
) -> Controls:
    """Reads `[budgets]` and `[approvals]` of a document, and reports what is wrong with them.

    Args:
        root: the whole document.
        members: the declared principals, each with its roles.
        roles: the declared ones.
        purposes: the declared ones.
        problem: called for each problem.
    """
    reader = _ControlsReader(members, roles, purposes, problem)
    return Controls(reader.budgets(root.get("budgets", {})), reader.approvals(root.get("approvals", {})))


class _ControlsReader:
    """Walks the two tables."""

    def __init__(
        self,
        members: Mapping[str, Collection[str]],
        roles: Collection[str],
        purposes: Collection[str],
        problem: Problem,
    ) -> None:
        self._members = members
        self._roles = roles
        self._purposes = purposes
        self._problem = problem

    def budgets(self, section: object) -> Mapping[str, Budget]:
        return {
            name: budget
            for name, table in self._table(("budgets",), section).items()
            if (budget := self._budget(name, table)) is not None
        }

    def approvals(self, section: object) -> Approvals:
        where = ("approvals",)
        table = self._table(where, section)
        self._known_keys(where, table, Approvals.__slots__)
        return Approvals(
            shred_customers=self._number(where, table, "shred_customers", 0, MAX_CUSTOMERS),
            export_customers=self._number(where, table, "export_customers", 0, MAX_CUSTOMERS),
            destroy_epoch=self._flag(where, table, "destroy_epoch"),
            valid_hours=self._number(where, table, "valid_hours", 1, MAX_VALID_HOURS) or 4,
            break_glass_minutes=self._number(where, table, "break_glass_minutes", 1, MAX_BREAK_GLASS_MINUTES)
            or 60,
        )

    def _budget(self, name: str, value: object) -> Budget | None:
        where = ("budgets", name)
        if not is_name(name):
            self._problem(where, "a name is a lower-case letter, then up to 62 of a-z, 0-9 and _")
        table = self._table(where, value)
        self._known_keys(where, table, _BUDGET_KEYS)
        named = self._names(where, table, "principals", self._members, "principal")
        roles = self._names(where, table, "roles", self._roles, "role")
        if not named and not roles:
            self._problem(where, "needs principals or roles: whom it holds for")
        held = {principal for principal, its in self._members.items() if not roles.isdisjoint(its)}
        purposes = self._names(
            where, table, "purposes", (*self._purposes, ANY_PURPOSE), "purpose", absent=(ANY_PURPOSE,)
        )
        customers = self._number(where, table, "customers", 1, MAX_CUSTOMERS)
        compare = self._number(where, table, "compare", 1, MAX_CUSTOMERS)
        if "customers" not in table and "compare" not in table:
            self._problem(where, "needs customers, compare or both: how many")
        window = self._window(where, table)
        alert_at = table.get("alert_at", 0.8)
        if isinstance(alert_at, bool) or not isinstance(alert_at, (int, float)) or not 0 < alert_at <= 1:
            self._problem((*where, "alert_at"), "has to be a share: more than 0, at most 1")
            alert_at = 1.0
        suspend = self._flag(where, table, "suspend")
        if window is None:
            return None
        return Budget(
            name, named | held, purposes, window, customers, compare, float(alert_at), suspend=suspend
        )

    def _window(self, where: tuple[str, ...], table: Mapping[str, object]) -> int | None:
        value = table.get("window")
        found = _SPAN.match(value) if isinstance(value, str) else None
        seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
        if not MIN_WINDOW_SECONDS <= seconds <= MAX_WINDOW_SECONDS:
            self._problem((*where, "window"), 'has to be a span from "1m" to "31d", such as "1h"')
            return None
        return seconds

    def _names(
        self,
        where: tuple[str, ...],
        table: Mapping[str, object],
        key: str,
        known: Collection[str],
        kind: str,
        absent: Collection[str] = (),
    ) -> frozenset[str]:
        value = table.get(key)
        if value is None:
            return frozenset(absent)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._problem((*where, key), f"has to be a list of {kind}s, each in quotes")
            return frozenset()
        for item in value:
            if item not in known:
                self._problem((*where, key), f"unknown {kind} {spell(item)}")
        if not value:
            self._problem((*where, key), f"names no {kind}; leave the line out")
        return frozenset(value)

    def _number(
        self, where: tuple[str, ...], table: Mapping[str, object], key: str, least: int, most: int
    ) -> int | None:
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._problem((*where, key), f"has to be a number from {least} to {most:,}")
            return None
        return value

    def _flag(self, where: tuple[str, ...], table: Mapping[str, object], key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self._problem((*where, key), "has to be true or false")
        return value is True

    def _known_keys(
        self, where: tuple[str, ...], table: Mapping[str, object], known: Collection[str]
    ) -> None:
        for key in sorted(table.keys() - set(known)):
            self._problem((*where, key), f"unknown key; known: {', '.join(sorted(known))}")

    def _table(self, where: tuple[str, ...], value: object) -> Mapping[str, object]:
        if isinstance(value, dict):
            return value
        self._problem(where, "has to be a table")
        return {}
