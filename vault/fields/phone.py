"""Phone numbers, checked by phonenumbers against the numbering plan of their country.

Stored: E.164 (`+4930123456`). An extension is kept in the form of RFC 3966 (`+4930123456;ext=12`):
dropping it would reach somebody else.

Most numbers of a CRM's export are international ones, of ASCII digits and simple separators. Of those whose
country strips nothing from what follows its code, country code and number are known at once, which spares
the general parser (about 25 µs of 40); validity is judged by phonenumbers all the same.
"""

import re
from functools import cache

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    ValidationResult,
    format_number,
    is_possible_number_with_reason,
    is_valid_number,
    parse,
)

from vault.fields.text import Prepared, UnfitError

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
_SEPARATORS = dict.fromkeys(map(ord, " ().-"))
_NEVER = r"(?!)"
_TWO_DIGIT_CODES = frozenset(str(code) for code in COUNTRY_CODE_TO_REGION_CODE if 10 <= code <= 99)


def is_country(code: str) -> bool:
    """Whether `code` is an ISO 3166-1 alpha-2 code with a known numbering plan."""
    return code in SUPPORTED_REGIONS


def prepare_phone(text: str, country: str) -> Prepared:
    """Reads `text` as dialled in `country` unless it names a country code; digits of any script.

    Raises:
        UnfitError: Not a number that the country's plan knows.
    """
    number = _international(text)
    if number is not None and is_valid_number(number):
        stored = f"+{number.country_code}{number.national_number}"
        return Prepared(stored, stored.encode())
    try:
        number = parse(text, country or None)
    except NumberParseException as refusal:
        wrong_code = "no such country code" if "+" in text or "＋" in text else _NO_COUNTRY
        reason = _REASONS.get(refusal.error_type, wrong_code)
    else:
        if is_valid_number(number):
            return _prepared(number)
        reason = _UNLIKELY.get(is_possible_number_with_reason(number), "not a number of the country's plan")
    raise UnfitError(reason)


def country_code_length(digits: str) -> int:
    """How many of the digits after the plus sign are the country code (ITU-T E.164: 1 to 3)."""
    if digits[0] in "17":
        return 1
    return 2 if digits[:2] in _TWO_DIGIT_CODES else 3


def _international(text: str) -> PhoneNumber | None:
    """The number that `parse` would find, or None where only `parse` can tell."""
    if not _PLAIN_INTERNATIONAL.match(text):
        return None
    digits = text[1:].translate(_SEPARATORS)
    code = digits[: country_code_length(digits)]
    national = digits[len(code) :]
    # A leading zero is part of the number in some countries; a prefix that is dialled at home only
    # is stripped by `parse`; numbers this short or long are its business too.
    if not 4 <= len(national) <= 14 or national[0] == "0":
        return None
    prefix = _national_prefix(int(code))
    if prefix is None or prefix.match(national):
        return None
    return PhoneNumber(country_code=int(code), national_number=int(national))


@cache
def _national_prefix(code: int) -> "re.Pattern[str] | None":
    """What a country code's plan may strip from the front of a number; None for an unknown code."""
    region = COUNTRY_CODE_TO_REGION_CODE.get(code, ("",))[0]
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region) if region else None
    if metadata is None:
        return None
    return re.compile(metadata.national_prefix_for_parsing or _NEVER)


def _prepared(number: PhoneNumber) -> Prepared:
    stored: str = format_number(number, PhoneNumberFormat.E164)
    if number.extension:
        stored += f";ext={number.extension}"
    return Prepared(stored, stored.encode())
