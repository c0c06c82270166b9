"""Answers that follow from a value and are told instead of it, in a closed list.

    question        kinds         answer
    AGE_OVER        birth_date    whether the person has completed `age` years (0 to 150)
    COUNTRY         phone, iban   ISO 3166-1 alpha-2: where the number is assigned, the account held
    EMAIL_DOMAIN    email         what follows the @, as it is stored
    POSTCODE_AREA   address       the characters of the postcode that name an area, by `country`: see `AREAS`
    CARD_BIN        card          the first six digits: the issuer (ISO/IEC 7812-1)

Rules:
- A value has an answer or none. A number of no country, a lenient class's odd text, an address in which
  nothing or several things stand where a postcode of the country does: none.
- Whoever was born on 29 February completes a year on 1 March where the year has no such day.
- Today is the caller's to say: it depends on a time zone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from vault.errors import InvalidRequestError, QuestionUnfitError
from vault.fields.field_class import FieldClass, Kind
from vault.fields.iban import LENGTHS
from vault.model.access import Reveal

MAX_AGE: Final = 150
AREAS: Final[Mapping[str, tuple[str, int]]] = {  # postcode, and how many of its characters are the area
    "AT": (r"[1-9][0-9]{3}", 2),
    "BE": (r"[1-9][0-9]{3}", 2),
    "CH": (r"[1-9][0-9]{3}", 2),
    "DE": (r"[0-9]{5}", 2),
    "DK": (r"[0-9]{4}", 2),
    "ES": (r"[0-5][0-9]{4}", 2),
    "FR": (r"[0-9]{5}", 2),
    "GB": (r"[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}", -3),  # the outward code
    "IT": (r"[0-9]{5}", 2),
    "NL": (r"[1-9][0-9]{3} ?[A-Z]{2}", 2),
    "PL": (r"[0-9]{2}-[0-9]{3}", 2),
    "US": (r"[0-9]{5}(?:-[0-9]{4})?", 3),
}
_KINDS: Final[Mapping[Reveal, frozenset[Kind]]] = {
    Reveal.AGE_OVER: frozenset({Kind.BIRTH_DATE}),
    Reveal.COUNTRY: frozenset({Kind.PHONE, Kind.IBAN}),
    Reveal.EMAIL_DOMAIN: frozenset({Kind.EMAIL}),
    Reveal.POSTCODE_AREA: frozenset({Kind.ADDRESS}),
    Reveal.CARD_BIN: frozenset({Kind.CARD}),
}
QUESTIONS: Final = frozenset(_KINDS)
_BEFORE: Final = {  # what stands before a postcode: elsewhere it begins a line or a part of the address
    "GB": r"(?<![\w-])",
    "US": r"(?:^|[\s,][A-Z]{2} )",  # the state
}
_BEGINS: Final = r"(?:^|[\n,;])\s*(?:[A-Z]{1,2}[- ])?"
_AREAS: Final = {
    country: re.compile(rf"{_BEFORE.get(country, _BEGINS)}({pattern})(?![\w-])")
    for country, (pattern, _) in AREAS.items()
}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_CARD: Final = re.compile(r"[0-9]{13,19}\Z")
_COUNTRY: Final = re.compile(r"[A-Z]{2}\Z")
_BIN_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a value.

    Attributes:
        kind: one of `QUESTIONS`.
        age: in completed years, for AGE_OVER.
        country: ISO 3166-1 alpha-2 of the address, for POSTCODE_AREA.
    """

    kind: Reveal
    age: int = 0
    country: str = ""


def check_question(question: Question) -> None:
    """Looks at a question without a value.

    Raises:
        InvalidRequestError: it is not on the list, or lacks what it takes.
    """
    if question.kind not in QUESTIONS:
        raise InvalidRequestError("no such question", field="question")
    if question.kind is Reveal.AGE_OVER and not 0 <= question.age <= MAX_AGE:
        raise InvalidRequestError(f"an age is 0 to {MAX_AGE} years", field="age")
    if question.kind is Reveal.POSTCODE_AREA and question.country not in AREAS:
        raise InvalidRequestError(f"country has to be one of {', '.join(AREAS)}", field="country")


def derive(question: Question, field_class: FieldClass, stored: str, today: date) -> str | bool:
    """The answer that follows from a stored value.

    Raises:
        QuestionUnfitError: the question does not fit the class, or the value has no answer.
    """
    if field_class.kind not in _KINDS[question.kind]:
        raise QuestionUnfitError(f"{question.kind.name} is not asked of the class {field_class.name}")
    answer = _answer(question, field_class.kind, stored, today)
    if answer is None:
        raise QuestionUnfitError(f"this value has no answer to {question.kind.name}")
    return answer


def _answer(question: Question, kind: Kind, stored: str, today: date) -> str | bool | None:
    if question.kind is Reveal.AGE_OVER:
        return _is_over(question.age, stored, today)
    if question.kind is Reveal.EMAIL_DOMAIN:
        return stored.rpartition("@")[2] if "@" in stored[1:] else None
    if question.kind is Reveal.POSTCODE_AREA:
        return _area(question.country, stored)
    if question.kind is Reveal.CARD_BIN:
        return stored[:_BIN_DIGITS] if _CARD.match(stored) else None
    return _country_of_phone(stored) if kind is Kind.PHONE else _country_of_iban(stored)


def _is_over(age: int, stored: str, today: date) -> bool | None:
    try:
        born = date.fromisoformat(stored) if _DATE.match(stored) else None
    except ValueError:
        born = None
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) >= age


def _area(country: str, stored: str) -> str | None:
    found = {match.replace(" ", "") for match in _AREAS[country].findall(stored)}
    return found.pop()[: AREAS[country][1]] if len(found) == 1 else None


def _country_of_phone(stored: str) -> str | None:
    from phonenumbers import NumberParseException, parse, region_code_for_number

    try:
        region = region_code_for_number(parse(stored, None)) if stored.startswith("+") else None
    except NumberParseException:
        return None
    return region if region is not None and _COUNTRY.match(region) else None


def _country_of_iban(stored: str) -> str | None:
    return stored[:2] if len(stored) == LENGTHS.get(stored[:2]) else None
