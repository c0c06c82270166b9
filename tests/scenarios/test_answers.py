"""Pseudonyms, comparisons and derived answers: told without the value, each by a grant of its own."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.scenarios.support.consenting import CONSENTING_POLICY, govern, say
from tests.scenarios.support.controls import apply, budget
from tests.scenarios.support.deployment import Deployment, Desks, by_id, found_vault
from tests.scenarios.support.policies import ADMIN, POLICY
from tests.scenarios.support.rotating import rotation
from tests.scenarios.test_epoch_rotation import findings
from vault.core.pseudonymkeys import rotate_pseudonym_key, withdraw_pseudonym_key
from vault.core.trail import OPERATOR, Trail
from vault.errors import (
    BudgetExceededError,
    DomainDeniedError,
    InvalidRequestError,
    LimitExceededError,
    Reason,
)
from vault.fields.derived import Question
from vault.model.access import Denial, Reveal
from vault.model.consents import Saying
from vault.model.controls import CustomersReadQuery
from vault.model.requests import AccessQuery, Caller, Scope

ANALYST = "nobody"
GRANTS = """
[principals.nobody]
domains = ["crm", "partner"]
[principals.nobody.reveal.support]
email = "PSEUDONYM"
name = ["PSEUDONYM", "COMPARE"]
phone = ["COMPARE", "COUNTRY"]
birth_date = ["MASKED", "AGE_OVER"]
[principals.nobody.reveal.marketing]
email = ["PSEUDONYM", "COMPARE", "EMAIL_DOMAIN"]
"""
OWN_POLICY = POLICY.replace('[principals.nobody]\ndomains = ["crm"]\n', GRANTS)
ADA = {
    "name": "Ada Lovelace",
    "email": "Ada@Example.org",
    "phone": "+493012345678",
    "birth_date": "1990-12-10",
}
SAME = {"name": "ADA  LOVELACE", "email": "ada@example.org", "phone": "+49 (30) 1234-5678"}


@pytest.fixture
def analyst(desks: Desks) -> Desks:
    """The vault under a policy in which `nobody` may be told answers, and no values."""
    apply(desks, OWN_POLICY)
    return desks


def pseudonyms(
    desks: Desks, tokens: list[str], purpose: str = "support", who: str = ANALYST, **options: object
) -> list[str]:
    found = desks.vault.pseudonymize(Caller(who), tokens, purpose, **options)  # type: ignore[arg-type]
    assert found.denials == []
    return list(found.pseudonyms)


def reasons(denials: object) -> list[Reason]:
    return [denial.reason for denial in denials]  # type: ignore[attr-defined]


def is_equal(desks: Desks, left: str, right: str, purpose: str = "support", who: str = ANALYST) -> bool:
    found = desks.vault.compare(Caller(who), [(left, right)], purpose)
    assert found.denials == []
    return found.equal[0]


def ask(desks: Desks, token: str, question: Question, who: str = ANALYST, **options: object) -> object:
    found = desks.vault.derive(Caller(who), [(token, question)], "support", **options)  # type: ignore[arg-type]
    return found.answers[0] if not found.denials else found.denials[0].reason


def test_equal_values_have_equal_pseudonyms_inside_a_domain_and_others_across(analyst: Desks) -> None:
    one = analyst.crm.tokens("c-1", ADA)
    other = analyst.crm.tokens("c-2", SAME, jurisdiction="DE")
    third = analyst.crm.tokens("c-3", {"email": "grace@example.org"})
    partner = analyst.partner.tokens("c-9", {"email": "ada@example.org"})
    made = pseudonyms(analyst, [one[1], other[1], third[0], partner[0]], domain="crm")
    assert made[0] == made[1] == made[3]
    assert made[2] != made[0]
    assert {each[:13] for each in made} == {made[0][:13]}
    elsewhere = pseudonyms(analyst, [one[1], other[1]], domain="partner")
    assert elsewhere[0] == elsewhere[1]
    assert {each[5:13] for each in made}.isdisjoint({each[5:13] for each in elsewhere})
    assert {each[13:] for each in made}.isdisjoint({each[13:] for each in elsewhere})
    assert pseudonyms(analyst, [one[1]], "marketing", domain="crm") == made[:1]
    assert pseudonyms(analyst, [one[1]]) == made[:1]  # the caller's first domain


def test_classes_and_vaults_have_pseudonyms_of_their_own(
    analyst: Desks, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = OWN_POLICY.replace('email = "PSEUDONYM"\n', 'email = "PSEUDONYM"\nnote = "PSEUDONYM"\n')
    apply(analyst, policy)
    tokens = analyst.crm.tokens("c-1", {"email": "ada@example.org", "note": "ada@example.org"})
    mail, note = pseudonyms(analyst, tokens)
    assert mail[:13] == note[:13]
    assert mail[13:] != note[13:]
    with found_vault(tmp_path_factory.mktemp("other"), policy=OWN_POLICY).opened() as other:
        (elsewhere,) = pseudonyms(other, other.crm.tokens("c-1", {"email": "ada@example.org"}))
    assert elsewhere[5:13] != mail[5:13]
    assert elsewhere[13:] != mail[13:]


def test_pseudonyms_outlive_a_new_epoch_and_a_new_process(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        apply(desks, OWN_POLICY)
        tokens = desks.crm.tokens("c-1", ADA)
        before = pseudonyms(desks, tokens[:2])
        desks.vault.rotate_dek(Caller(ADMIN), by_id("c-1"), "")
        rotation(desks.vault).rotate()
        assert pseudonyms(desks, tokens[:2]) == before
    with deployment.opened() as desks:
        assert pseudonyms(desks, tokens[:2]) == before
    assert findings(deployment) == []


def test_a_change_of_the_key_begins_a_generation_and_the_old_one_serves_until_it_is_withdrawn(
    analyst: Desks,
) -> None:
    (token,) = analyst.crm.tokens("c-1", {"email": "ada@example.org"})
    engine, trail = analyst.vault.engine, Trail(analyst.vault.engine.audit)
    old = pseudonyms(analyst, [token], domain="crm")
    unchanged = pseudonyms(analyst, [token], domain="partner")
    assert rotate_pseudonym_key(engine, trail, "crm") == 2
    new = pseudonyms(analyst, [token], domain="crm")
    assert new[0][:13] != old[0][:13]
    assert new[0][13:] != old[0][13:]
    assert pseudonyms(analyst, [token], domain="crm", generation=1) == old
    assert pseudonyms(analyst, [token], domain="partner") == unchanged
    for generation, complaint in ((2, "current one"), (3, "no generation 3")):
        with pytest.raises(InvalidRequestError, match=complaint):
            withdraw_pseudonym_key(engine, trail, "crm", generation)
    withdraw_pseudonym_key(engine, trail, "crm", 1)
    assert pseudonyms(analyst, [token], domain="crm") == new
    with pytest.raises(InvalidRequestError):
        pseudonyms(analyst, [token], domain="crm", generation=1)
    with pytest.raises(InvalidRequestError, match="no such domain"):
        rotate_pseudonym_key(engine, trail, "nowhere")
    assert rotate_pseudonym_key(engine, trail, "crm") == 3
    acts = [each for each in analyst.privacy.accesses() if each.principal == OPERATOR]  # type: ignore[attr-defined]
    assert [each.action for each in acts][:3] == [  # type: ignore[attr-defined]
        "RotatePseudonymKey", "WithdrawPseudonymKey", "RotatePseudonymKey",
    ]  # fmt: skip


def test_without_a_grant_no_key_is_made(desks: Desks) -> None:
    tokens = desks.crm.tokens("c-1", ADA)
    found = desks.vault.pseudonymize(Caller("crm"), tokens, "support")
    assert reasons(found.denials) == [Reason.REVEAL_DENIED] * 4  # plain values, and no pseudonyms
    found = desks.vault.pseudonymize(Caller("nobody"), tokens, "support")
    assert reasons(found.denials) == [Reason.PURPOSE_DENIED] * 4
    assert found.generation == 0
    assert desks.vault.engine.pseudonym_keys.of_domain(1) == {}


def test_values_are_compared_as_they_are_normalized(analyst: Desks) -> None:
    one = analyst.crm.tokens("c-1", ADA)
    other = analyst.crm.tokens("c-2", SAME)
    third = analyst.crm.tokens("c-3", {"name": "Grace", "phone": "+493012345679"})
    assert is_equal(analyst, one[0], other[0])
    assert is_equal(analyst, one[2], other[2])
    assert is_equal(analyst, one[1], other[1], "marketing")
    assert is_equal(analyst, one[0], one[0])
    assert not is_equal(analyst, one[0], third[0])
    assert not is_equal(analyst, one[2], third[1])
    found = analyst.vault.compare(Caller(ANALYST), [(one[0], one[2]), (one[0], other[0])], "support")
    assert found.denials == [Denial(0, Reason.QUESTION_UNFIT)]
    assert list(found.equal) == [False, True]


def test_each_answer_is_granted_by_itself(analyst: Desks) -> None:
    name, mail, phone, born = analyst.crm.tokens("c-1", ADA)
    desk = analyst.of(ANALYST)
    assert desk.denied([name, mail, phone]) == [Reason.PURPOSE_DENIED] * 3
    assert desk.read([born]).values == ["1990-••-••"]
    compared = analyst.vault.compare(Caller(ANALYST), [(mail, mail), (born, born), (name, mail)], "support")
    assert reasons(compared.denials) == [
        Reason.PURPOSE_DENIED, Reason.REVEAL_DENIED, Reason.PURPOSE_DENIED,
    ]  # fmt: skip
    made = analyst.vault.pseudonymize(Caller(ANALYST), [phone, born, name], "support")
    assert reasons(made.denials) == [Reason.PURPOSE_DENIED, Reason.REVEAL_DENIED]
    assert [bool(each) for each in made.pseudonyms] == [False, False, True]
    adult = Question(Reveal.AGE_OVER, age=18)
    assert ask(analyst, born, adult) is True
    assert ask(analyst, phone, Question(Reveal.COUNTRY)) == "DE"
    assert ask(analyst, mail, Question(Reveal.EMAIL_DOMAIN)) is Reason.PURPOSE_DENIED
    assert ask(analyst, born, adult, who="agent") is Reason.REVEAL_DENIED  # who may see masks
    assert ask(analyst, born, adult, who="crm") is True  # it follows from the plain value
    assert is_equal(analyst, mail, mail, who="crm")
    assert ask(analyst, mail, adult, who="crm") is Reason.QUESTION_UNFIT


def test_one_call_may_mix_questions(analyst: Desks) -> None:
    name, mail, phone, born = analyst.crm.tokens("c-1", ADA)
    other = analyst.crm.tokens("c-2", {"phone": "+12025550123", "birth_date": "2025-01-01"})
    found = analyst.vault.derive(
        Caller("crm"),
        [
            (other[1], Question(Reveal.AGE_OVER, age=18)),
            (phone, Question(Reveal.COUNTRY)),
            ("cv1_" + "0" * 32, Question(Reveal.COUNTRY)),
            (mail, Question(Reveal.EMAIL_DOMAIN)),
            (other[0], Question(Reveal.COUNTRY)),
            (name, Question(Reveal.COUNTRY)),
            ("no token", Question(Reveal.EMAIL_DOMAIN)),
            (born, Question(Reveal.AGE_OVER, age=18)),
        ],
        "support",
    )
    assert list(found.answers) == [False, "DE", None, "example.org", "US", None, None, True]
    assert list(found.denials) == [
        Denial(2, Reason.TOKEN_UNKNOWN),
        Denial(5, Reason.QUESTION_UNFIT),
        Denial(6, Reason.TOKEN_MALFORMED),
    ]


def test_today_is_that_of_the_time_zone(analyst: Desks) -> None:
    (born,) = analyst.crm.tokens("c-1", {"birth_date": "2000-06-15"})
    late = datetime(2018, 6, 14, 23, 30, tzinfo=UTC)
    analyst.vault.engine.now_ms = lambda: int(late.timestamp() * 1000)
    adult = Question(Reveal.AGE_OVER, age=18)
    assert ask(analyst, born, adult) is False
    assert ask(analyst, born, adult, time_zone="Europe/Berlin") is True
    assert ask(analyst, born, adult, time_zone="America/New_York") is False
    for zone in ("Mars/Olympus", "../etc/passwd", "Europe"):
        with pytest.raises(InvalidRequestError):
            ask(analyst, born, adult, time_zone=zone)


def test_what_is_gone_or_closed_is_refused_at_the_next_call(analyst: Desks) -> None:
    adult = Question(Reveal.AGE_OVER, age=18)
    made: dict[str, list[str]] = {}
    for customer in ("shredded", "restricted", "expired", "deleted"):
        made[customer] = analyst.crm.tokens(customer, ADA)
        assert pseudonyms(analyst, made[customer][:2])
        assert ask(analyst, made[customer][3], adult) is True
    analyst.eraser.shred(by_id("shredded"))
    analyst.privacy.restrict(by_id("restricted"))
    past_ms = analyst.vault.engine.now_ms() - 1000
    analyst.vault.set_expiry(analyst.privacy.caller, by_id("expired"), Scope(), past_ms, "")
    for token in made["deleted"]:
        analyst.crm.delete(token)
    expected = {
        "shredded": Reason.SHREDDED,
        "restricted": Reason.RESTRICTED,
        "expired": Reason.EXPIRED,
        "deleted": Reason.VALUE_DELETED,
    }
    live = analyst.crm.tokens("live", ADA)
    for customer, reason in expected.items():
        name, mail, _, born = made[customer]
        found = analyst.vault.pseudonymize(Caller(ANALYST), [name, mail], "support")
        assert (reasons(found.denials), list(found.pseudonyms)) == ([reason] * 2, ["", ""])
        compared = analyst.vault.compare(Caller(ANALYST), [(live[0], name), (name, live[0])], "support")
        assert (reasons(compared.denials), list(compared.equal)) == ([reason] * 2, [False, False])
        assert ask(analyst, born, adult) is reason


def test_a_withdrawn_consent_ends_answers_at_the_next_call(desks: Desks) -> None:
    granted = '[principals.nobody.reveal.marketing]\nemail = ["PSEUDONYM", "COMPARE", "EMAIL_DOMAIN"]\n'
    desk = govern(desks, CONSENTING_POLICY + granted)
    (mail,) = desks.crm.tokens("c-1", {"email": "ada@example.org"})
    caller, question = Caller(ANALYST), Question(Reveal.EMAIL_DOMAIN)

    def told() -> list[list[Reason]]:
        return [
            reasons(desks.vault.pseudonymize(caller, [mail], "marketing").denials),
            reasons(desks.vault.compare(caller, [(mail, mail)], "marketing").denials),
            reasons(desks.vault.derive(caller, [(mail, question)], "marketing").denials),
        ]

    assert told() == [[Reason.CONSENT_MISSING]] * 3
    say(desk, "c-1", "marketing", Saying.GIVEN)
    assert told() == [[], [], []]
    say(desk, "c-1", "marketing", Saying.WITHDRAWN)
    assert told() == [[Reason.CONSENT_WITHDRAWN]] * 3


def test_bad_input(analyst: Desks) -> None:
    (token,) = analyst.crm.tokens("c-1", {"name": "Ada"})
    vault, caller = analyst.vault, Caller(ANALYST)
    found = vault.pseudonymize(
        caller, ["", "cv1_", token, analyst.crm.store("c-1", {}).customer_token], "support"
    )
    assert reasons(found.denials) == [
        Reason.TOKEN_MALFORMED, Reason.TOKEN_MALFORMED, Reason.INVALID_REQUEST,
    ]  # fmt: skip
    assert found.pseudonyms[2].startswith("cvp1_")
    with pytest.raises(DomainDeniedError):
        vault.pseudonymize(caller, [token], "support", domain="nowhere")
    with pytest.raises(InvalidRequestError):
        vault.pseudonymize(caller, [token], "support", domain="crm", generation=7)
    with pytest.raises(InvalidRequestError):
        vault.derive(caller, [(token, Question(Reveal.PLAIN))], "support")
    with pytest.raises(InvalidRequestError):
        vault.detokenize(caller, [token], "support", Reveal.PSEUDONYM)
    limit = vault.engine.settings.limits.batch_tokens
    with pytest.raises(LimitExceededError):
        vault.compare(caller, [(token, token)] * (limit // 2 + 1), "support")
    assert vault.compare(caller, [], "support").equal == []


def test_what_is_more_than_a_reply_holds_is_for_the_next_call(analyst: Desks) -> None:
    (one,) = analyst.crm.tokens("c-1", {"name": "Ada " * 100})
    (other,) = analyst.crm.tokens("c-2", {"name": "Ada " * 100})
    analyst.vault.engine.hot.reply_bytes = 300
    found = analyst.vault.pseudonymize(Caller(ANALYST), [one, other], "support")
    assert found.denials == [Denial(1, Reason.REPLY_FULL)]
    assert [bool(each) for each in found.pseudonyms] == [True, False]
    assert pseudonyms(analyst, [other]) == [found.pseudonyms[0]]


def test_a_partners_token_is_unknown(analyst: Desks) -> None:
    (token,) = analyst.partner.tokens("c-1", {"email": "ada@example.org"})
    found = analyst.vault.compare(Caller("crm"), [(token, token)], "support")
    assert reasons(found.denials) == [Reason.TOKEN_UNKNOWN]


def test_comparing_and_pseudonyms_have_the_budget_of_comparisons_and_answers_that_of_reads(
    analyst: Desks,
) -> None:
    made = [analyst.crm.tokens(f"c-{number}", ADA) for number in range(4)]
    limited = OWN_POLICY + budget(principals=[ANALYST], customers=2, compare=3)
    apply(analyst, limited)
    assert pseudonyms(analyst, [made[0][0], made[0][1]])
    assert is_equal(analyst, made[1][0], made[2][0])
    assert pseudonyms(analyst, [tokens[0] for tokens in made[:3]])
    for beyond in (
        lambda: pseudonyms(analyst, [made[0][0], made[3][0]]),
        lambda: is_equal(analyst, made[0][0], made[3][0]),
    ):
        with pytest.raises(BudgetExceededError):
            beyond()
    adult = Question(Reveal.AGE_OVER, age=18)
    assert ask(analyst, made[3][3], adult) is True
    assert ask(analyst, made[2][3], adult) is True
    with pytest.raises(BudgetExceededError):
        ask(analyst, made[1][3], adult)


def test_the_access_log_says_who_was_told_of_whom_and_nothing_else(analyst: Desks) -> None:
    name, mail, _, born = analyst.crm.tokens("c-1", ADA)
    pseudonyms(analyst, [name, mail])
    is_equal(analyst, name, name)
    ask(analyst, born, Question(Reveal.AGE_OVER, age=18))
    analyst.vault.compare(Caller(ANALYST), [(name, "cv1_" + "0" * 32)], "support")
    seen = list(analyst.vault.list_access(analyst.privacy.caller, AccessQuery(principal=ANALYST)).items)
    assert [(each.action, each.purpose, each.field_classes, each.customers) for each in seen] == [
        ("Compare", "support", ["name"], 1),
        ("Derive", "support", ["birth_date"], 1),
        ("Compare", "support", ["name"], 1),
        ("Pseudonymize", "support", ["email", "name"], 1),
    ]
    assert [(each.values_plain, each.values_masked, each.values_denied) for each in seen] == [
        (0, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    query = CustomersReadQuery(principal=ANALYST)
    found = analyst.vault.customers_read(analyst.privacy.caller, replace(query, domain="crm"))
    assert len(found.customer_tokens) == 1
