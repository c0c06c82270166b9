"""What a customer's row and terms say decides the next read, and every read after it."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_id, found_vault
from vault.errors import Reason
from vault.model.access import Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.requests import AccessQuery, ExplainQuery
from vault.store.layout import RowState, customer_key
from vault.store.session import WriteSession
from vault.store.terms import Expiry, Restriction, Terms, TimedConsent

NUMBER = {"support": 1, "marketing": 2, "claims": 3}
POLICY = """
version = 1
[domains.crm]
[purposes.support]
description = "Answer"
[purposes.marketing]
description = "Sell"
direct_marketing = true
bases = { EU = ["consent"], US = ["legitimate_interests", "consent"], "*" = ["consent"] }
[purposes.claims]
description = "Claim"
allow_restricted = true
[principals.admin]
may = ["admin", "audit"]
domains = ["crm"]
[principals.crm]
domains = ["crm"]
may = ["write", "export"]
[principals.crm.reveal]
support = { "*" = "PLAIN" }
marketing = { "*" = "PLAIN", email = "MASKED" }
claims = { "*" = "PLAIN" }
[principals.nobody]
domains = ["crm"]
"""
FIELDS = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return found_vault(tmp_path_factory.mktemp("situations"), policy=POLICY)


@pytest.fixture
def desks(founded: Deployment) -> Iterator[Desks]:
    with founded.opened() as opened:
        yield opened


def amend(desks: Desks, external_id: str, terms: Terms | None = None, **row: object) -> None:
    """Changes a customer's row and terms as the use cases do."""
    engine = desks.vault.engine

    def job(session: WriteSession) -> None:
        number = engine.book.lookup(session, external_id.encode())
        assert number is not None
        with engine.book.open(session, session, number) as customer:
            customer.row = replace(customer.row, **row)  # type: ignore[arg-type]
            if terms is not None:
                customer.terms = terms
            engine.book.save(session, customer)

    engine.committer.submit(job)


def consent(purpose: str, state: ConsentState) -> int:
    return state << 2 * (NUMBER[purpose] - 1)


def answers(desks: Desks, tokens: list[str], purpose: str, basis: LawfulBasis | None = None) -> list[object]:
    revealed = desks.vault.detokenize(desks.crm.caller, tokens, purpose, Reveal.BEST, basis)
    reasons = {denial.index: denial.reason for denial in revealed.denials}
    return [reasons.get(index, value) for index, value in enumerate(revealed.values)]


def test_a_row_is_decided_by_its_consent(desks: Desks) -> None:
    tokens = desks.crm.tokens("row", FIELDS, jurisdiction="DE")
    assert answers(desks, tokens, "marketing") == [Reason.CONSENT_MISSING] * 2
    for state, expected in (
        (ConsentState.GIVEN, ["Ada", "a•••@e•••.com"]),
        (ConsentState.WITHDRAWN, [Reason.CONSENT_WITHDRAWN] * 2),
        (ConsentState.OBJECTED, [Reason.OBJECTED] * 2),
        (ConsentState.NONE, [Reason.CONSENT_MISSING] * 2),
    ):
        amend(desks, "row", consents=consent("marketing", state))
        assert answers(desks, tokens, "marketing") == expected
        if state is not ConsentState.OBJECTED:
            assert answers(desks, tokens, "support") == list(FIELDS.values())
    assert desks.of("nobody").denied(tokens, "marketing") == [Reason.PURPOSE_DENIED] * 2


def test_another_basis_has_to_be_stated(desks: Desks) -> None:
    tokens = desks.crm.tokens("us", {"name": "Bob"}, jurisdiction="US")
    amend(desks, "us", consents=consent("marketing", ConsentState.WITHDRAWN))
    assert answers(desks, tokens, "marketing") == ["Bob"]
    assert answers(desks, tokens, "marketing", LawfulBasis.CONSENT) == [Reason.CONSENT_WITHDRAWN]
    assert answers(desks, tokens, "marketing", LawfulBasis.CONTRACT) == [Reason.PURPOSE_DENIED]
    newest = desks.vault.list_access(desks.admin.caller, AccessQuery(page_size=3)).items
    assert [access.basis for access in newest] == [LawfulBasis.CONTRACT, LawfulBasis.CONSENT, None]


def test_customers_of_one_batch_are_decided_apart(desks: Desks) -> None:
    tokens, expected = [], []
    for number, state in enumerate(ConsentState):
        name = f"batch-{number}"
        tokens += desks.crm.tokens(name, {"name": name}, jurisdiction="FR")
        amend(desks, name, consents=consent("marketing", state))
        expected.append(name if state is ConsentState.GIVEN else None)
    tokens += tokens[::-1]
    expected += expected[::-1]
    got = answers(desks, tokens, "marketing")
    assert [
        each if isinstance(each, str) and not isinstance(each, Reason) else None for each in got
    ] == expected
    assert {each for each in got if isinstance(each, Reason)} == {
        Reason.CONSENT_MISSING,
        Reason.CONSENT_WITHDRAWN,
        Reason.OBJECTED,
    }


def test_terms_bear_on_single_classes_and_purposes(desks: Desks) -> None:
    tokens = desks.crm.tokens("terms", FIELDS, jurisdiction="DE")
    email = _class_number(desks, "email")
    amend(desks, "terms", Terms(restrictions=(Restriction(1, 0, email),)))
    assert answers(desks, tokens, "support") == ["Ada", Reason.RESTRICTED]
    assert answers(desks, tokens, "claims") == list(FIELDS.values())
    amend(desks, "terms", Terms(expiries=(Expiry(1, NUMBER["support"], email, 1),)))
    assert answers(desks, tokens, "support") == ["Ada", Reason.EXPIRED]
    assert answers(desks, tokens, "claims") == list(FIELDS.values())
    amend(desks, "terms", Terms())
    assert answers(desks, tokens, "support") == list(FIELDS.values())


def test_a_whole_restriction_in_the_row(desks: Desks) -> None:
    tokens = desks.crm.tokens("restricted", FIELDS)
    amend(desks, "restricted", state=RowState.RESTRICTED)
    assert answers(desks, tokens, "support") == [Reason.RESTRICTED] * 2
    assert answers(desks, tokens, "claims") == list(FIELDS.values())
    amend(desks, "restricted", state=RowState.ACTIVE)
    assert answers(desks, tokens, "support") == list(FIELDS.values())


def test_what_ends_at_a_time_ends_then_though_nothing_is_written(desks: Desks) -> None:
    tokens = desks.crm.tokens("timed", {"name": "Eve"}, jurisdiction="DE")
    ends = time.time_ns() // 1_000_000 + 700
    given = TimedConsent(NUMBER["marketing"], ConsentState.GIVEN, ends)
    amend(desks, "timed", Terms(consents=(given,)))
    assert answers(desks, tokens, "marketing") == ["Eve"]
    while time.time_ns() // 1_000_000 < ends:
        time.sleep(0.02)
    assert answers(desks, tokens, "marketing") == [Reason.CONSENT_WITHDRAWN]


def test_terms_of_another_moment_do_not_pass(desks: Desks) -> None:
    tokens = desks.crm.tokens("older", {"name": "Max"}, jurisdiction="DE")
    restricted = Terms(restrictions=(Restriction(1),))
    engine = desks.vault.engine
    amend(desks, "older", Terms(consents=(TimedConsent(2, ConsentState.GIVEN, 2**60),)))
    with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
        number = engine.book.lookup(keys, b"older")
        assert number is not None
        older = snapshot.sheet(customer_key(engine.region, number))
    assert older is not None
    amend(desks, "older", restricted)
    engine.committer.submit(lambda session: session.put_sheet(customer_key(engine.region, number), older))
    assert answers(desks, tokens, "marketing") == [Reason.INTEGRITY_FAILED]


def test_explain_of_a_customer_says_what_a_read_would_get_and_is_recorded(desks: Desks) -> None:
    desks.crm.tokens("explained", FIELDS, jurisdiction="DE")
    query = ExplainQuery("crm", "marketing", "name", customer=by_id("explained"))
    before = desks.vault.explain(desks.admin.caller, query)
    assert (before.reason, before.deciders) == (Reason.CONSENT_MISSING, ("guard.consent_missing",))
    amend(desks, "explained", consents=consent("marketing", ConsentState.GIVEN))
    after = desks.vault.explain(desks.admin.caller, query)
    assert (after.reveal, after.deciders) == (Reveal.PLAIN, ('principals.crm.reveal.marketing."*"',))
    newest = desks.vault.list_access(
        desks.admin.caller, AccessQuery(page_size=1, customer=by_id("explained"))
    )
    assert newest.items[0].action == "Explain"


def _class_number(desks: Desks, name: str) -> int:
    engine = desks.vault.engine
    with engine.store.snapshot() as snapshot:
        return engine.directory(snapshot).access.class_ids[name]
