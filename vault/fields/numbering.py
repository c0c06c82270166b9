"""Numbering plans: whether a country's plan knows a number, as `phonenumbers.is_valid_number` says it.

The rules and their data are phonenumbers' own:
- A calling code belongs to one region or several. Of several, the first is asked whose leading digits the
  number begins with, or, where it declares none, whose plan knows the number.
- A region's plan knows a number that matches its general description and that of some type (mobile,
  fixed line, ...). A description is the lengths that are possible and a pattern.

phonenumbers looks every pattern up by its text in the cache of `re`, which holds 512: numbers of all
countries in random order overflow it, and nearly every pattern is then compiled again (1.3 ms a number).
Here the patterns of a region that fit a length are put together into one, compiled when first needed
and kept: some 600 if all are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc

_NEVER: Final = re.compile(r"(?!)")
_TYPES: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)


@dataclass(slots=True)
class _Region:
    """One region: the digits that lead to it, and its patterns by length, as far as they were needed."""

    leading: "re.Pattern[str] | None"  # None where there are none to match
    decides: bool  # whether the leading digits alone say that the number is of this region
    metadata: PhoneMetadata
    patterns: "dict[int, re.Pattern[str]]" = field(default_factory=dict)

    def knows(self, national: str) -> bool:
        """Whether the plan knows a national number (digits)."""
        length = len(national)
        pattern = self.patterns.get(length)
        if pattern is None:
            pattern = self.patterns[length] = _pattern(self.metadata, length)
        return pattern.match(national) is not None


@dataclass(frozen=True, slots=True)
class CallingCode:
    """What stands behind one calling code.

    Attributes:
        prefix: What may be stripped from the front of a number, because it is dialled at home only.
    """

    prefix: "re.Pattern[str]"
    regions: tuple[_Region, ...]

    def knows(self, national: str) -> bool:
        """Whether a national significant number (digits, leading zeros included) is valid."""
        for region in self.regions:
            if region.leading is None or region.leading.match(national):
                if region.knows(national):
                    return True
                if region.decides:
                    return False
        return False


@cache
def calling_code(code: int) -> CallingCode | None:
    """The plans behind a calling code; None where there is no such code."""
    names = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    plans = [PhoneMetadata.metadata_for_region_or_calling_code(code, name) for name in names]
    known = [plan for plan in plans if plan is not None]
    if not known:
        return None
    alone = len(names) == 1
    regions = [
        _Region(
            None if alone or plan.leading_digits is None else re.compile(plan.leading_digits),
            alone or plan.leading_digits is not None,
            plan,
        )
        for plan in known
    ]
    prefix = known[0].national_prefix_for_parsing
    return CallingCode(re.compile(prefix) if prefix else _NEVER, tuple(regions))


def _pattern(metadata: PhoneMetadata, length: int) -> "re.Pattern[str]":
    """What a number of this length must match to be known to a region's plan."""
    general = list(_patterns([metadata.general_desc], length))
    types = [getattr(metadata, name) for name in _TYPES]
    if metadata.same_mobile_and_fixed_line_pattern:
        types.pop()
    special = list(dict.fromkeys(_patterns(types, length)))
    if not general or not special:
        return _NEVER
    return re.compile(rf"(?=(?:{general[0]})\Z)(?:{'|'.join([f'(?:{each})' for each in special])})\Z")


def _patterns(descriptions: "list[PhoneNumberDesc | None]", length: int) -> Iterator[str]:
    for each in descriptions:
        if each is None or not each.national_number_pattern:
            continue
        if not each.possible_length or length in each.possible_length:
            yield each.national_number_pattern
