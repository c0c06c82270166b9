"""Phone numbers, checked by phonenumbers against the numbering plan of their country.

Stored: E.164 (`+4930123456`). An extension is kept in the form of RFC 3966 (`+4930123456;ext=12`):
dropping it would reach somebody else.

Most numbers of a CRM's export are international ones, of ASCII digits and simple separators. Of those whose
country strips nothing from what follows its code, country code and number are known at once, which spares
the general parser (about 25 µs of 28); `numbering` judges whether they are valid.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    ValidationResult,
    is_possible_number_with_reason,
    national_significant_number,
    parse,
)

from vault.fields.country_code import country_code_length
from vault.fields.numbering import CallingCode, calling_code
from vault.fields.text import Prepared, UnfitError, prepared

_TOO_SHORT = "too short for the country"
_TOO_LONG = "too long for the country"
_NO_COUNTRY = "no country code, and no country to assume"
_REASONS = {
    NumberParseException.NOT_A_NUMBER: "not a phone number",
    NumberParseException.TOO_SHORT_AFTER_IDD: "too short after the international prefix",
    NumberParseException.TOO_SHORT_NSN: _TOO_SHORT,
    NumberParseException.TOO_LONG: _TOO_LONG,
}
_UNLIKELY = {ValidationResult.TOO_SHORT: _TOO_SHORT, ValidationResult.TOO_LONG: _TOO_LONG}
_PLAIN_INTERNATIONAL = re.compile(r"\+[1-9][0-9]*(?:[ ().-]{1,2}[0-9]+)*\Z")
_SEPARATORS = " ().-"


def is_country(code: str) -> bool:
    """Whether `code` is an ISO 3166-1 alpha-2 code with a known numbering plan."""
    return code in SUPPORTED_REGIONS


def prepare_phone(text: str, country: str) -> Prepared:
    """Reads `text` as dialled in `country` unless it names a country code; digits of any script.

    Raises:
        UnfitError: Not a number that the country's plan knows.
    """
    international = _international(text)
    if international is not None:
        return prepared((international, international.encode()))
    try:
        number = parse(text, country or None)
    except NumberParseException as refusal:
        wrong_code = "no such country code" if "+" in text or "＋" in text else _NO_COUNTRY
        reason = _REASONS.get(refusal.error_type, wrong_code)
    else:
        plan = calling_code(number.country_code or 0)
        national = national_significant_number(number)
        if plan is not None and plan.knows(national):
            return _prepared(number, national)
        reason = _UNLIKELY.get(is_possible_number_with_reason(number), "not a number of the country's plan")
    raise UnfitError(reason)


def _international(text: str) -> str | None:
    """The form to store of a valid international number; None where it takes `parse` to tell."""
    if not _PLAIN_INTERNATIONAL.match(text):
        return None
    stored = text
    if not text[1:].isdecimal():
        for separator in _SEPARATORS:  # several times as fast as `translate`
            stored = stored.replace(separator, "")
    plan, length = _plan(stored[1:4])
    national = stored[length:]
    # What is dialled at home only is stripped by `parse`; numbers this short or long are its business too.
    if plan is None or not 4 <= len(national) <= 14 or plan.prefix.match(national):
        return None
    return stored if plan.knows(national) else None


@lru_cache(maxsize=1024)
def _plan(begin: str) -> tuple[CallingCode | None, int]:
    """The plan of a number of which these are the first three digits, and where its national part begins."""
    length = country_code_length(begin)
    return calling_code(int(begin[:length])), 1 + length


def _prepared(number: PhoneNumber, national: str) -> Prepared:
    stored = f"+{number.country_code}{national}"
    if number.extension:
        stored += f";ext={number.extension}"
    return Prepared(stored, stored.encode())


def prepare_phones(texts: Sequence[str]) -> list[str | None]:
    """The form to store of each number; None where it takes `prepare_phone` to tell."""
    return [_international(text) for text in texts]
