"""The policies that a vault starts with, and those that the documentation shows."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vault.errors import InvalidRequestError, PolicyInvalidError
from vault.fields import DEFAULT_FIELDS
from vault.model.access import Action, Reveal
from vault.model.situation import Situation
from vault.policy.bootstrap import development_policy, initial_policy
from vault.policy.decision import AccessTable, Grants, PrincipalRecord, Verdict
from vault.policy.document import parse_policy
from vault.policy.examples import require_sound
from vault.policy.rules import Policy, is_principal_name

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
CLASSES = tuple(field_class.name for field_class in DEFAULT_FIELDS)


def grants(policy: Policy, principal: str) -> Grants:
    def numbers(names: object) -> dict[str, int]:
        return {name: number for number, name in enumerate(names, start=1)}  # type: ignore[arg-type, var-annotated]

    registry = {principal: PrincipalRecord(1, principal)}
    table = AccessTable(policy, registry, numbers(policy.domains), numbers(policy.purposes), numbers(CLASSES))
    return table.principal(principal)


def verdicts(reader: Grants, purpose: str) -> set[int]:
    return set(reader.reads(purpose, Reveal.BEST, None, 0).table(Situation())[1 : len(CLASSES) + 1])


@given(st.text(min_size=1, max_size=255))
def test_the_first_administrator_may_do_all_and_read_nothing(admin: str) -> None:
    assume(is_principal_name(admin))
    policy = parse_policy(initial_policy(admin), ())
    assert policy.principals.keys() == policy.administrators == {admin}
    assert policy.principals[admin].may == set(Action)
    assert policy.principals[admin].grants == {}
    assert policy.domains.keys() == {"crm"}
    assert policy.purposes.keys() == {
        "support",
        "order_fulfilment",
        "billing",
        "fraud_prevention",
        "direct_marketing",
        "analytics",
        "legal_claim",
        "access_request",
    }


@pytest.mark.parametrize("admin", ["", " ", "a\nb", "x" * 256, "a\u202eb"])
def test_a_name_that_is_none_makes_no_policy(admin: str) -> None:
    for make in (initial_policy, development_policy):
        with pytest.raises(InvalidRequestError):
            make(admin)


def test_the_developer_reads_all_for_support_some_for_marketing_and_nothing_for_billing() -> None:
    policy = parse_policy(development_policy("admin"), CLASSES)
    dev = grants(policy, "dev")
    assert all(dev.may(action) for action in Action)
    assert verdicts(dev, "support") == {Verdict.PLAIN}
    assert verdicts(dev, "billing") == {Verdict.PURPOSE_DENIED}
    marketing = dev.reads("marketing", Reveal.BEST, None, 0).table(Situation())
    assert [name for number, name in enumerate(CLASSES, start=1) if marketing[number]] == ["name", "email"]
    assert verdicts(dev, "marketing") == {Verdict.MASKED, Verdict.PURPOSE_DENIED}


def test_the_developers_share_no_domain() -> None:
    policy = parse_policy(development_policy("admin"), CLASSES)
    assert policy.principals["dev"].domains == ("crm",)
    assert policy.principals["dev-other"].domains == ("partner",)


@pytest.mark.parametrize("name", ["dev", "dev-other"])
def test_the_administrator_is_not_one_of_the_developers(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        development_policy(name)


def test_the_example_to_deploy_is_valid_and_keeps_administration_apart() -> None:
    policy = parse_policy((ROOT / "deploy/policy.example.toml").read_text(encoding="utf-8"), CLASSES)
    assert policy.administrators
    assert all(not policy.principals[name].grants for name in policy.administrators)


@pytest.mark.parametrize("name", ["initial", "development", "to deploy", "documented"])
def test_every_policy_passes_its_own_examples_and_the_schema(name: str) -> None:
    text = {
        "initial": initial_policy("admin"),
        "development": development_policy("admin"),
        "to deploy": (ROOT / "deploy/policy.example.toml").read_text(encoding="utf-8"),
        "documented": documented_example(),
    }[name]
    policy = parse_policy(text, CLASSES)
    assert policy.examples
    require_sound(policy, CLASSES)


def documented_example() -> str:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if "version = 1" in block)


def test_the_documented_problems_are_those_of_a_mistyped_example() -> None:
    mistyped = (
        documented_example()
        + """
[principals."crm-support".reveal.support]
emial = "PLAIN"
"""
    )
    mistyped = mistyped.replace('crm-support"]\n', 'crm-support"]\nmay = ["read"]\n', 1)
    with pytest.raises(PolicyInvalidError) as caught:
        parse_policy(mistyped, CLASSES)
    assert f"```text\n{caught.value}\n```" in PAGE


def test_the_documented_example_says_what_the_page_claims() -> None:
    policy = parse_policy(documented_example(), CLASSES)
    rows = re.findall(r"^\| `([^`]+)` \| `([a-z_]+)` \| `([a-z_]+)` \| (.+?) \|", PAGE, re.MULTILINE)
    assert len(rows) >= 5
    for principal, purpose, field_class, claim in rows:
        verdict = (
            grants(policy, principal)
            .reads(purpose, Reveal.BEST, None, 0)
            .table(Situation())[CLASSES.index(field_class) + 1]
        )
        assert claim == {Verdict.PLAIN: "plain", Verdict.MASKED: "masked"}.get(verdict, "nothing")
