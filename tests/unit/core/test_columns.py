"""Entries in columns are prepared as they are one by one."""

from array import array
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vault.config import Limits
from vault.core.columns import prepare_columns
from vault.core.fieldinput import PreparedEntry, prepare_entry
from vault.core.turn import Turn
from vault.fields.config import load_field_classes
from vault.model.columns import APART, EntryColumns, PackedParts
from vault.model.requests import Entry

CATALOG = load_field_classes({"loose_phone": {"kind": "phone", "lenient": True}})
LIMITS = Limits(value_bytes=100)
PLACES = [
    ("name", "first"), ("name", "last"), ("email", ""), ("phone", ""), ("loose_phone", ""),
    ("address", "city"), ("note", "x"), ("no_class", ""), ("name", "Not A Label"), ("external_id", ""),
]  # fmt: skip
VALUES = [
    "Ada", "ada", "Zoë", "  ", "", "a@example.com", "A@EXAMPLE.com", "ä@bücher.example", "+49 151 23536634",
    "030 123456", "+1", "nonsense\x07", "x" * 101, "x" * 30, "O\u00b4Brien", " Ada Lovelace", "line\nline",
]  # fmt: skip
fields = st.lists(st.tuples(st.integers(0, len(PLACES) - 1), st.sampled_from(VALUES)), max_size=6)
usual = st.just([(0, "Ada"), (2, "ada@example.com"), (3, "+4930123456")])
entries = st.tuples(
    st.sampled_from(["c-1", "c-2", " ", "", "c\x07", "x" * 257, "é"]),
    st.sampled_from(["", "DE", "FR", "xx"]),
    st.one_of(fields, usual),
)


def in_columns(given_: Sequence[tuple[str, str, Sequence[tuple[int, str]]]]) -> EntryColumns:
    used = list(dict.fromkeys(place for _, _, fields in given_ for place, _ in fields))
    columns: list[list[str]] = [[] for _ in used]
    at, ends = bytearray(), array("I")
    for _, _, each in given_:
        for place, value in each:
            at.append(used.index(place))
            columns[at[-1]].append(value)
        ends.append(len(at))
    return EntryColumns(
        [PLACES[place] for place in used],
        [APART.join(column) for column in columns],
        bytes(at),
        ends,
        APART.join(external_id for external_id, _, _ in given_),
        APART.join(jurisdiction for _, jurisdiction, _ in given_),
        PackedParts(0, b"", b""),
    )


def told(prepared: PreparedEntry) -> Any:
    """All that an entry says."""
    error = prepared.error
    if error is not None:
        return type(error), str(error), dict(error.details)
    fields = []
    for made in prepared.fields:
        forms = (made.stored, made.normalized, made.empty)
        fields.append((made.label, made.field_class, forms, str(made.error), type(made.error)))
    return prepared.external_id, prepared.jurisdiction, prepared.surrogates, prepared.size, fields


@given(st.lists(entries, min_size=1, max_size=10))
def test_columns_are_what_their_entries_are_one_by_one(given_: list[Any]) -> None:
    columns = in_columns(given_)
    one_by_one = [prepare_entry(entry, CATALOG, LIMITS) for entry in columns]
    at_once = prepare_columns(columns, CATALOG, LIMITS, Turn())
    for entry, other in zip(at_once, one_by_one, strict=True):
        assert entry.plain is None or entry.size == other.size == len(entry.plain.stored)
        assert told(entry) == told(other)


def test_columns_are_a_sequence_of_their_entries() -> None:
    columns = in_columns([("a", "DE", [(0, "Ada"), (2, "x")]), ("b", "", []), ("c", "", [(2, "y")])])
    assert len(columns) == 3
    assert [_plainly(entry) for entry in columns] == [
        ("a", "DE", [("name", "Ada", "first"), ("email", "x", "")]),
        ("b", "", []),
        ("c", "", [("email", "y", "")]),
    ]
    assert _plainly(columns[2]) == ("c", "", [("email", "y", "")])
    assert [_plainly(entry)[0] for entry in columns[:2]] == ["a", "b"]


def test_nothing_of_a_value_is_shown() -> None:
    columns = in_columns([("customer-7", "", [(0, "Ada")])])
    prepared = prepare_columns(columns, CATALOG, LIMITS, Turn())
    assert prepared[0].plain is not None
    for shown in (repr(columns), repr(prepared[0].plain), repr(prepared[0])):
        assert "Ada" not in shown
        assert "customer-7" not in shown


def test_an_unusual_entry_leaves_the_others_plain() -> None:
    columns = in_columns([("a", "", [(0, "Ada")]), ("b", "", [(0, "")]), ("c", "", [(0, "Bo"), (0, "Bo")])])
    plain = [entry.plain is not None for entry in prepare_columns(columns, CATALOG, LIMITS, Turn())]
    assert plain == [True, False, False]


def _plainly(entry: Entry) -> Any:
    assert entry.customer.external_id is not None
    fields = [(each.field_class, each.value.reveal(), each.label) for each in entry.fields]
    return entry.customer.external_id.reveal(), entry.jurisdiction, fields
