"""How far a stolen credential reached is answered exactly, against what its holder really got."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from customervault import Vault
from customervault.errors import ActionDeniedError, InvalidRequestError, PrincipalUnknownError
from customervault.reach_results import ReadCounts as Counts

from tests.scenarios.support.deployment import Desks, by_id
from tests.scenarios.support.policies import AGENT, CRM, NOBODY, PRIVACY
from tests.scenarios.support.server import serving
from vault import errors
from vault.core import blastradius
from vault.model.blast import BlastQuery, BlastRadius, CustomerReads, ReadCounts
from vault.model.requests import Entry, FieldInput
from vault.model.secret import Secret

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
PLACES = ("DE", "FR", "")


def asked(desks: Desks, **query: object) -> BlastRadius:
    return desks.vault.blast_radius(desks.privacy.caller, BlastQuery(**query))  # type: ignore[arg-type]


def pages(desks: Desks, **query: object) -> Iterator[BlastRadius]:
    page = asked(desks, **query)
    yield page
    while page.next_page_token:
        page = asked(desks, **query | {"page_token": page.next_page_token})
        yield page


def rows(desks: Desks, **query: object) -> dict[str, CustomerReads]:
    found = [row for page in pages(desks, **query) for row in page.customers]
    by_token = {row.customer_token: row for row in found}
    assert len(by_token) == len(found)
    return by_token


def test_each_customer_is_counted_by_class_and_outcome(desks):
    jane = desks.crm.store("crm-1", JANE, jurisdiction="DE")
    bob = desks.crm.store("crm-2", {"name": "Bob"})
    tokens = [each.token for each in jane.results]
    desks.crm.read([*tokens, tokens[0]])
    desks.crm.read([bob.results[0].token], "marketing")
    desks.crm.read([bob.results[0].token], "billing")  # not granted
    desks.agent.read(tokens)
    found = asked(desks, principal="crm")
    assert found.coverage.records == 5  # with the two that stored
    first, second = found.customers
    assert (first.customer_token, first.jurisdiction) == (jane.customer_token, "DE")
    assert first.counts == {"name": ReadCounts(2, 0, 0, 1), "email": ReadCounts(1, 0, 0, 1)}
    assert (second.customer_token, second.jurisdiction) == (bob.customer_token, "")
    assert second.counts == {"name": ReadCounts(0, 1, 1, 1)}
    assert found.totals == {"name": ReadCounts(2, 1, 1), "email": ReadCounts(1, 0, 0)}
    assert {(each.action, each.calls) for each in found.calls} == {("Detokenize", 3), ("Tokenize", 2)}
    assert (found.locators, found.locators_found) == (2, 2)
    support = asked(desks, principal="crm", purpose="support")
    assert [row.customer_token for row in support.customers] == [jane.customer_token]


def test_a_time_alone_covers_every_principal(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    desks.crm.read(jane)
    time.sleep(0.01)
    desks.agent.read(jane)
    (row,) = asked(desks, start_ms=1).customers
    assert row.counts["name"] == ReadCounts(1, 1, 0, 1)
    (first,) = asked(desks, start_ms=1, end_ms=row.last_ms).customers
    assert (first.first_ms, first.counts["name"]) == (row.first_ms, ReadCounts(1, 0, 0, 1))
    assert not asked(desks, end_ms=row.first_ms).customers


def test_a_new_key_makes_no_second_customer(desks):
    jane = desks.crm.tokens("crm-1", JANE)
    for _ in range(3):
        desks.crm.read(jane)
        desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    found = asked(desks, principal="crm")
    (row,) = found.customers
    assert row.counts == {"name": ReadCounts(3, 0, 0, 1), "email": ReadCounts(3, 0, 0, 1)}
    assert found.locators == found.locators_found == 3


def test_who_was_shredded_since_is_counted_and_not_named(desks):
    jane, bob = desks.crm.tokens("crm-1", JANE), desks.crm.tokens("crm-2", {"name": "Bob"})
    desks.crm.read([*jane, *bob])
    desks.eraser.shred(by_id("crm-1"))
    desks.crm.read(jane)
    found = asked(desks, principal="crm")
    (row,) = found.customers
    assert row.counts == {"name": ReadCounts(1, 0, 0, 1)}
    assert found.totals == {"name": ReadCounts(2, 0, 0), "email": ReadCounts(1, 0, 0)}
    assert (found.locators, found.locators_found, found.unnamed) == (2, 1, {"SHREDDED": 2})


def test_guesses_name_nobody(desks):
    desks.crm.tokens("crm-1", JANE)
    desks.crm.read(["cv1_" + "0" * 32])
    found = asked(desks, principal="crm")
    assert (found.customers, found.unnamed) == ([], {"TOKEN_UNKNOWN": 1})


@pytest.mark.parametrize("size", [1, 2, 100])
def test_pages_hold_everybody_once(desks, monkeypatch, size):
    monkeypatch.setattr(blastradius, "CUSTOMERS_LOOKED_AT", 1)
    kept = [desks.crm.store(f"crm-{n}", {"name": f"N {n}"}, jurisdiction="DE") for n in range(7)]
    tokens = [each.results[0].token for each in kept]
    desks.crm.read(tokens)
    assert set(rows(desks, principal="crm", page_size=size)) == {each.customer_token for each in kept}
    (asking,) = {each.detail for each in desks.privacy.accesses() if each.action == "GetBlastRadius"}
    assert '"name":"crm"' in asking


def test_another_process_takes_pages_over_unless_the_log_has_changed(desks):
    tokens = [desks.crm.tokens(f"crm-{n}", {"name": f"N {n}"})[0] for n in range(3)]
    desks.crm.read(tokens)
    query = {"principal": "crm", "page_size": 1}
    first = asked(desks, **query)
    desks.crm.read(tokens)  # later than the first page's end, so it does not count
    desks.vault._blast_radii._kept._found.clear()  # as in a process that has not got it
    second = asked(desks, **query | {"page_token": first.next_page_token})
    assert second.totals == first.totals
    token, _, named, _ = second.next_page_token.split(".")
    changed = f"{token}.{second.end_ms}.{named}.77"
    with pytest.raises(errors.InvalidRequestError, match="has changed"):
        asked(desks, **query | {"page_token": changed})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, errors.InvalidRequestError),
        ({"principal": "stranger"}, errors.PrincipalUnknownError),
        ({"principal": "crm", "purpose": "fun"}, errors.PurposeUnknownError),
        ({"principal": "crm", "domain": "partner"}, errors.DomainDeniedError),
        ({"principal": "crm", "page_token": "x"}, errors.InvalidRequestError),
    ],
)
def test_a_question_has_to_make_sense(desks, query, error):
    with pytest.raises(error):
        asked(desks, **query)


def test_only_auditors_ask(desks):
    for principal in ("crm", "agent", "eraser", "nobody"):
        with pytest.raises(errors.ActionDeniedError):
            desks.vault.blast_radius(desks.of(principal).caller, BlastQuery(principal="crm"))


CUSTOMERS = 1_200
CLASSES = ("name", "email", "phone")


@pytest.fixture
def held(deployment) -> dict[str, tuple[str, str, str]]:
    """Customer's token, class and jurisdiction, by the token of each value."""
    found = {}
    with deployment.opened() as opened:
        for start in range(0, CUSTOMERS, 400):
            entries = [
                Entry(
                    by_id(f"c-{n}"),
                    [FieldInput(name, Secret(text)) for name, text in zip(CLASSES, values(n), strict=True)],
                    PLACES[n % 3],
                )
                for n in range(start, start + 400)
            ]
            answers = opened.vault.tokenize(
                opened.crm.caller, entries, domain="", request_id="", atomic=True, batch=True
            )
            for entry, answer in zip(entries, answers, strict=True):
                for name, result in zip(CLASSES, answer.results, strict=True):
                    found[result.token] = (answer.customer_token, name, entry.jurisdiction)
    return found


def values(n: int) -> tuple[str, str, str]:
    return f"N {n}", f"n{n}@example.org", f"+4930{n + 1_000_000}"


def test_served_the_answer_is_what_the_thief_really_got(deployment, held, tmp_path):
    rng = random.Random(5)
    tokens = list(held)
    with serving(deployment, tmp_path) as server:
        got: Counter[tuple[str, str, str]] = Counter()
        with server.connect(CRM) as crm, server.connect(AGENT) as agent, server.connect(NOBODY) as nobody:
            for _ in range(30):
                batch = rng.choices(tokens, k=rng.randrange(1, 300))
                agent.detokenize(rng.choices(tokens, k=50), purpose="support")
                nobody.detokenize(rng.choices(tokens, k=20), purpose="support")
                purpose = rng.choice(["support", "marketing", "billing"])
                for token, value in zip(batch, crm.detokenize(batch, purpose=purpose), strict=True):
                    customer, name, _ = held[token]
                    got[customer, name, value.reveal_level if value.ok else "denied"] += 1
        with server.connect(PRIVACY) as privacy:
            check(privacy, held, got)
            with pytest.raises(PrincipalUnknownError):
                privacy.blast_radius(principal="stranger")
            with pytest.raises(InvalidRequestError):
                privacy.blast_radius()
        with server.connect(CRM) as crm, pytest.raises(ActionDeniedError):
            crm.blast_radius(principal=CRM)


def check(privacy: Vault, held: dict[str, tuple[str, str, str]], got: Counter[tuple[str, str, str]]) -> None:
    places = {customer: place for customer, _, place in held.values()}
    found = privacy.blast_radius(principal=CRM)
    seen = {
        (row.customer_token, name, kind): count
        for row in found.customers
        for name, counts in row.counts.items()
        for kind, count in zip(("plain", "masked", "denied"), counts, strict=False)
        if count
    }
    assert seen == dict(got)
    assert {row.customer_token: row.jurisdiction for row in found.customers} == {
        customer: places[customer] for customer, _, _ in got
    }
    totals = found.totals
    assert totals.customers == len({customer for customer, _, _ in got})
    by_place: Counter[tuple[str, str]] = Counter()
    for (customer, _, kind), count in got.items():
        by_place[places[customer], kind] += count
    for place, counts in totals.by_jurisdiction.items():
        assert counts[:3] == tuple(by_place[place, kind] for kind in ("plain", "masked", "denied"))
    assert (totals.gone_locators, totals.gone) == (0, {})
    assert totals.last_page is not None
    assert totals.last_page.coverage.complete
    assert totals.last_page.unnamed == {}
    paged = list(privacy.blast_radius_pages(principal=CRM, page_size=100))
    assert [row for page in paged for row in page.customers] == list(found.customers)
    assert all(isinstance(each, Counts) for row in found.customers for each in row.counts.values())
