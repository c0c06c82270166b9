"""What the audit says of a change of policy."""

import pytest

from vault.policy.diff import describe_change
from vault.policy.document import parse_policy

CLASSES = ("name", "email", "iban")
BASE = """
version = 1
[domains.crm]
description = "CRM"
[purposes.support]
description = "Answer questions"
[principals.admin]
may = ["admin"]
[principals.crm-sales]
domains = ["crm"]
may = ["write"]
[principals.crm-sales.reveal.support]
name = "PLAIN"
iban = "MASKED"
"""


def change(old: str, new: str) -> list[str]:
    return describe_change(parse_policy(old, CLASSES), parse_policy(new, CLASSES))


def test_no_change_gives_no_line() -> None:
    assert change(BASE, BASE) == []


def test_a_first_policy_is_described_whole() -> None:
    assert describe_change(None, parse_policy(BASE, CLASSES)) == [
        "domain crm: added",
        "purpose support: added",
        "admin: added",
        "admin: may admin",
        "crm-sales: added",
        "crm-sales: joins domain crm",
        "crm-sales: may write",
        "crm-sales: support.iban nothing -> MASKED",
        "crm-sales: support.name nothing -> PLAIN",
    ]


@pytest.mark.parametrize(
    ("part", "replacement", "forth", "back"),
    [
        (
            'iban = "MASKED"',
            'iban = "PLAIN"',
            "crm-sales: support.iban MASKED -> PLAIN",
            "crm-sales: support.iban PLAIN -> MASKED",
        ),
        (
            'iban = "MASKED"',
            'iban = ["MASKED", "PSEUDONYM"]',
            "crm-sales: support.iban MASKED -> MASKED, PSEUDONYM",
            "crm-sales: support.iban MASKED, PSEUDONYM -> MASKED",
        ),
        (
            'iban = "MASKED"',
            "",
            "crm-sales: support.iban MASKED -> nothing",
            "crm-sales: support.iban nothing -> MASKED",
        ),
        ('["write"]', '["write", "shred"]', "crm-sales: may shred", "crm-sales: may no longer shred"),
        ('["crm"]', "[]", "crm-sales: leaves domain crm", "crm-sales: joins domain crm"),
        (
            'description = "CRM"',
            'description = "The CRM"',
            "domain crm: description changed",
            "domain crm: description changed",
        ),
        ("[domains.crm]", "[domains.erp]\n[domains.crm]", "domain erp: added", "domain erp: removed"),
        (
            '"Answer questions"',
            '"Answer"',
            "purpose support: description changed",
            "purpose support: description changed",
        ),
        (
            '"Answer questions"',
            '"Answer questions"\nallow_restricted = true',
            "purpose support: restricted customers denied -> allowed",
            "purpose support: restricted customers allowed -> denied",
        ),
        (
            '"Answer questions"',
            '"Answer questions"\nsale_or_sharing = true',
            "purpose support: sale_or_sharing on",
            "purpose support: sale_or_sharing off",
        ),
        (
            "[principals.admin]",
            '[principals."spiffe://example.org/a: b"]\n[principals.admin]',
            '"spiffe://example.org/a: b": added',
            '"spiffe://example.org/a: b": removed',
        ),
    ],
)
def test_one_change_is_one_line(part: str, replacement: str, forth: str, back: str) -> None:
    changed = BASE.replace(part, replacement)
    assert change(BASE, changed) == [forth]
    assert change(changed, BASE) == [back]


def test_a_new_default_domain_is_a_change() -> None:
    two = BASE.replace('["crm"]', '["crm", "erp"]').replace("[domains.crm]", "[domains.erp]\n[domains.crm]")
    assert change(two, two.replace('["crm", "erp"]', '["erp", "crm"]')) == [
        "crm-sales: default domain crm -> erp"
    ]


def test_a_star_changes_the_classes_that_were_not_named() -> None:
    assert change(BASE, BASE + '"*" = "MASKED"') == ["crm-sales: support.* nothing -> MASKED"]


def test_naming_a_class_as_the_star_had_it_changes_nothing() -> None:
    starred = BASE + '"*" = "MASKED"\n'
    assert change(starred, starred + 'email = "MASKED"') == []


def test_moving_a_grant_into_a_role_changes_nothing() -> None:
    in_role = BASE.replace('may = ["write"]', 'roles = ["writer"]') + '[roles.writer]\nmay = ["write"]'
    assert change(BASE, in_role) == []


def test_what_bears_on_reads_besides_lines_is_described() -> None:
    new = """rules = '''@id("r") forbid (principal, action, resource);'''
    [residency]
    EU = ["EU"]
    """
    after = (
        BASE.replace("version = 1", "version = 1\n" + new)
        .replace('"Answer questions"', '"Answer questions"\nbases = { "*" = ["contract"] }\ntraining = true')
        .replace("[principals.crm-sales]", "[principals.crm-sales]\nregion = 'DE'\ntraining = true")
    )
    assert change(BASE, after) == [
        "purpose support: training on",
        "purpose support: bases *: legitimate_interests -> *: contract",
        "residency EU: anywhere -> EU",
        "rule r: added",
        "crm-sales: region unknown -> DE",
        "crm-sales: reading takes a training",
    ]


def test_a_removed_purpose_is_one_line() -> None:
    more = (
        BASE
        + '[purposes.claim]\ndescription = "Claims"\nallow_restricted = true\nbases = { DE = ["contract"] }\n'
    )
    assert change(more, BASE) == ["purpose claim: removed"]


def test_a_changed_budget_says_what_of_it() -> None:
    budget = BASE + '[budgets.all]\nprincipals = ["crm-sales"]\nwindow = "1h"\ncustomers = 500\n'
    looser = budget.replace("customers = 500", "compare = 20").replace('"1h"', '"24h"')
    assert change(BASE, budget) == ["budget all: added"]
    assert change(budget, looser) == [
        "budget all: window_seconds 3600 -> 86400",
        "budget all: customers 500 -> no limit",
        "budget all: compare no limit -> 20",
    ]
    wider = budget.replace('["crm-sales"]', '["crm-sales", "admin"]')
    assert change(budget, wider) == ["budget all: principals crm-sales -> admin, crm-sales"]
