"""Every read over the API goes by the restrictions and expiries that hold when it starts, on every worker."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from customervault.errors import VaultError

from tests.scenarios.support.deployment import Deployment, copy_vault
from tests.scenarios.support.server import Server, serving

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
READS = 8  # of one kind, each over a connection of its own, so that both workers answer some
LATER = datetime(2099, 1, 1, tzinfo=UTC)
SOON = timedelta(seconds=2)
PURPOSES = ("support", "marketing", "legal_claims")


@pytest.fixture(scope="module")
def server(template: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("restricted")
    with serving(copy_vault(template, directory), directory) as running:
        yield running


@pytest.fixture
def jane(server: Server, request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """A customer of this test's own: external id, tokens of name and email."""
    external_id = request.node.name
    with server.connect("crm") as crm:
        tokens = crm.tokenize(external_id, JANE).tokens
    found = external_id, [tokens["name"], tokens["email"]]
    assert seen(server, found[1]) == dict.fromkeys(PURPOSES, ("read", "read"))
    return found


def answers(server: Server, tokens: list[str], purpose: str) -> tuple[str, ...]:
    """For each token `read`, or the reason why not, on which all workers have to agree."""
    told = set()
    for _ in range(READS):
        with server.connect("crm") as crm:
            told.add(tuple(map(_answer, crm.detokenize(tokens, purpose=purpose))))
    (found,) = told
    return found


def seen(server: Server, tokens: list[str]) -> dict[str, tuple[str, ...]]:
    """The answers for each purpose that the reader has."""
    return {purpose: answers(server, tokens, purpose) for purpose in PURPOSES}


def _answer(item) -> str:
    try:
        item.get()
    except VaultError as error:
        return error.reason
    return "read"


def wait_past(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()) + 0.05)


def test_a_field_class_is_restricted_for_every_purpose_that_does_not_go_on(server, jane):
    her, tokens = jane
    with server.connect("privacy") as privacy:
        made = privacy.restrict(external_id=her, field_classes=["email"])
        assert seen(server, tokens) == {
            "support": ("read", "RESTRICTED"),
            "marketing": ("read", "RESTRICTED"),
            "legal_claims": ("read", "read"),
        }
        privacy.lift(made, external_id=her)
    assert seen(server, tokens) == dict.fromkeys(PURPOSES, ("read", "read"))


def test_a_purpose_is_restricted_and_others_are_not(server, jane):
    her, tokens = jane
    with server.connect("privacy") as privacy:
        whole = privacy.restrict(external_id=her, purposes=["marketing"])
        one = privacy.restrict(external_id=her, purposes=["support"], field_classes=["name"])
        assert seen(server, tokens) == {
            "support": ("RESTRICTED", "read"),
            "marketing": ("RESTRICTED", "RESTRICTED"),
            "legal_claims": ("read", "read"),
        }
        privacy.lift(whole, external_id=her)
        assert answers(server, tokens, "marketing") == ("read", "read")
        privacy.lift(one, external_id=her)
    assert answers(server, tokens, "support") == ("read", "read")


def test_a_restriction_with_an_end_ends_by_itself_in_workers_that_know_it(server, jane):
    her, tokens = jane
    until = datetime.now(UTC) + SOON + timedelta(seconds=2)
    with server.connect("privacy") as privacy:
        privacy.restrict(external_id=her, until=until)
        privacy.restrict(external_id=her, field_classes=["email"], until=LATER)
    assert answers(server, tokens, "support") == ("RESTRICTED", "RESTRICTED")
    wait_past(until)
    assert answers(server, tokens, "support") == ("read", "RESTRICTED")


def test_an_expiry_begins_by_itself_and_is_for_everyone_in_its_scope(server, jane):
    her, tokens = jane
    at = datetime.now(UTC) + SOON
    with server.connect("privacy") as privacy:
        partly = privacy.set_expiry(at, external_id=her, purposes=["support"], field_classes=["name"])
        wholly = privacy.set_expiry(LATER, external_id=her)
        wait_past(at)
        assert seen(server, tokens) == {
            "support": ("EXPIRED", "read"),
            "marketing": ("read", "read"),
            "legal_claims": ("read", "read"),
        }
        privacy.clear_expiry(wholly, external_id=her)
        past = privacy.set_expiry(at, external_id=her)
        assert seen(server, tokens) == dict.fromkeys(PURPOSES, ("EXPIRED", "EXPIRED"))
        for each in (past, partly):
            privacy.clear_expiry(each, external_id=her)
    assert seen(server, tokens) == dict.fromkeys(PURPOSES, ("read", "read"))


def test_a_hold_alone_changes_no_read_and_a_shred_that_waits_for_it_closes_the_customer(server, jane):
    her, tokens = jane
    with server.connect("privacy") as privacy, server.connect("eraser") as eraser:
        hold = privacy.hold(external_id=her)
        assert seen(server, tokens) == dict.fromkeys(PURPOSES, ("read", "read"))
        assert eraser.shred(external_id=her).outcome == "held"
        assert seen(server, tokens) == {
            "support": ("RESTRICTED", "RESTRICTED"),
            "marketing": ("RESTRICTED", "RESTRICTED"),
            "legal_claims": ("read", "read"),
        }
        privacy.release(hold, external_id=her)
    assert seen(server, tokens) == dict.fromkeys(PURPOSES, ("SHREDDED", "SHREDDED"))
