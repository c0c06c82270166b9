"""What follows from values, and what does not."""

from datetime import date

import pytest

from vault.errors import InvalidRequestError, QuestionUnfitError
from vault.fields.derived import AREAS, QUESTIONS, Question, check_question, derive
from vault.fields.field_class import DEFAULT_FIELDS, FieldCatalog
from vault.model.access import ANSWERS, Reveal

CATALOG: FieldCatalog = DEFAULT_FIELDS
TODAY = date(2026, 3, 1)


def ask(kind: Reveal, field_class: str, stored: str, today: date = TODAY, **details: object) -> str | bool:
    question = Question(kind, **details)  # type: ignore[arg-type]
    check_question(question)
    return derive(question, CATALOG.get(field_class), stored, today)


@pytest.mark.parametrize(
    ("born", "today", "age", "expected"),
    [
        ("2008-03-01", "2026-03-01", 18, True),  # the birthday itself
        ("2008-03-02", "2026-03-01", 18, False),
        ("2008-03-02", "2026-03-02", 18, True),
        ("2008-02-28", "2026-02-28", 18, True),
        ("2008-02-29", "2026-02-28", 18, False),  # no such day in 2026: on 1 March
        ("2008-02-29", "2026-03-01", 18, True),
        ("2008-02-29", "2028-02-29", 20, True),
        ("2008-02-29", "2028-02-28", 20, False),
        ("2026-03-01", "2026-03-01", 0, True),
        ("1900-12-31", "2026-01-01", 125, True),
        ("1900-12-31", "2026-01-01", 126, False),
    ],
)
def test_age(born: str, today: str, age: int, expected: bool) -> None:
    assert ask(Reveal.AGE_OVER, "birth_date", born, date.fromisoformat(today), age=age) is expected


@pytest.mark.parametrize(
    ("field_class", "stored", "country"),
    [
        ("phone", "+493012345678", "DE"),
        ("phone", "+12025550123", "US"),
        ("phone", "+14165550123", "CA"),
        ("phone", "+442079460018", "GB"),
        ("phone", "+3933312345678;ext=12", "IT"),
        ("iban", "DE89370400440532013000", "DE"),
        ("iban", "GB82WEST12345698765432", "GB"),
    ],
)
def test_country(field_class: str, stored: str, country: str) -> None:
    assert ask(Reveal.COUNTRY, field_class, stored) == country


def test_domain_and_issuer() -> None:
    assert ask(Reveal.EMAIL_DOMAIN, "email", "ada@example.org") == "example.org"
    assert ask(Reveal.EMAIL_DOMAIN, "email", '"a@b"@example.org') == "example.org"
    assert ask(Reveal.CARD_BIN, "card", "4111111111111111") == "411111"


@pytest.mark.parametrize(
    ("country", "stored", "area"),
    [
        ("DE", "Lange Str. 5\n10115 Berlin", "10"),
        ("DE", "Lange Str. 5, D-10115 Berlin, Germany", "10"),
        ("DE", "10115", "10"),
        ("AT", "Ring 1\n1010 Wien", "10"),
        ("CH", "Rue 3; 1204 Genève", "12"),
        ("GB", "10 Downing Street\nLondon SW1A 2AA", "SW1A"),
        ("GB", "1 High St, Leeds LS1 4AP", "LS1"),
        ("NL", "Dam 1\n1012 JS Amsterdam", "10"),
        ("PL", "ul. Prosta 1\n00-838 Warszawa", "00"),
        ("US", "1600 Pennsylvania Ave NW\nWashington, DC 20500-0003", "205"),
    ],
)
def test_postcode_area(country: str, stored: str, area: str) -> None:
    assert ask(Reveal.POSTCODE_AREA, "address", stored, country=country) == area


@pytest.mark.parametrize(
    ("kind", "field_class", "stored", "details"),
    [
        (Reveal.COUNTRY, "phone", "+80012345678", {}),  # of no country
        (Reveal.COUNTRY, "phone", "see notes", {}),
        (Reveal.COUNTRY, "phone", "+", {}),
        (Reveal.COUNTRY, "iban", "none", {}),
        (Reveal.AGE_OVER, "birth_date", "about 1970", {"age": 18}),
        (Reveal.AGE_OVER, "birth_date", "2001-02-30", {"age": 18}),
        (Reveal.EMAIL_DOMAIN, "email", "unknown", {}),
        (Reveal.EMAIL_DOMAIN, "email", "@unknown", {}),
        (Reveal.CARD_BIN, "card", "lost", {}),
        (Reveal.POSTCODE_AREA, "address", "Lange Str. 5 Berlin", {"country": "DE"}),
        (Reveal.POSTCODE_AREA, "address", "Lange Str. 12345", {"country": "DE"}),
        (Reveal.POSTCODE_AREA, "address", "10115 Berlin\n80331 München", {"country": "DE"}),
        (Reveal.POSTCODE_AREA, "address", "Suite 12345", {"country": "US"}),
        # another class
        (Reveal.AGE_OVER, "email", "ada@example.org", {"age": 18}),
        (Reveal.COUNTRY, "email", "ada@example.org", {}),
        (Reveal.EMAIL_DOMAIN, "note", "ada@example.org", {}),
        (Reveal.CARD_BIN, "iban", "DE89370400440532013000", {}),
        (Reveal.POSTCODE_AREA, "note", "10115", {"country": "DE"}),
    ],
)
def test_no_answer(kind: Reveal, field_class: str, stored: str, details: dict[str, object]) -> None:
    with pytest.raises(QuestionUnfitError) as caught:
        ask(kind, field_class, stored, **details)  # type: ignore[arg-type]
    assert stored not in str(caught.value)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (Question(Reveal.PLAIN), "question"),
        (Question(Reveal.PSEUDONYM), "question"),
        (Question(Reveal.COMPARE), "question"),
        (Question(Reveal.AGE_OVER, age=151), "age"),
        (Question(Reveal.AGE_OVER, age=-1), "age"),
        (Question(Reveal.POSTCODE_AREA), "country"),
        (Question(Reveal.POSTCODE_AREA, country="XX"), "country"),
    ],
)
def test_what_is_no_question(question: Question, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_question(question)
    assert caught.value.details["field"] == field


def test_the_list_is_closed() -> None:
    assert ANSWERS - {Reveal.PSEUDONYM, Reveal.COMPARE} == QUESTIONS
    assert all(len(country) == 2 for country in AREAS)
