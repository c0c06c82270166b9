"""Numbering plans: the compiled patterns agree with `phonenumbers.is_valid_number`."""

import random

import phonenumbers

from vault.fields.numbering import calling_code


def test_random_numbers_of_every_calling_code_are_judged_as_phonenumbers_does() -> None:
    chance = random.Random(2)
    known = unknown = 0
    for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE):
        plan = calling_code(code)
        assert plan is not None
        for _ in range(60):
            national = str(chance.randrange(10 ** chance.randrange(3, 15)))
            number = phonenumbers.PhoneNumber(country_code=code, national_number=int(national))
            expected = phonenumbers.is_valid_number(number)
            assert plan.knows(national) == expected, (code, national)
            known += expected
            unknown += not expected
    assert known > 500
    assert unknown > 5000


def test_numbers_near_the_examples_of_every_region_are_judged_as_phonenumbers_does() -> None:
    chance = random.Random(3)
    known = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            plan = calling_code(example.country_code or 0)
            assert plan is not None
            digits = phonenumbers.national_significant_number(example)
            for cut in (1, 3, 5):
                varied = digits[:-cut] + f"{chance.randrange(10**cut):0{cut}}"
                number = phonenumbers.PhoneNumber(
                    country_code=example.country_code,
                    national_number=int(varied),
                    italian_leading_zero=varied.startswith("0") or None,
                    number_of_leading_zeros=len(varied) - len(varied.lstrip("0")) or None,
                )
                expected = phonenumbers.is_valid_number(number)
                assert plan.knows(varied) == expected, (region, varied)
                known += expected
    assert known > 3000


def test_what_is_no_calling_code_has_no_plan() -> None:
    assert calling_code(999) is None
    assert calling_code(0) is None
