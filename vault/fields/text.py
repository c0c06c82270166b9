"""Text before any kind looks at it, and what every kind gives back.

Rules:
- NFC; white space, byte order marks and zero-width spaces at both ends go.
- No lone surrogates, no control characters. Texts of several lines may hold newline and tab; CR LF
  and CR become newline.
- Digits of other scripts and full-width forms count as what they stand for where a kind reads
  digits.
"""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from vault.model.swift import maker

_EDGES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class UnfitError(Exception):
    """A value does not fit; its text is the reason and never holds the value. Stays in this package."""


class Prepared(NamedTuple):
    """A value ready to be sealed.

    Attributes:
        stored: The display form that a reader gets back. Empty: there was nothing but white space.
        normalized: Equal for values that count as the same; for keyed fingerprints only.
    """

    stored: str
    normalized: bytes

    def __repr__(self) -> str:
        return "<prepared>"


prepared = maker(Prepared)
"""As `Prepared`, of both in a tuple: for the kinds of which an import brings most."""


def clean(text: str, *, lines: bool) -> str:
    """`text` by the rules above; `lines` allows newline and tab.

    Raises:
        UnfitError: It holds what no value may hold.
    """
    if lines and "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Of ASCII, `strip` takes the same characters as `_EDGES`.
    text = text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip(_EDGES)
    # What is printable holds neither of the two, and saying so is the quickest of these checks.
    if not text.isprintable():
        if _SURROGATE.search(text):
            raise UnfitError("holds a lone surrogate")
        if (_CONTROL_IN_LINES if lines else _CONTROL).search(text):
            raise UnfitError("holds a control character")
    return text


def comparable(text: str) -> bytes:
    """UTF-8 of `text` without differences of case, width, compatibility forms and spacing."""
    if text.isascii():
        folded = text.lower()
    else:
        normal = unicodedata.normalize("NFKC", text)
        folded = normal.casefold()
        if folded != normal:  # else it is normal already; most scripts know no case
            folded = unicodedata.normalize("NFKC", folded)
    return " ".join(folded.split()).encode()


def plain_characters(text: str, separators: str) -> str:
    """NFKC, decimal digits as ASCII, without `separators`, white space and format characters."""
    if not text.isascii():
        text = "".join(map(_plain, unicodedata.normalize("NFKC", text)))
    return "".join(text.translate(_without(separators)).split())


@cache
def _without(separators: str) -> dict[int, None]:
    return dict.fromkeys(map(ord, separators))


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "" if category == "Cf" else character
