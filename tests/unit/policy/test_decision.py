"""Each reason to deny, beside the nearest case that is allowed."""

import pytest

from vault.errors import (
    ActionDeniedError,
    DomainDeniedError,
    InvalidRequestError,
    Reason,
    SuspendedError,
    UnauthenticatedError,
    VaultError,
)
from vault.model.access import Action, Reveal
from vault.model.consent import LawfulBasis
from vault.model.situation import Situation
from vault.policy.decision import DENIALS, AccessTable, Grants, PrincipalRecord, Verdict
from vault.policy.document import parse_policy

CLASS_IDS = {"name": 1, "email": 2, "iban": 7, "note": 255}
DOMAIN_IDS = {"crm": 1, "shop": 2, "erp": 255, "retired": 3}
PURPOSE_IDS = {"support": 1, "legal_claims": 2, "retired": 3}
REGISTRY = {
    name: PrincipalRecord(number, name, revoked=name == "gone")
    for number, name in enumerate(["admin", "sales", "gone", "unmentioned"], start=1)
}
POLICY = """
version = 1
[domains.crm]
[domains.shop]
[domains.erp]
[purposes.support]
description = "Answer questions"
[purposes.legal_claims]
description = "Defend against claims"
allow_restricted = true
[principals.admin]
may = ["admin"]
[principals.sales]
domains = ["shop", "crm"]
may = ["write", "shred"]
[principals.sales.reveal.support]
name = "PLAIN"
"*" = "MASKED"
[principals.sales.reveal.legal_claims]
name = "PLAIN"
iban = "MASKED"
[principals.gone]
domains = ["crm"]
[principals.unregistered]
domains = ["crm"]
"""
POLICY_PARSED = parse_policy(POLICY, CLASS_IDS)


@pytest.fixture
def table() -> AccessTable:
    return AccessTable(POLICY_PARSED, REGISTRY, DOMAIN_IDS, PURPOSE_IDS, CLASS_IDS)


@pytest.fixture
def sales(table: AccessTable) -> Grants:
    return table.principal("sales")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("unregistered", UnauthenticatedError),
        ("nobody", UnauthenticatedError),
        ("", UnauthenticatedError),
        ("SALES", UnauthenticatedError),
        ("gone", SuspendedError),
    ],
)
def test_only_registered_principals_are_admitted(
    table: AccessTable, name: str, error: type[VaultError]
) -> None:
    for _ in range(2):  # also when asked again, past the cache
        with pytest.raises(error):
            table.principal(name)
    assert (table.principal("sales").id, table.principal("sales").name) == (2, "sales")


def test_a_principal_is_worked_out_once(table: AccessTable, sales: Grants) -> None:
    assert table.principal("sales") is sales


def test_a_registered_principal_without_rules_is_granted_nothing(table: AccessTable) -> None:
    nobody = table.principal("unmentioned")
    assert nobody.domains == frozenset()
    assert nobody.default_domain is None
    assert not any(nobody.may(action) for action in Action)
    assert table_of(nobody, "support") == bytes(256)
    with pytest.raises(DomainDeniedError):
        nobody.domain("")


def test_domains(sales: Grants) -> None:
    assert sales.domains == {1, 2}
    assert sales.domain("") == sales.default_domain == 2
    assert sales.domain("crm") == 1


def test_a_foreign_domain_and_none_at_all_get_one_answer(sales: Grants) -> None:
    answers = set()
    for name in ("erp", "retired", "never"):
        with pytest.raises(DomainDeniedError) as caught:
            sales.domain(name)
        answers.add((str(caught.value), str(caught.value.details)))
    assert len(answers) == 1


@pytest.mark.parametrize("action", Action)
def test_actions(sales: Grants, action: Action) -> None:
    if action in (Action.WRITE, Action.SHRED):
        assert sales.may(action)
        sales.require(action)
    else:
        assert not sales.may(action)
        with pytest.raises(ActionDeniedError) as caught:
            sales.require(action)
        assert caught.value.details == {"action": action.value}


def table_of(grants: Grants, purpose: str, wanted: Reveal = Reveal.BEST, restricted: bool = False) -> bytes:
    return grants.reads(purpose, wanted, None, 0).table(Situation(restricted=restricted))


READS = [
    # purpose, wanted, restricted, field class, verdict
    ("support", Reveal.BEST, False, "name", Verdict.PLAIN),
    ("support", Reveal.NONE, False, "name", Verdict.PLAIN),
    ("support", Reveal.PLAIN, False, "name", Verdict.PLAIN),
    ("support", Reveal.MASKED, False, "name", Verdict.MASKED),
    ("support", Reveal.BEST, False, "iban", Verdict.MASKED),
    ("support", Reveal.MASKED, False, "iban", Verdict.MASKED),
    ("support", Reveal.PLAIN, False, "iban", Verdict.REVEAL_DENIED),
    ("support", Reveal.BEST, False, "note", Verdict.MASKED),
    ("legal_claims", Reveal.BEST, False, "iban", Verdict.MASKED),
    ("legal_claims", Reveal.BEST, False, "email", Verdict.PURPOSE_DENIED),
    ("legal_claims", Reveal.PLAIN, False, "email", Verdict.PURPOSE_DENIED),
    ("legal_claims", Reveal.MASKED, False, "email", Verdict.PURPOSE_DENIED),
    ("never", Reveal.BEST, False, "name", Verdict.PURPOSE_DENIED),
    ("retired", Reveal.BEST, False, "name", Verdict.PURPOSE_DENIED),
    ("", Reveal.BEST, False, "name", Verdict.PURPOSE_DENIED),
    ("*", Reveal.BEST, False, "name", Verdict.PURPOSE_DENIED),
    ("support", Reveal.BEST, True, "name", Verdict.RESTRICTED),
    ("support", Reveal.MASKED, True, "name", Verdict.RESTRICTED),
    ("support", Reveal.PLAIN, True, "iban", Verdict.RESTRICTED),
    ("legal_claims", Reveal.BEST, True, "name", Verdict.PLAIN),
    ("legal_claims", Reveal.PLAIN, True, "iban", Verdict.REVEAL_DENIED),
    ("legal_claims", Reveal.BEST, True, "email", Verdict.PURPOSE_DENIED),
    ("never", Reveal.BEST, True, "name", Verdict.PURPOSE_DENIED),
]


@pytest.mark.parametrize(("purpose", "wanted", "restricted", "field_class", "verdict"), READS)
def test_reads(
    sales: Grants, purpose: str, wanted: Reveal, restricted: bool, field_class: str, verdict: Verdict
) -> None:
    for _ in range(2):  # worked out, then from the cache
        assert table_of(sales, purpose, wanted, restricted)[CLASS_IDS[field_class]] == verdict


def test_a_restricted_customer_does_not_change_the_answer_for_others(sales: Grants) -> None:
    free = table_of(sales, "support")
    assert table_of(sales, "support", restricted=True) != free
    assert table_of(sales, "support") == free


def test_what_was_worked_out_is_kept(sales: Grants) -> None:
    reads = sales.reads("support", Reveal.BEST, None, 0)
    assert sales.reads("support", Reveal.BEST, None, 1) is reads
    assert sales.reads("support", Reveal.BEST, LawfulBasis.CONSENT, 1) is not reads


def test_the_star_covers_declared_classes_and_no_other_number(sales: Grants) -> None:
    verdicts = table_of(sales, "support")
    assert len(verdicts) == 256
    assert {number for number in range(256) if verdicts[number]} == set(CLASS_IDS.values())


def test_a_reveal_that_does_not_exist_is_refused(sales: Grants) -> None:
    with pytest.raises(InvalidRequestError):
        sales.reads("support", 9, None, 0)  # type: ignore[arg-type]
    assert sales.reads("support", 3, None, 0)  # type: ignore[arg-type]


def test_undeclared_purposes_take_no_memory(sales: Grants) -> None:
    before = len(sales._tables)
    for number in range(10):
        assert table_of(sales, f"made_up_{number}") == bytes(256)
    assert len(sales._tables) == before


def test_every_denying_verdict_has_its_reason() -> None:
    assert set(DENIALS) == set(Verdict) - {Verdict.PLAIN, Verdict.MASKED, Verdict.ANSWERED}
    assert all(DENIALS[verdict] == Reason[verdict.name] for verdict in DENIALS)


def test_purpose_ids(sales: Grants) -> None:
    assert [sales.purpose_id(name) for name in ("support", "retired", "never")] == [1, 3, 0]


@pytest.mark.parametrize(
    ("domain_ids", "purpose_ids", "class_ids"),
    [
        ({"crm": 1, "shop": 2}, PURPOSE_IDS, CLASS_IDS),
        (DOMAIN_IDS, {"support": 1}, CLASS_IDS),
        (DOMAIN_IDS | {"crm": 0}, PURPOSE_IDS, CLASS_IDS),
        (DOMAIN_IDS | {"crm": 256}, PURPOSE_IDS, CLASS_IDS),
        (DOMAIN_IDS, PURPOSE_IDS, CLASS_IDS | {"name": 0}),
        (DOMAIN_IDS, PURPOSE_IDS, CLASS_IDS | {"name": 256}),
    ],
)
def test_a_table_is_refused_when_numbers_do_not_fit_the_policy(
    domain_ids: dict[str, int], purpose_ids: dict[str, int], class_ids: dict[str, int]
) -> None:
    with pytest.raises(VaultError):
        AccessTable(POLICY_PARSED, REGISTRY, domain_ids, purpose_ids, class_ids)


def test_training_and_an_approval_end_at_their_time() -> None:
    policy = parse_policy(
        POLICY
        + """
        [purposes.emergency]
        description = "Save"
        break_glass = true
        [principals.medic]
        training = true
        training_valid_until = 1970-01-01T00:00:05Z
        [principals.medic.reveal.emergency]
        name = "PLAIN"
        """,
        CLASS_IDS,
    )
    medic = PrincipalRecord(9, "medic", break_glass={"emergency": 3000})
    table = AccessTable(policy, {"medic": medic}, DOMAIN_IDS, PURPOSE_IDS | {"emergency": 4}, CLASS_IDS)
    grants = table.principal("medic")
    seen = {}
    for now_ms in (0, 2999, 3000, 4999, 5000):
        reads = grants.reads("emergency", Reveal.BEST, None, now_ms)
        assert now_ms < reads.valid_until_ms
        seen[now_ms] = Verdict(reads.table(Situation())[CLASS_IDS["name"]])
    approval, training = Verdict.APPROVAL_REQUIRED, Verdict.TRAINING_EXPIRED
    assert list(seen.values()) == [Verdict.PLAIN, Verdict.PLAIN, approval, approval, training]
