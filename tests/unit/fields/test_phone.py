"""Phone numbers: the short way through them agrees with the parser."""

import random

import phonenumbers

from vault.fields import phone
from vault.fields.phone import prepare_phone


def _spellings() -> list[str]:
    chance = random.Random(1)
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            plain = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            found += [
                plain,
                phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL),
                plain[:4] + chance.choice(" -.()0") + plain[4:],
                plain[:-1] + chance.choice("0123456789"),
                plain[:5] + chance.choice("0123456789") + plain[6:],
                plain[:-1],
            ]
    return found


def test_the_short_way_to_an_international_number_finds_what_the_parser_finds() -> None:
    taken = 0
    for text in _spellings():
        number = phone._international(text)
        if number is None or not phonenumbers.is_valid_number(number):
            continue
        taken += 1
        assert number == phonenumbers.parse(text), text
        stored = prepare_phone(text, "").stored
        assert stored == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert taken > 3000
