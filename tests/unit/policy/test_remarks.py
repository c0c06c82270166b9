"""Remarks to whoever applies a policy; none of them stops it."""

from vault.policy.decision import PrincipalRecord
from vault.policy.document import parse_policy
from vault.policy.remarks import remarks

POLICY = parse_policy(
    """
    version = 1
    [domains.crm]
    [purposes.support]
    description = "Answer questions"
    [principals.admin]
    may = ["admin"]
    [principals.sales]
    domains = ["crm"]
    [principals.sales.reveal.support]
    "*" = "MASKED"
    """,
    (),
)


def registry(**revoked: bool) -> dict[str, PrincipalRecord]:
    return {name: PrincipalRecord(1, name, state) for name, state in revoked.items()}


def test_nothing_to_remark() -> None:
    assert remarks(POLICY, registry(admin=False, sales=False)) == []


def test_grants_without_effect() -> None:
    assert remarks(POLICY, registry(admin=False)) == ["sales is not registered: its grants have no effect"]
    assert remarks(POLICY, registry(admin=False, sales=True)) == [
        "sales is revoked: its grants have no effect"
    ]


def test_no_administrator_could_sign_in() -> None:
    for principals in (registry(sales=False), registry(admin=True, sales=False)):
        first, second = remarks(POLICY, principals)
        assert first == 'no registered principal may "admin"; nobody could change this policy'
        assert second.startswith("admin is ")


def test_a_reader_without_tokens_and_a_purpose_without_readers() -> None:
    policy = parse_policy(
        """
        version = 1
        [purposes.support]
        description = "Answer questions"
        [purposes.billing]
        description = "Write invoices"
        [principals.admin]
        may = ["admin"]
        [principals.admin.reveal.support]
        "*" = "MASKED"
        """,
        (),
    )
    assert remarks(policy, registry(admin=False)) == [
        "admin is in no domain: it has no tokens to read",
        "purpose billing is granted to nobody",
    ]


def test_who_applies_a_policy_is_told_of_being_locked_out() -> None:
    registered = registry(admin=False, sales=False)
    assert remarks(POLICY, registered, "admin") == []
    assert remarks(POLICY, registered, "sales") == [
        'you are sales, who may no longer "admin": others have to change it back'
    ]
