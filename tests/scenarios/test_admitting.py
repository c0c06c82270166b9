"""A customer admitted with all fields at once is the one that field by field would have made."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.support.deployment import SMALL, Desks, by_id, found_vault, new_id
from vault.core.admitting import _numbered
from vault.core.directory import FIELD_CLASS
from vault.core.drafting import Drafting, Drafts
from vault.core.fieldinput import PreparedEntry, prepare_entry
from vault.errors import BatchAbortedError, Reason
from vault.model.requests import Entry, EntryResult, FieldInput, Outcome
from vault.model.secret import Secret

SETTINGS = (
    SMALL
    + """\
[limits]
fields_per_customer = 300
batch_fields = 2000
[fields.email]
searchable = true
[search.person]
fields = ["name", "birth_date"]
"""
)
Given = tuple[str, str, str]

CUSTOMERS: dict[str, list[Given]] = {
    "nothing": [],
    "plain": [("name", "Ada", "first"), ("name", "Lovelace", "last"), ("email", "ada@example.com", "")],
    "equal": [("name", "Novak", "first"), ("name", "novak ", "last"), ("name", "NOVAK", "maiden")],
    "refused": [("email", "nonsense", ""), ("name", "Grace", ""), ("iban", "DE00", ""), ("note", "n", "")],
    "empty": [("name", "  ", ""), ("email", "g@example.com", "work"), ("phone", "", "")],
    "twice": [("phone", "+4930123456", ""), ("phone", "+4930123457", ""), ("name", "Zoë", "")],
    "all": [("name", "", ""), ("email", "x", "")],
    "compound": [("name", f"n{n}", f"n{n}") for n in range(40)]
    + [("birth_date", f"1990-01-{n:02}", f"d{n}") for n in range(1, 30)],
    "labels": [("note", "same", f"l{n}") for n in range(260)],
    "long": [("note", "x" * 9000, "long"), ("note", "short", "short")],
}


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with found_vault(tmp_path, settings=SETTINGS).opened() as desks:
        yield desks


def _entry(external_id: str, fields: Sequence[Given]) -> Entry:
    inputs = [FieldInput(field_class, Secret(value), label) for field_class, value, label in fields]
    return Entry(by_id(external_id), inputs, "DE")


def _store(desks: Desks, *entries: Entry, atomic: bool = False) -> list[EntryResult]:
    return desks.crm.vault.tokenize(
        desks.crm.caller, entries, domain="", request_id=new_id(), atomic=atomic, batch=True
    )


def _kept(desks: Desks, external_id: str) -> tuple[Any, ...]:
    """All that is stored of a customer and no key bears on."""
    engine = desks.crm.vault.engine
    with engine.store.keyring() as keys, engine.store.snapshot() as snapshot:
        number = engine.book.lookup(keys, external_id.encode())
        assert number is not None
        with engine.book.open(snapshot, keys, number, external_id.encode()) as customer:
            lines = [
                (line.value_no, line.field_class, line.index_hash, line.labels)
                for line in customer.lines.values()
            ]
            own = [customer.dek.fingerprint(b"external_id\0" + external_id.encode())]
            assert own == [customer.lines[min(customer.lines)].fingerprint]
            values = [engine.book.open_value(snapshot, customer, line[0]) for line in lines]
            assert values.pop(0) == external_id.encode()
            rows = set(
                engine.book.search.rows_of(
                    snapshot, keys, number, [(line[1], line[2]) for line in lines if line[2]]
                )
            )
            assert rows == {row for row in keys.search_rows() if row.endswith(engine.book.key(number))}
            counters = (
                customer.row.next_counter,
                customer.row.counter_incarnation,
                customer.row.jurisdiction,
            )
            return (
                lines,
                values,
                len(rows),
                counters,
                customer.row.state,
                customer.terms,
                customer.past_locators,
            )


def _told(results: Sequence[EntryResult]) -> list[Any]:
    return [
        [
            (each.outcome, each.error.reason if each.error else None, bool(each.token))
            for each in result.results
        ]
        for result in results
    ]


def test_all_fields_at_once_make_what_they_make_one_request_after_the_other(desks: Desks) -> None:
    at_once = _store(desks, *[_entry(f"once-{name}", fields) for name, fields in CUSTOMERS.items()])
    _store(desks, *[_entry(f"step-{name}", []) for name in CUSTOMERS])
    stepwise = _store(desks, *[_entry(f"step-{name}", fields) for name, fields in CUSTOMERS.items()])
    assert [each.customer_created for each in (*at_once, *stepwise)] == [True] * 10 + [False] * 10
    assert _told(at_once) == _told(stepwise)
    for name in CUSTOMERS:
        once, step = _kept(desks, f"once-{name}"), _kept(desks, f"step-{name}")
        assert once == step, name
    reasons = {each.error.reason for result in at_once for each in result.results if each.error}
    assert reasons == {Reason.INVALID_VALUE, Reason.INVALID_REQUEST, Reason.LIMIT_EXCEEDED}
    assert {each.outcome for result in at_once for each in result.results} == set(Outcome) - {Outcome.UPDATED}


def test_tokens_of_customers_admitted_together_open_their_values(desks: Desks) -> None:
    results = _store(desks, *[_entry(f"c{n}", [("email", f"{n}@example.com", "")]) for n in range(50)])
    tokens = [result.results[0].token for result in results]
    assert desks.crm.read(tokens).values == [f"{n}@example.com" for n in range(50)]


def test_a_customer_that_comes_twice_in_a_batch_is_admitted_once_and_then_changed(desks: Desks) -> None:
    first, other, second = _store(
        desks,
        _entry("ada", [("email", "ada@example.com", "")]),
        _entry("bob", [("email", "bob@example.com", "")]),
        _entry("ada", [("email", "ada@example.org", ""), ("name", "Ada", "")]),
    )
    assert (first.customer_created, other.customer_created, second.customer_created) == (True, True, False)
    assert first.customer_token == second.customer_token != other.customer_token
    assert [each.outcome for each in second.results] == [Outcome.UPDATED, Outcome.CREATED]
    assert desks.crm.plain(first.results[0].token) == "ada@example.org"


def test_an_atomic_batch_that_is_refused_admits_nobody(desks: Desks) -> None:
    entries = [_entry("ada", CUSTOMERS["plain"]), _entry("bob", CUSTOMERS["refused"])]
    with pytest.raises(BatchAbortedError):
        _store(desks, *entries, atomic=True)
    (again,) = _store(desks, entries[0], atomic=True)
    assert again.customer_created


def test_more_fields_than_a_customer_may_have_are_refused_before_it_is_admitted(desks: Desks) -> None:
    wide = [("note", str(n), f"l{n}") for n in range(300)]
    refused, stored = _store(desks, _entry("wide", wide), _entry("slim", CUSTOMERS["plain"]))
    assert refused.error is not None
    assert refused.error.reason is Reason.LIMIT_EXCEEDED
    assert stored.error is None
    (later,) = _store(desks, _entry("wide", wide[:299]))
    assert later.customer_created


def test_new_customers_among_known_ones_are_admitted_without_them(desks: Desks) -> None:
    _store(desks, _entry("old", CUSTOMERS["plain"]))
    results = _store(
        desks,
        _entry("new-1", CUSTOMERS["plain"]),
        _entry("old", [("email", "ada@example.org", "")]),
        _entry("new-2", CUSTOMERS["equal"]),
    )
    assert [each.customer_created for each in results] == [True, False, True]
    assert desks.crm.plain(results[1].results[0].token) == "ada@example.org"
    _store(desks, _entry("alone", CUSTOMERS["equal"]))
    assert _kept(desks, "new-2") == _kept(desks, "alone")


@pytest.mark.parametrize("comes_meanwhile", [False, True])
def test_what_was_looked_up_before_the_lock_is_not_relied_on(
    desks: Desks, monkeypatch: pytest.MonkeyPatch, comes_meanwhile: bool
) -> None:
    """Between draft and lock, an epoch with other index keys may have begun, or the customer have come."""
    draft_all = Drafting.draft_all
    meanwhile = [_entry("ada", [("name", "Ada", "first")])] if comes_meanwhile else []

    def overtaken(drafting: Drafting, entries: Sequence[PreparedEntry]) -> Drafts:
        drafts = draft_all(drafting, entries)
        while meanwhile:
            _store(desks, meanwhile.pop())
        for entry in entries:
            entry.hashed, entry.hashed_in = bytes(16), entry.hashed_in + 1
        return drafts

    monkeypatch.setattr(Drafting, "draft_all", overtaken)
    (stored,) = _store(desks, _entry("ada", CUSTOMERS["plain"]))
    assert stored.customer_created is not comes_meanwhile
    (again,) = _store(desks, _entry("ada", CUSTOMERS["plain"]))
    assert not again.customer_created
    assert again.customer_token == stored.customer_token
    assert [desks.crm.plain(each.token) for each in again.results] == ["Ada", "Lovelace", "ada@example.com"]


def test_a_refusal_found_while_drafting_changes_nothing_of_the_entry(desks: Desks) -> None:
    many = CUSTOMERS["compound"]
    engine = desks.crm.vault.engine
    with engine.store.snapshot() as snapshot:
        numbers = engine.directory(snapshot).numbers[FIELD_CLASS]
    prepared = [prepare_entry(_entry("new", many), engine.catalog, engine.settings.limits)]
    drafts = Drafting(engine, numbers).draft_all(prepared)
    assert len(drafts.all[0].refused) == len(
        [line for line in drafts.all[0].fields if line[0] == Outcome.REFUSED]
    )
    assert drafts.all[0].refused
    assert all(made.error is None for made in prepared[0].fields)


def test_numbers_after_a_restore_hold_its_incarnation() -> None:
    fields: list[list[int | str]] = [
        [int(Outcome.CREATED), 2],
        [int(Outcome.UNCHANGED), 2],
        [int(Outcome.EMPTY), 0],
        [int(Outcome.REFUSED), "INVALID_VALUE"],
    ]
    assert _numbered(fields, 0) == fields
    later = 3 << 16 | 2
    assert _numbered(fields, 3) == [[1, later], [2, later], [4, 0], [5, "INVALID_VALUE"]]
