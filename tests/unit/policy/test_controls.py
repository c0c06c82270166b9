"""Budgets and approvals of the document: what lines mean, and problems beside their nearest valid form."""

import pytest

from tests.unit.policy.test_document import BASE, CLASSES, problems
from vault.errors import SuspendedError
from vault.policy.budgets import Approvals, Budget, Controls
from vault.policy.decision import AccessTable, PrincipalRecord
from vault.policy.diff import describe_change
from vault.policy.document import parse_policy
from vault.policy.remarks import remarks

ROLES = (
    BASE
    + """
[roles.agent]
[principals.anna]
roles = ["agent"]
[principals.bob]
"""
)
GOOD = 'principals = ["admin"]\nwindow = "1h"\ncustomers = 10\n'


def controls(text: str) -> Controls:
    return parse_policy(ROLES + text, CLASSES).controls


def test_everything_that_a_policy_can_say_of_them() -> None:
    read = controls(
        """
        [budgets.reading]
        principals = ["bob"]
        roles = ["agent"]
        purposes = ["support"]
        window = "24h"
        customers = 1000
        compare = 500
        alert_at = 0.5
        suspend = true
        [approvals]
        shred_customers = 100
        export_customers = 0
        destroy_epoch = true
        valid_hours = 8
        break_glass_minutes = 45
        """
    )
    who = frozenset({"anna", "bob"})
    assert read.budgets == {
        "reading": Budget("reading", who, frozenset({"support"}), 86_400, 1000, 500, 0.5, suspend=True)
    }
    assert read.approvals == Approvals(100, 0, destroy_epoch=True, valid_hours=8, break_glass_minutes=45)
    assert [each.name for each in read.budgets_of("anna")] == ["reading"]
    assert read.budgets_of("admin") == ()


def test_what_is_left_out_limits_nothing() -> None:
    assert controls("") == Controls()
    assert not controls("").approvals.asked_for
    budget = controls(f"[budgets.b]\n{GOOD}").budgets["b"]
    assert budget.covers("support")
    assert (budget.compare, budget.alert_at, budget.suspend) == (None, 0.8, False)


@pytest.mark.parametrize(
    ("limit", "share", "alert"), [(10, 0.8, 8), (1, 0.1, 1), (1000, 1.0, 1000), (3, 0.5, 1)]
)
def test_the_alert_level(limit: int, share: float, alert: int) -> None:
    budget = Budget("b", frozenset(), frozenset(), 60, limit, alert_at=share)
    assert budget.alert_customers(limit) == alert


BROKEN = [
    ("[budgets.b]", f"[budgets.b]\n{GOOD}", "budgets.b: needs principals or roles"),
    (f"[budgets.B]\n{GOOD}", f"[budgets.b]\n{GOOD}", "budgets.B: a name is"),
    (f"[budgets.b]\n{GOOD}size = 1", f"[budgets.b]\n{GOOD}compare = 1", "budgets.b.size: unknown key"),
    (f"[budgets.b]\n{GOOD}roles = ['x']", f"[budgets.b]\n{GOOD}roles = ['agent']", "unknown role x"),
    (GOOD.replace("admin", "x").join(["[budgets.b]\n", ""]), f"[budgets.b]\n{GOOD}", "unknown principal x"),
    (
        f"[budgets.b]\n{GOOD}purposes = ['x']",
        f"[budgets.b]\n{GOOD}purposes = ['support', '*']",
        "unknown purpose x",
    ),
    (f"[budgets.b]\n{GOOD}purposes = []", f"[budgets.b]\n{GOOD}", "budgets.b.purposes: names no purpose"),
    (
        f"[budgets.b]\n{GOOD}roles = 'agent'",
        f"[budgets.b]\n{GOOD}roles = ['agent']",
        "has to be a list of roles",
    ),
    (
        "[budgets.b]\nprincipals = ['admin']\nwindow = '1h'",
        f"[budgets.b]\n{GOOD}",
        "budgets.b: needs customers, compare or both",
    ),
    (f"[budgets.b]\n{GOOD.replace('10', '0')}", f"[budgets.b]\n{GOOD}", "budgets.b.customers: has to be"),
    (f"[budgets.b]\n{GOOD.replace('10', 'true')}", f"[budgets.b]\n{GOOD}", "budgets.b.customers: has to be"),
    *(
        (f"[budgets.b]\n{GOOD.replace('1h', window)}", f"[budgets.b]\n{GOOD}", "budgets.b.window: has to be")
        for window in ("1", "h", "0h", "59s", "32d", "1h ")
    ),
    (f"[budgets.b]\n{GOOD}alert_at = 0", f"[budgets.b]\n{GOOD}alert_at = 1", "alert_at: has to be a share"),
    (f"[budgets.b]\n{GOOD}alert_at = 1.1", f"[budgets.b]\n{GOOD}alert_at = 0.1", "has to be a share"),
    (f"[budgets.b]\n{GOOD}suspend = 1", f"[budgets.b]\n{GOOD}suspend = true", "suspend: has to be true"),
    ("[budgets]\nb = 1", f"[budgets.b]\n{GOOD}", "budgets.b: has to be a table"),
    ("[approvals]\nsize = 1", "[approvals]\nshred_customers = 1", "approvals.size: unknown key"),
    ("[approvals]\nshred_customers = -1", "[approvals]\nshred_customers = 0", "has to be a number"),
    ("[approvals]\nvalid_hours = 0", "[approvals]\nvalid_hours = 1", "valid_hours: has to be a number"),
    (
        "[approvals]\nbreak_glass_minutes = 1441",
        "[approvals]\nbreak_glass_minutes = 1440",
        "has to be a number",
    ),
    ("[approvals]\ndestroy_epoch = 'yes'", "[approvals]\ndestroy_epoch = true", "has to be true or false"),
]


@pytest.mark.parametrize(("broken", "valid", "problem"), BROKEN)
def test_a_problem_and_its_nearest_valid_form(broken: str, valid: str, problem: str) -> None:
    assert any(problem in line for line in problems(ROLES + broken)), problems(ROLES + broken)
    parse_policy(ROLES + valid, CLASSES)


def test_changes_are_described() -> None:
    old = parse_policy(ROLES + f"[budgets.a]\n{GOOD}[budgets.b]\n{GOOD}", CLASSES)
    new = parse_policy(
        ROLES + f"[budgets.b]\n{GOOD}compare = 1\n[budgets.c]\n{GOOD}[approvals]\nshred_customers = 5",
        CLASSES,
    )
    assert describe_change(old, new) == [
        "budget a: removed",
        "budget b: compare no limit -> 1",
        "budget c: added",
        "approvals shred_customers: never -> 5",
    ]
    assert describe_change(new, new) == []


def test_a_policy_whose_approvals_nobody_could_give_is_remarked_on() -> None:
    registry = {
        name: PrincipalRecord(number, name) for number, name in enumerate(("admin", "anna", "bob"), 1)
    }
    asks = ROLES + "[approvals]\ndestroy_epoch = true"
    line = 'approvals are asked for, and no registered principal may "approve" them'
    assert line in remarks(parse_policy(asks, CLASSES), registry)
    given = asks.replace('may = ["admin"]', 'may = ["admin", "approve"]')
    assert line not in remarks(parse_policy(given, CLASSES), registry)


def test_what_decisions_see_of_a_suspended_principal_and_of_break_glass() -> None:
    policy = parse_policy(
        ROLES
        + """
        [purposes.emergency]
        description = "Lives"
        break_glass = true
        [principals.bob.reveal.emergency]
        "*" = "PLAIN"
        """,
        CLASSES,
    )
    records = {
        "bob": PrincipalRecord(1, "bob", break_glass={"emergency": 77}),
        "anna": PrincipalRecord(2, "anna", suspended=True),
    }
    table = AccessTable(policy, records, {"crm": 1}, {"support": 1, "emergency": 2}, {"name": 1})
    bob = table.principal("bob")
    assert (bob.breaks_glass("emergency"), bob.breaks_glass("support")) == (True, False)
    assert (bob.granted_until("emergency"), bob.granted_until("support")) == (77, 0)
    assert (bob.glass_broken_at("emergency", 76), bob.glass_broken_at("emergency", 77)) == (True, False)
    with pytest.raises(SuspendedError, match="suspended"):
        table.principal("anna")
