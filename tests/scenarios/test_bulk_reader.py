"""A stolen certificate reads whatever it can, over several connections to two workers, and is stopped."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from customervault import Vault
from customervault.errors import ActionDeniedError, ApprovalRequiredError, BudgetExceededError, SuspendedError

from tests.scenarios.support.controls import CONTROLS, apply, budget
from tests.scenarios.support.deployment import Deployment, Desks, by_id
from tests.scenarios.support.policies import ADMIN, AGENT, CRM, ERASER, PRIVACY
from tests.scenarios.support.server import Server, serving
from vault.model.requests import Entry, FieldInput
from vault.model.secret import Secret

CUSTOMERS = 10_000
BUDGET = 3_000
BATCH = 250
CONNECTIONS = 4


@pytest.fixture
def held(deployment: Deployment) -> dict[str, str]:
    """A customer's token by the token of its name."""
    with deployment.opened() as desks:
        found = load(desks)
        apply(desks, CONTROLS + budget(customers=BUDGET, alert_at=0.5, window="31d"))
    return found


@pytest.fixture
def server(deployment: Deployment, held: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    with serving(deployment, tmp_path) as running:
        yield running


def load(desks: Desks) -> dict[str, str]:
    found = {}
    for start in range(0, CUSTOMERS, 500):
        entries = [
            Entry(by_id(f"c-{n}"), [FieldInput("name", Secret(f"N {n}"))]) for n in range(start, start + 500)
        ]
        results = desks.vault.tokenize(
            desks.of(CRM).caller, entries, domain="", request_id="", atomic=True, batch=True
        )
        found.update((each.results[0].token, each.customer_token) for each in results)
    return found


def read_all(client: Vault, tokens: list[str]) -> tuple[list[str], int]:
    """The tokens whose values came back, and how many batches were refused."""
    got, refused = [], 0
    for start in range(0, len(tokens), BATCH):
        batch = tokens[start : start + BATCH]
        try:
            values = client.detokenize(batch, purpose="support")
        except BudgetExceededError:
            refused += 1
            continue
        got += [token for token, value in zip(batch, values, strict=True) if value.ok]
    return got, refused


def events(server: Server, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in server.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]


def test_a_bulk_reader_is_stopped_told_of_and_its_customers_are_listed_exactly(
    server: Server, held: dict[str, str]
) -> None:
    tokens = list(held)
    clients = [server.connect(CRM) for _ in range(CONNECTIONS)]
    share = CUSTOMERS // CONNECTIONS
    shares = [tokens[share * n : share * (n + 1)] for n in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        answers = list(threads.map(read_all, clients, shares))
    got = [token for each, _ in answers for token in each]
    assert len(got) == len(set(got)) == BUDGET
    assert sum(refused for _, refused in answers) == (CUSTOMERS - BUDGET) // BATCH

    for name in ("a principal nears a budget", "a principal has passed a budget"):
        (event,) = events(server, name)
        assert (event["principal"], event["budget"], event["limit"]) == (CRM, "reading", BUDGET)
    metrics = server.metrics()
    assert 'cvault_budget_events_total{kind="read",level="alert"} 1.0' in metrics
    assert 'cvault_budget_events_total{kind="read",level="exceeded"} 1.0' in metrics

    with server.connect(PRIVACY) as privacy:
        pages = list(privacy.list_customers_read(CRM))
        assert {each for page in pages for each in page.customer_tokens} == {held[token] for token in got}
        assert sum(len(page.customer_tokens) for page in pages) == BUDGET
        assert sum(page.locators_found for page in pages) == pages[-1].locators == BUDGET
        (used,) = privacy.budget_use(CRM)
        assert (used.customers, used.alerted, used.exceeded) == (BUDGET, True, True)

    with server.connect(ADMIN) as admin:
        assert admin.suspend_principal(CRM, reason="reads everything").state == "suspended"
        for client in clients:  # over connections that were open before
            with pytest.raises(SuspendedError):
                client.detokenize(got[:1], purpose="support")
        assert next(each for each in admin.list_principals() if each.name == CRM).suspended is not None
        assert admin.resume_principal(CRM).state == "active"
        for client in clients:
            assert client.detokenize(got[:1], purpose="support")[0].get().startswith("N ")
            client.close()

    approvals_over_the_api(server)


def approvals_over_the_api(server: Server) -> None:
    """The whole way of an approval, between principals with connections of their own."""
    leavers = ["c-1", "c-2", "c-3"]
    with server.connect(ERASER) as eraser, server.connect(PRIVACY) as privacy:
        with pytest.raises(ApprovalRequiredError) as caught:
            eraser.shred_many(leavers)
        assert caught.value.details["act"] == "shred"
        asked = eraser.request_approval("shred", reason="they left", customers=leavers)
        assert (asked.state, asked.customers) == ("pending", 3)
        with pytest.raises(ActionDeniedError):
            eraser.approve(asked.approval_id)
        assert [each.approval_id for each in privacy.list_approvals(state="pending")] == [asked.approval_id]
        assert len(privacy.get_approval(asked.approval_id).customer_tokens) == 3
        assert privacy.approve(asked.approval_id, note="seen").decider == PRIVACY
        shredded = eraser.shred_many(leavers, approval_id=asked.approval_id)
        assert [each.outcome for each in shredded] == ["shredded"] * 3
        assert eraser.get_approval(asked.approval_id).state == "used"
    with server.connect(AGENT) as agent:
        asked = agent.request_approval("break_glass", reason="fire", purpose="emergency", minutes=5)
        assert agent.cancel_approval(asked.approval_id).state == "cancelled"
