"""What is searchable, and by which form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import InvalidRequestError
from vault.fields import DEFAULT_FIELDS, load_field_classes, prepare
from vault.fields.searching import MAX_FIELDS, Compound, load_searchable, search_form

NAME = DEFAULT_FIELDS.get("name")


def form(text: str, field_class: str = "name") -> str:
    declared = DEFAULT_FIELDS.get(field_class)
    return search_form(declared, prepare(declared, text).normalized).decode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann Lee", "ANN  lee"),
        ("Weiß", "WEISS"),
        ("Ａｎｎ　Ｌｅｅ", "ann lee"),
        ("O\u2019Brien", "o'brien"),
        ("O\u00b4Brien", "o'brien"),
        ("O`Brien", "o'brien"),
        ("Zo\u200de\u200d\u0308", "Zo\u00eb"),
        ("Anne\u2010Marie", "anne-marie"),
        ("Anne \u2013 Marie", "anne - marie"),
        ("Zo\u00eb", "Zoe\u0308"),
        ("Jo\u00adhn", "John"),
        ("a\u200db", "ab"),
        ("\u03a3\u03a3", "\u03c3\u03c2"),
        ("ǆ", "Ǆ"),
    ],
)
def test_spellings_of_one_name_have_one_form(one: str, other: str) -> None:
    assert form(one) == form(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Müller", "Muller"), ("Ann Lee", "Lee Ann"), ("Ann", "Anna"), ("Ann-Lee", "Ann Lee")]
)
def test_different_names_have_different_forms(one: str, other: str) -> None:
    assert form(one) != form(other)


def test_other_kinds_are_found_by_the_normalized_value() -> None:
    assert form("ANN@Lee.org", "email") == "ann@lee.org"
    assert form("+49 30 12345678", "phone") == "+493012345678"
    assert form("a\u2019b", "note") == "a\u2019b"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
def test_a_form_is_its_own_form(text: str) -> None:
    normalized = prepare(NAME, text).normalized
    once = search_form(NAME, normalized)
    assert search_form(NAME, once) == once


def test_what_is_declared_is_searchable() -> None:
    catalog = load_field_classes({"phone": {"searchable": True}})
    searchable = load_searchable({"person": {"fields": ["name", "birth_date"]}}, catalog)
    assert searchable.classes == {"phone"}
    assert searchable.compounds == (Compound("person", ("birth_date", "name")),)
    assert searchable.digested == {"phone", "name", "birth_date"}
    assert searchable.entries == {"phone": "1/phone", "person": "birth_date=1/birth_date,name=1/name"}
    assert searchable.compound_of(frozenset({"name", "birth_date"})) == searchable.compounds[0]
    assert searchable.compound_of(frozenset({"name", "phone"})) is None
    assert searchable
    assert not load_searchable({}, DEFAULT_FIELDS)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"No": {"fields": ["name", "email"]}}, "snake case"),
        ({"name": {"fields": ["name", "email"]}}, "is a field class"),
        ({"a": {"fields": "name"}}, "a list of texts"),
        ({"a": {"fields": ["name", 1]}}, "a list of texts"),
        ({"a": {"fields": ["name", "email"], "more": 1}}, "nothing else"),
        ({"a": ["name", "email"]}, "a list of texts"),
        ({"a": {"fields": ["name"]}}, f"2 to {MAX_FIELDS} different"),
        ({"a": {"fields": ["name", "name"]}}, f"2 to {MAX_FIELDS} different"),
        ({"a": {"fields": ["name", "email", "phone", "iban", "card"]}}, f"2 to {MAX_FIELDS} different"),
        ({"a": {"fields": ["name", "external_id"]}}, "no field class, or external_id"),
        ({"a": {"fields": ["name", "nothing"]}}, "no field class, or external_id"),
        ({"a": {"fields": ["name", "email"]}, "b": {"fields": ["email", "name"]}}, "the same fields"),
        ({f"c{n}": {"fields": ["name", "email"]} for n in range(33)}, "33 compounds, at most 32"),
    ],
)
def test_a_wrong_compound_is_refused(table: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        load_searchable(table, DEFAULT_FIELDS)


def test_searchable_is_true_or_false() -> None:
    with pytest.raises(InvalidRequestError, match="email searchable is neither true nor false"):
        load_field_classes({"email": {"searchable": "yes"}})
