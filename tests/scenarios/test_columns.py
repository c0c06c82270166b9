"""A batch that comes in columns stores and answers what its entries do one by one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as pb

from tests.scenarios.support.deployment import SMALL, Desks, found_vault, new_id
from vault.core import tokenizing
from vault.core.fieldinput import PreparedEntry
from vault.errors import BatchAbortedError, Reason, RequestIdReusedError
from vault.model.requests import Entry, EntryResult, Outcome, StoredEntry
from vault.server import columns, convert

pytestmark = pytest.mark.skipif(
    not columns.LIBRARY.exists(), reason="no C compiler was there at installation"
)
Given = tuple[str, str, str]
PLAIN = [
    ("name", "Ada", "first"), ("name", "Lovelace", "last"), ("email", "Ada@example.com", ""),
    ("phone", "+49 30 123456", ""), ("address", "東京", "city"),
]  # fmt: skip
CUSTOMERS: dict[str, list[Given]] = {
    "plain": PLAIN,
    "like it": [(name, value if name != "name" else value + "e", label) for name, value, label in PLAIN],
    "equal": [("name", "Novak", "first"), ("name", "novak", "last"), *PLAIN[2:]],
    "nothing": [],
    "refused": [("email", "nonsense", ""), *PLAIN[:2], ("no_class", "x", ""), ("name", "x", "Not A Label")],
    "empty": [("name", "  ", "first"), *PLAIN[1:]],
    "twice": [("phone", "+4930123456", ""), ("phone", "+4930123457", ""), ("name", "Zoë", "first")],
    "spelled": [("name", " Ada ", "first"), ("address", "1 Main St\r\nFlat 2", "street")],
}


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with found_vault(tmp_path, settings=SMALL).opened() as desks:
        yield desks


def _message(customers: Mapping[str, Sequence[Given]], prefix: str) -> pb.BatchTokenizeRequest:
    message = pb.BatchTokenizeRequest(domain="x" * 200)  # long enough to be taken apart
    for external_id, fields in customers.items():
        entry = message.entries.add(
            customer=common_pb2.CustomerRef(external_id=prefix + external_id), jurisdiction="DE"
        )
        for field_class, value, label in fields:
            entry.fields.add(field_class=field_class, value=value, label=label)
    return message


def _apart(customers: Mapping[str, Sequence[Given]], prefix: str = "") -> Sequence[Entry]:
    call = columns.parse(_message(customers, prefix).SerializeToString())
    assert call.columns is not None
    return call.columns


def _entries(customers: Mapping[str, Sequence[Given]], prefix: str = "") -> Sequence[Entry]:
    return [convert.to_entry(entry) for entry in _message(customers, prefix).entries]


def _store(
    desks: Desks, entries: Sequence[Entry], request_id: str = "", atomic: bool = False
) -> list[EntryResult | StoredEntry]:
    return desks.crm.vault.tokenize(
        desks.crm.caller, entries, domain="", request_id=request_id or new_id(), atomic=atomic, batch=True
    )


def _told(desks: Desks, results: Sequence[EntryResult | StoredEntry]) -> list[Any]:
    told: list[Any] = []
    for result in results:
        tokens = [each.token for each in result.results if each.token]
        fields = [(each.outcome, each.error and each.error.reason) for each in result.results]
        reason = result.error and result.error.reason
        told.append(
            (reason, result.customer_created, fields, desks.crm.read(tokens).values if tokens else [])
        )
    return told


def test_columns_store_and_answer_what_entries_do(desks: Desks) -> None:
    for _ in ("new", "known"):
        at_once = _store(desks, _apart(CUSTOMERS, "columns "))
        one_by_one = _store(desks, _entries(CUSTOMERS, "entries "))
        assert _told(desks, at_once) == _told(desks, one_by_one)
        assert isinstance(at_once[0], StoredEntry)
        assert isinstance(at_once[4], EntryResult)


def test_customers_alike_share_what_is_drafted_and_not_their_values(desks: Desks) -> None:
    many = {
        f"c{number}": [("name", f"Ada {number}", ""), ("email", f"{number}@example.com", "")]
        for number in range(50)
    }
    results = _store(desks, _apart(many))
    told = _told(desks, results)
    assert [values for *_, values in told] == [[name[1], email[1]] for name, email in many.values()]
    assert (
        len(
            {
                token
                for result in results
                for token in (result.customer_token, *[r.token for r in result.results])
            }
        )
        == 150
    )


def test_a_batch_is_recognised_whichever_way_it_comes_again(desks: Desks) -> None:
    request_id = new_id()
    first = _store(desks, _apart(CUSTOMERS), request_id)
    for again in (
        _store(desks, _entries(CUSTOMERS), request_id),
        _store(desks, _apart(CUSTOMERS), request_id),
    ):
        assert _told(desks, again) == _told(desks, first)
        assert [each.customer_token for each in again] == [each.customer_token for each in first]
    for other in (_apart({**CUSTOMERS, "plain": []}), _entries({**CUSTOMERS, "plain": []})):
        with pytest.raises(RequestIdReusedError):
            _store(desks, other, request_id)


def test_a_customer_twice_in_columns_is_admitted_once_and_then_changed(desks: Desks) -> None:
    twice = _message({"ada": PLAIN}, "")
    twice.entries.append(twice.entries[0])
    twice.entries[1].fields[0].value = "Augusta"
    entries = columns.parse(twice.SerializeToString()).columns
    assert entries is not None
    first, second = _store(desks, entries)
    assert (first.customer_created, second.customer_created) == (True, False)
    assert [each.outcome for each in second.results] == [Outcome.UPDATED, *[Outcome.UNCHANGED] * 4]
    assert desks.crm.plain(first.results[0].token) == "Augusta"


def test_an_atomic_batch_of_columns_is_refused_as_a_whole(desks: Desks) -> None:
    with pytest.raises(BatchAbortedError) as caught:
        _store(desks, _apart({key: CUSTOMERS[key] for key in ("plain", "refused")}), atomic=True)
    assert dict(caught.value.details)["cause"] == Reason.INVALID_VALUE
    (stored,) = _store(desks, _apart({"plain": PLAIN}), atomic=True)
    assert stored.customer_created


def test_plain_entries_stay_in_columns_to_the_end(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PreparedEntry] = []
    prepare_columns = tokenizing.prepare_columns

    def kept(*given: Any) -> list[PreparedEntry]:
        seen.extend(prepared := prepare_columns(*given))
        return prepared

    monkeypatch.setattr(tokenizing, "prepare_columns", kept)
    _store(desks, _apart({"a": PLAIN, "b": PLAIN}))
    assert [entry.plain is not None for entry in seen] == [True, True]
