"""Phone numbers: the short way through them agrees with phonenumbers, whose rules they are."""

import random
from collections.abc import Iterator

import phonenumbers
import pytest

from vault.fields import phone
from vault.fields.phone import prepare_phone
from vault.fields.text import UnfitError

_TYPES = 11


def _examples() -> Iterator[phonenumbers.PhoneNumber]:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(_TYPES):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                yield example
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        example = phonenumbers.example_number_for_non_geo_entity(code)
        if example is not None:
            yield example


def _spellings() -> Iterator[str]:
    chance = random.Random(1)
    for example in _examples():
        plain = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        yield plain
        yield phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        yield plain[:4] + chance.choice(" -.()0") + plain[4:]
        yield plain[:3] + "(0)" + plain[3:]
        yield plain[:-1] + chance.choice("0123456789")
        yield plain[:5] + chance.choice("0123456789") + plain[6:]
        yield plain[:-4] + f"{chance.randrange(10_000):04}"
        yield plain[:-1]
        yield plain + "0"
        yield f"+{example.country_code}{chance.randrange(10 ** chance.randrange(3, 16))}"


def _reference(text: str, country: str = "") -> str | None:
    """What phonenumbers alone makes of a number without an extension; None for a refusal."""
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _prepared(text: str, country: str = "") -> str | None:
    try:
        return prepare_phone(text, country).stored
    except UnfitError:
        return None


def test_international_numbers_of_every_region_are_what_phonenumbers_makes_of_them() -> None:
    valid = refused = short = 0
    for text in _spellings():
        expected = _reference(text)
        assert _prepared(text) == expected, text
        valid += expected is not None
        refused += expected is None
        short += phone._international(text) is not None
    assert valid > 6000
    assert refused > 3000
    assert short > 0.9 * valid


def test_numbers_as_dialled_at_home_are_what_phonenumbers_makes_of_them() -> None:
    valid = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(_TYPES):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
                expected = _reference(text, region)
                assert _prepared(text, region) == expected, (text, region)
                valid += expected is not None
    assert valid > 1000


@pytest.mark.parametrize("text", ["+39 06 6982 1234", "+1 (415) 555-2671", "+800 1234 5678", "+541123456789"])
def test_what_may_begin_with_a_zero_or_a_prefix_is_stored_as_dialled_from_abroad(text: str) -> None:
    assert _prepared(text) == _reference(text) is not None
