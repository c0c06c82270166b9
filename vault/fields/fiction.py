"""Phone numbers that reach nobody: what regulators have set aside for films and books.

Sources, each as phonenumbers' metadata accepts it; ranges that it calls invalid are left out:
- North American Numbering Plan: 555-0100 to 555-0199 of every geographic area code (ATIS-0300115, 555 NXX
  assignment guidelines). The area codes of a country are those that phonenumbers gives to it.
- United Kingdom: Ofcom, "Telephone numbers for use in TV and radio drama programmes". Left out: 01632 960xxx
  and 07700 900xxx.
- Germany: Bundesnetzagentur, Mitteilung 148/2021, Amtsblatt 7/2021: five local areas.
- France: ARCEP, décision 2018-0881 (plan de numérotation), numbers for audiovisual works. Left out: 06 39 98.
- Australia: ACMA, "Phone numbers for use in TV shows, films and creative works": geographic numbers.
- Sweden: PTS, "Telefonnummer för användning i böcker och filmer".

A country without a range, Ireland's 020 91 among them, since phonenumbers does not know it, has none here.
Elsewhere, where the class allows it, a surrogate is a number of the country's plan: the example that
phonenumbers gives, its last digits at random. It may be somebody's.
"""

from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import Final

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneNumber,
    PhoneNumberType,
    example_number_for_type,
    is_valid_number_for_region,
    number_type,
    parse,
    region_code_for_number,
)

from vault.fields.space import Space

_NORTH_AMERICA: Final = 1  # the country code, and of 20 or so countries
_FICTION_LINES: Final = 100  # 555-0100 to 555-0199
_GB: Final = (
    *("113496", "114496", "116496", "117496", "118496", "121496", "131496", "141496", "151496", "161496"),
    *("191498", "207946", "289649", "292018", "306999"),
)
# By country: first number after the plus sign, and how many follow it, itself included.
_RANGES: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "GB": tuple((int(f"44{area}{'6' if area == '289649' else '0'}000"), 1_000) for area in _GB),
    "DE": tuple(
        (int(f"49{area}000"), 1_000) for area in ("3023125", "6990009", "4066969", "2214710", "8999998")
    ),
    "FR": tuple((int(f"33{block}0000"), 10_000) for block in ("19900", "26191", "35301", "46571", "53649")),
    "AU": tuple((int(f"61{area}{block}0000"), 10_000) for area in "2378" for block in ("5550", "7010")),
    "SE": (
        *((46_31_3900600, 100), (46_40_6280400, 100), (46_8_46500400, 100), (46_980_319200, 100)),
        (46_70_1740605, 95),
    ),
}
_GEOGRAPHIC: Final = (PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_EXAMPLES: Final = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
_RANDOM_DIGITS: Final = 6  # of a number of the plan, at most
_KEPT_DIGITS: Final = 3  # of its national number, at least


class FictionUnknownError(Exception):
    """No surrogate for this phone; its text is the reason and never holds the number."""


def fictional(stored: str, *, any_of_plan: bool) -> Space:
    """Numbers of the country of `stored` (E.164) that are reserved for fiction.

    `any_of_plan` is for countries that reserve none: any number of their plan will do.

    Raises:
        FictionUnknownError: the value is no phone number, or there are no numbers for its country.
    """
    country = country_of(stored)
    space = reserved(country)
    if space is None and any_of_plan:
        space = _of_plan(country)
    if space is None:
        raise FictionUnknownError(f"no numbers are reserved for fiction in {country}")
    return space


def country_of(stored: str) -> str:
    """ISO 3166-1 alpha-2 code of the country of a number (E.164).

    Raises:
        FictionUnknownError: it is no phone number, or of no country, as numbers of satellites.
    """
    try:
        country = region_code_for_number(parse(stored, None))
    except NumberParseException:
        country = None
    if country is None or len(country) != 2:
        raise FictionUnknownError("the value is no phone number of a country")
    return str(country)


@cache
def reserved(country: str) -> Space | None:
    """The numbers that a country reserves for fiction, None where it reserves none."""
    ranges = _RANGES.get(country) or tuple(
        (area * 10**7 + 10**10 * _NORTH_AMERICA + 555_0100, _FICTION_LINES) for area in _area_codes(country)
    )
    if not ranges:
        return None
    ends = list(accumulate(count for _, count in ranges))

    def at(number: int) -> str:
        place = bisect_right(ends, number)
        first, count = ranges[place]
        return f"+{first + number - (ends[place] - count)}"

    return Space(ends[-1], at)


def _area_codes(country: str) -> list[int]:
    """Geographic area codes of a country of the North American plan; none for another."""
    if country not in COUNTRY_CODE_TO_REGION_CODE[_NORTH_AMERICA]:
        return []
    return [area for area in range(200, 1000) if _is_geographic(area, country)]


def _is_geographic(area: int, country: str) -> bool:
    number = PhoneNumber(country_code=_NORTH_AMERICA, national_number=area * 10**7 + 555_0100)
    return number_type(number) in _GEOGRAPHIC and is_valid_number_for_region(number, country)


@cache
def _of_plan(country: str) -> Space | None:
    """Numbers that begin as the country's example does."""
    examples = [example_number_for_type(country, kind) for kind in _EXAMPLES]
    example = next((each for each in examples if each is not None), None)
    if example is None:
        return None
    national = str(example.national_number)
    free = min(_RANDOM_DIGITS, len(national) - _KEPT_DIGITS)
    if free < 1:
        return None
    leading = "0" * (example.number_of_leading_zeros or 1) if example.italian_leading_zero else ""
    prefix = f"+{example.country_code}{leading}{national[:-free]}"

    def at(number: int) -> str | None:
        text = f"{prefix}{number:0{free}}"
        return text if is_valid_number_for_region(parse(text, None), country) else None

    return Space(10**free, at)
