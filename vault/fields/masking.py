"""Masked forms: enough to recognize a value, too little to use it.

Rules:
- A mask is made of bullets, the punctuation of its kind and whole grapheme clusters (UAX #29) of the
  value; it never cuts one, and never joins one with a neighbour it did not have.
- Three bullets stand for any length. What would be shown whole, a word of one grapheme for example,
  becomes one bullet.
- What does not have the form of its kind (a lenient class's odd values) is hidden whole.
- Total: every text has a mask, and it differs from the text unless that is empty.

Masked reads are on the hot path: ASCII values take 0.3 to 2 µs and never meet the grapheme rules.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from vault.fields.country_code import country_code_length
from vault.fields.field_class import FieldClass, MaskStyle

_BULLET = "•"
_HIDDEN = "•••"
_MAX_WORDS = 6
_MAX_TOP_LEVEL_DOMAIN = 24
_MAX_LAST_PART = 40
_SHORTEST_WITH_LAST_TWO = 6

_PHONE = re.compile(r"\+([1-9][0-9]{7,14})(?:;ext=[0-9]+)?\Z")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\Z")
_CARD = re.compile(r"[0-9]{13,19}\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_PART_END = re.compile(r"[\n,;،؛、，；]")
_DIGIT = re.compile(r"\d")


def mask(field_class: FieldClass, stored: str) -> str:
    """The masked form of `stored`, as `field_class` declares it. Never raises."""
    if not stored:
        return ""
    masked = _STYLES[field_class.mask](stored)
    if masked != stored:
        return masked
    return _HIDDEN if stored != _HIDDEN else _BULLET


def _hidden(_stored: str) -> str:
    return _HIDDEN


@cache
def _grapheme() -> Any:
    """The pattern of one grapheme cluster."""
    import regex  # with the first text that is not ASCII, as the package says

    return regex.compile(r"\X")


def _initials(stored: str) -> str:
    return " ".join([_initial(word) for word in stored.split(None, _MAX_WORDS)[:_MAX_WORDS]]) or _HIDDEN


def _initial(word: str) -> str:
    """The first grapheme of a word that begins and ends beside white space or punctuation."""
    if word.isascii() and word.isprintable():
        return word[0] + _HIDDEN if len(word) > 1 else _BULLET
    first: str = _grapheme().match(word).group()
    return first + _HIDDEN if len(first) < len(word) and _stands_alone(first) else _BULLET


def _email(stored: str) -> str:
    local, _, domain = stored.rpartition("@")
    hosts, _, top = domain.rpartition(".")
    host = hosts.partition(".")[0]
    if not local or not host or not 0 < len(top) <= _MAX_TOP_LEVEL_DOMAIN or not _stands_alone(top):
        return _HIDDEN
    return f"{_initial(local)}@{_initial(host)}.{top}"


def _phone(stored: str) -> str:
    match = _PHONE.match(stored)
    if match is None:
        return _HIDDEN
    digits = match.group(1)
    return f"+{digits[: country_code_length(digits)]}{_HIDDEN}{digits[-2:]}"


def _last_part(stored: str) -> str:
    """The last part, usually city or country. Postcodes narrow it down to a few doors: never a digit."""
    parts = [part for part in map(str.strip, _PART_END.split(stored)) if part]
    if len(parts) < 3:
        return _HIDDEN
    last = parts[-1]
    if len(last) > _MAX_LAST_PART or _DIGIT.search(last) or not _stands_alone(last):
        return _HIDDEN
    return f"{_HIDDEN}, {last}"


def _year(stored: str) -> str:
    return f"{stored[:4]}-••-••" if _DATE.match(stored) else _HIDDEN


def _last_two(stored: str) -> str:
    graphemes = stored if stored.isascii() and stored.isprintable() else _grapheme().findall(stored)
    if len(graphemes) < _SHORTEST_WITH_LAST_TWO:
        return _HIDDEN
    last = "".join(graphemes[-2:])
    return _HIDDEN + last if _stands_alone(last) else _HIDDEN


def _last_four(stored: str) -> str:
    return _HIDDEN + stored[-4:] if _CARD.match(stored) else _HIDDEN


def _country_last_four(stored: str) -> str:
    return f"{stored[:2]}{_HIDDEN}{stored[-4:]}" if _IBAN.match(stored) else _HIDDEN


def _stands_alone(part: str) -> bool:
    """Whether `part` joins with nothing that a mask may put before or after it."""
    if part.isascii():
        return part.isprintable()
    graphemes = _grapheme().findall(f"{_BULLET}{part}{_BULLET}")
    return bool(graphemes[0] == _BULLET == graphemes[-1])


_STYLES: dict[MaskStyle, Callable[[str], str]] = {
    MaskStyle.HIDDEN: _hidden,
    MaskStyle.INITIALS: _initials,
    MaskStyle.EMAIL: _email,
    MaskStyle.PHONE: _phone,
    MaskStyle.LAST_PART: _last_part,
    MaskStyle.YEAR: _year,
    MaskStyle.LAST_TWO: _last_two,
    MaskStyle.LAST_FOUR: _last_four,
    MaskStyle.COUNTRY_LAST_FOUR: _country_last_four,
}
