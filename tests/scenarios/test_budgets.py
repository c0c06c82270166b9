"""Budgets in one process, by a clock that the test turns; several workers are in `test_bulk_reader.py`."""

from pathlib import Path

import pytest

from tests.scenarios.support.controls import HOUR_MS, Clock, apply, budget
from tests.scenarios.support.deployment import Desks, by_id, new_id
from tests.scenarios.support.policies import ADMIN, AGENT, CRM, ERASER, POLICY, PRIVACY
from vault.errors import ActionDeniedError, BudgetExceededError, InvalidRequestError, Reason, SuspendedError
from vault.model.controls import BudgetEvent, BudgetKind, BudgetUse, CustomersReadQuery
from vault.model.requests import AccessQuery, Caller, Entry, FieldInput
from vault.model.secret import Secret


def readable(desks: Desks, count: int, policy: str = POLICY) -> list[str]:
    """Tokens of so many customers in the domain of `crm`, before any budget holds."""
    tokens = [desks.of(CRM).tokens(f"c-{n}", {"name": f"N {n}"})[0] for n in range(count)]
    apply(desks, policy)
    return tokens


def use(desks: Desks, kind: BudgetKind = BudgetKind.READ) -> BudgetUse:
    uses = desks.vault.budget_use(Caller(ADMIN), CRM)
    return next(each for each in uses if each.kind is kind)


def test_a_batch_that_goes_beyond_is_refused_whole_and_known_customers_stay_readable(desks: Desks) -> None:
    tokens = readable(desks, 6, POLICY + budget(customers=4))
    assert desks.of(CRM).read(tokens[:3]).denials == []
    with pytest.raises(BudgetExceededError) as caught:
        desks.of(CRM).read(tokens[2:5])
    assert caught.value.details["budget"] == "reading"
    assert use(desks).customers == 3
    assert desks.of(CRM).read([tokens[0], tokens[3]]).denials == []
    assert desks.of(CRM).read(tokens[:4] * 3).denials == []
    with pytest.raises(BudgetExceededError):
        desks.of(CRM).read(tokens[4:5])
    assert (use(desks).customers, use(desks).exceeded) == (4, True)


def test_only_the_purposes_and_principals_of_a_budget_count(desks: Desks) -> None:
    tokens = readable(desks, 3, POLICY + budget(customers=1, purposes=["marketing"]))
    assert desks.of(CRM).read(tokens, "support").denials == []
    assert desks.of(AGENT).read(tokens, "support").denials == []
    with pytest.raises(BudgetExceededError):
        desks.of(CRM).read(tokens, "marketing")
    assert desks.vault.budget_use(Caller(AGENT), "") == []


def test_what_is_not_revealed_does_not_count(desks: Desks) -> None:
    tokens = readable(desks, 3, POLICY + budget(customers=1))
    assert desks.of(CRM).denied(tokens, "billing") == [Reason.PURPOSE_DENIED] * 3
    assert use(desks).customers == 0


def test_a_new_window_begins_anew_and_old_files_go(desks: Desks, deployment) -> None:
    tokens = readable(desks, 4, POLICY + budget(customers=2))
    clock = Clock(desks)
    desks.of(CRM).read(tokens[:2])
    with pytest.raises(BudgetExceededError):
        desks.of(CRM).read(tokens[2:])
    clock.add(HOUR_MS)
    assert desks.of(CRM).read(tokens[2:]).denials == []
    files = Path(deployment.data_dir, "run", "budgets")
    assert len(list(files.iterdir())) == 2
    assert desks.vault.engine.budgets.forget() == 0  # the last window may still be asked about
    clock.add(HOUR_MS)
    assert desks.vault.engine.budgets.forget() == 1
    assert len(list(files.iterdir())) == 1


def test_a_window_outlives_the_process(deployment) -> None:
    with deployment.opened() as desks:
        tokens = readable(desks, 3, POLICY + budget(customers=2, window="31d"))
        desks.of(CRM).read(tokens[:2])
    with deployment.opened() as desks:
        with pytest.raises(BudgetExceededError):
            desks.of(CRM).read(tokens[2:])
        assert desks.of(CRM).read(tokens[:2]).denials == []


def test_a_raised_limit_holds_within_the_window(desks: Desks) -> None:
    tokens = readable(desks, 4, POLICY + budget(customers=2, window="31d"))
    desks.of(CRM).read(tokens[:2])
    apply(desks, POLICY + budget(customers=500, window="31d"))
    assert desks.of(CRM).read(tokens).denials == []
    assert (use(desks).customers, use(desks).limit_customers) == (4, 500)


def test_alert_and_first_refusal_are_told_once_a_window(desks: Desks) -> None:
    tokens = readable(desks, 8, POLICY + budget(customers=5, alert_at=0.6, window="31d"))
    told: list[BudgetEvent] = []
    desks.vault.engine.budgets.notify = told.append
    desks.of(CRM).read(tokens[:2])
    assert told == []
    desks.of(CRM).read(tokens[:3])
    desks.of(CRM).read(tokens[:5])
    for _ in range(3):
        with pytest.raises(BudgetExceededError):
            desks.of(CRM).read(tokens[5:])
    assert told == [
        BudgetEvent(CRM, "reading", BudgetKind.READ, 3, 5, exceeded=False),
        BudgetEvent(CRM, "reading", BudgetKind.READ, 8, 5, exceeded=True),
    ]
    log = desks.vault.list_access(Caller(PRIVACY), AccessQuery()).items
    acts = [each.action for each in log if each.action.startswith("Budget")]
    assert acts == ["BudgetExceeded", "BudgetAlert"]


def test_going_beyond_suspends_where_the_budget_says_so(desks: Desks) -> None:
    tokens = readable(desks, 3, POLICY + budget(customers=2, suspend=True))
    with pytest.raises(BudgetExceededError):
        desks.of(CRM).read(tokens)
    with pytest.raises(SuspendedError):
        desks.of(CRM).read(tokens[:1])
    desks.vault.resume_principal(Caller(ADMIN), CRM, "explained", "")
    assert desks.of(CRM).read(tokens[:1]).denials == []


def test_the_last_administrator_is_not_suspended_by_a_budget_either(desks: Desks) -> None:
    reads = POLICY + '[principals.admin.reveal.support]\n"*" = "MASKED"\n'
    tokens = readable(desks, 2, reads + budget(customers=1, suspend=True, principals=[ADMIN]))
    with pytest.raises(BudgetExceededError):
        desks.of(ADMIN).read(tokens)
    assert desks.of(ADMIN).read(tokens[:1]).denials == []


def test_storing_into_what_is_held_is_a_comparison(desks: Desks) -> None:
    tokens = readable(desks, 4, POLICY + budget(compare=2))
    crm = desks.of(CRM)

    def entry(number: int, value: str) -> Entry:
        return Entry(by_id(f"c-{number}"), [FieldInput("name", Secret(value))])

    def guess(*entries: Entry) -> list[Reason | None]:
        results = desks.vault.tokenize(
            crm.caller, list(entries), domain="", request_id="", atomic=False, batch=True
        )
        return [each.error.reason if each.error else None for each in results]

    beyond = Reason.BUDGET_EXCEEDED
    assert guess(entry(0, "N 0"), entry(1, "guess"), entry(2, "guess")) == [None, None, beyond]
    assert guess(entry(1, "another"), entry(77, "is new")) == [None, None]
    assert use(desks, BudgetKind.COMPARE).customers == 2
    assert crm.plain(tokens[2]) == "N 2"  # the entry that was refused changed nothing
    with pytest.raises(BudgetExceededError):
        crm.update(tokens[3], "guess")
    assert crm.plain(tokens[3]) == "N 3"


def test_who_may_see_a_budget(desks: Desks) -> None:
    readable(desks, 1, POLICY + budget(customers=9, purposes=["support", "billing"]))
    (own,) = desks.vault.budget_use(Caller(CRM), "")
    assert (own.budget, own.limit_customers, own.alert_customers) == ("reading", 9, 7)
    assert own.purposes == ["billing", "support"]
    assert own.end_ms - own.start_ms == HOUR_MS
    with pytest.raises(ActionDeniedError):
        desks.vault.budget_use(Caller(AGENT), CRM)


def test_the_last_administrator_cannot_be_suspended(desks: Desks) -> None:
    admin = Caller(ADMIN)
    with pytest.raises(InvalidRequestError, match="last"):
        desks.vault.suspend_principal(admin, ADMIN, "", "")
    apply(desks, POLICY.replace('may = ["inspect", "shred"]', 'may = ["admin"]'))
    assert desks.vault.suspend_principal(admin, ERASER, "leave", new_id()).suspended_ms
    with pytest.raises(InvalidRequestError, match="last"):
        desks.vault.suspend_principal(admin, ADMIN, "", "")
    desks.vault.resume_principal(admin, ERASER, "", "")
    assert desks.vault.suspend_principal(admin, ADMIN, "", "").suspended_ms
    with pytest.raises(SuspendedError):
        desks.vault.get_policy(admin)


def test_whom_a_principal_read_is_listed_exactly(desks: Desks) -> None:
    tokens = readable(desks, 12)
    crm, engine = desks.of(CRM), desks.vault.engine
    crm.read([tokens[0]])
    start_ms = engine.now_ms() + 1
    while engine.now_ms() < start_ms:
        pass
    crm.read(tokens[2:9])
    assert crm.denied(tokens[10:], "billing") == [Reason.PURPOSE_DENIED] * 2
    desks.of(AGENT).read([tokens[11]])
    desks.vault.rotate_dek(Caller(ADMIN), by_id("c-3"), "")
    crm.read([tokens[3]])  # under another key now, and still one customer
    desks.of(ERASER).shred(by_id("c-4"))
    found: list[str] = []
    query = CustomersReadQuery(CRM, start_ms=start_ms, page_size=2)
    matched, page = 0, desks.vault.customers_read(Caller(PRIVACY), query)
    while True:
        found += page.customer_tokens
        matched += page.locators_found
        if not page.next_page_token:
            break
        crm.read([tokens[1]])  # later reads do not shift what was asked for
        query = CustomersReadQuery(CRM, start_ms=start_ms, page_size=2, page_token=page.next_page_token)
        page = desks.vault.customers_read(Caller(PRIVACY), query)
    numbers = [engine.secrets.codec.decode(token).customer_no for token in found]
    expected = [engine.secrets.codec.decode(tokens[n]).customer_no for n in (2, 3, 5, 6, 7, 8)]
    assert numbers == expected
    assert (page.locators, page.locators - matched) == (8, 1)
    with pytest.raises(ActionDeniedError):
        desks.vault.customers_read(Caller(CRM), CustomersReadQuery(CRM))
