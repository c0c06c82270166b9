"""Surrogates: texts of the form of a value that say no more of it than what is kept on purpose.

A `Space` is all surrogates that one value may get, by number from 0 on. Whoever issues one draws a number at
random and remembers it, so no key leads back to the value. What is kept, and how many there are:

    email    the domain, or a reserved one in its place (RFC 2606)      32^16
    phone    the country; numbers reserved for fiction (`fiction`)      by country, see docs/surrogates.md
    card     length, the first 6 or 8 digits, the last four             10^(free - 1); x 9 where Luhn fails
    iban     country, length, where letters and digits stand            10^digits x 26^letters
    digits   nothing; as many digits as the value has, or a set number  10^n
    pattern  nothing; a template of your own (`template`)               product of its parts
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vault.errors import InvalidValueError
from vault.fields.iban import check_digits
from vault.fields.space import Space, positional
from vault.fields.template import Template

KEEP: Final = "keep"
_LOCAL: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # without the look-alikes l, o, 0 and 1
_LOCAL_LENGTH: Final = 16
_SHORTEST_LOCAL: Final = 8  # beside a very long domain
_MAX_EMAIL_BYTES: Final = 254
_DIGITS: Final = "0123456789"
_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CARD: Final = re.compile(r"[0-9]{13,19}\Z")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\Z")
_LAST_KEPT: Final = 4
_DOUBLED: Final = str.maketrans(_DIGITS, "0246813579")


class SurrogateFormat(StrEnum):
    """Which format the surrogates of a class have."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    DIGITS = "digits"
    PATTERN = "pattern"


class Check(StrEnum):
    """Whether check digits match."""

    VALID = "valid"
    INVALID = "invalid"


class Unreserved(StrEnum):
    """What is done for phones of a country that reserves no numbers for fiction."""

    REFUSE = "refuse"
    PLAN = "plan"  # any number of the country's plan, which may be somebody's


@dataclass(frozen=True, slots=True)
class SurrogateRule:
    """How the surrogates of one field class are made.

    Attributes:
        format: the format.
        always: Tokenize gives surrogates unless it is asked for tokens; else only when asked for surrogates.
        domain: of e-mail addresses: `keep`, or the reserved one to use.
        check: of cards and IBANs.
        bin_digits: of cards: how many digits at the front are kept, 6 or 8.
        unreserved: of phones.
        length: of digits; 0 for as many as the value has.
        template: of patterns.
    """

    format: SurrogateFormat
    always: bool = True
    domain: str = "example.com"
    check: Check = Check.VALID
    bin_digits: int = 6
    unreserved: Unreserved = Unreserved.REFUSE
    length: int = 0
    template: Template | None = None

    def space(self, field_class: str, stored: str) -> Space:
        """All surrogates that the value `stored` may get.

        Raises:
            InvalidValueError: it has none, as an odd value of a lenient class; says why, never the value.
        """
        try:
            return _SPACES[self.format](self, stored)
        except _NoSurrogateError as error:
            reason = str(error)
        raise InvalidValueError(f"{field_class}: no surrogate, {reason}", field_class=field_class)


class _NoSurrogateError(Exception):
    """A value has no surrogate; its text is the reason and never holds the value."""


def _email(rule: SurrogateRule, stored: str) -> Space:
    _, at, own = stored.rpartition("@")
    if not at or not own:
        raise _NoSurrogateError("the value is no e-mail address")
    domain = own if rule.domain == KEEP else rule.domain
    room = min(_LOCAL_LENGTH, _MAX_EMAIL_BYTES - 1 - len(domain.encode()))
    if room < _SHORTEST_LOCAL:
        raise _NoSurrogateError("the domain is too long")
    return positional([_LOCAL] * room, after=f"@{domain}")


def _phone(rule: SurrogateRule, stored: str) -> Space:
    from vault.fields.fiction import FictionUnknownError, fictional

    try:
        return fictional(stored, any_of_plan=rule.unreserved is Unreserved.PLAN)
    except FictionUnknownError as error:
        reason = str(error)
    raise _NoSurrogateError(reason)


def _card(rule: SurrogateRule, stored: str) -> Space:
    if not _CARD.match(stored):
        raise _NoSurrogateError("the value is no card number")
    head, tail = stored[: rule.bin_digits], stored[-_LAST_KEPT:]
    free = len(stored) - len(head) - len(tail)
    if free < 2:
        raise _NoSurrogateError("the card number is too short to keep both ends")
    # The last free digit makes Luhn's sum come out right, or wrong in one of nine ways.
    doubled = len(tail) % 2 == 1
    ways = 1 if rule.check is Check.VALID else 9

    def at(number: int) -> str:
        body, way = divmod(number, ways)
        front = f"{head}{body:0{free - 1}}"
        missing = -_luhn_sum(front + "0" + tail) % 10
        wanted = missing if rule.check is Check.VALID else (missing + 1 + way) % 10
        digit = str(_HALVED[wanted]) if doubled else str(wanted)
        return front + digit + tail

    return Space(10 ** (free - 1) * ways, at)


_HALVED: Final = {int(doubled): digit for digit, doubled in enumerate("0246813579")}


def _luhn_sum(number: str) -> int:
    return sum(map(int, number[::-2] + number[-2::-2].translate(_DOUBLED)))


def _iban(rule: SurrogateRule, stored: str) -> Space:
    if not _IBAN.match(stored):
        raise _NoSurrogateError("the value is no IBAN")
    country = stored[:2]
    accounts = positional([_DIGITS if char.isdigit() else _CAPITALS for char in stored[4:]])
    # Check digits are 02 to 98 (ISO 7064): 96 others of these are wrong.
    ways = 1 if rule.check is Check.VALID else 96

    def at(number: int) -> str:
        body, way = divmod(number, ways)
        account = accounts.at(body) or ""
        check = int(check_digits(country, account))
        if rule.check is Check.INVALID:
            check = 2 + (check - 2 + 1 + way) % 97
        return f"{country}{check:02}{account}"

    return Space(accounts.capacity * ways, at)


def _digits(rule: SurrogateRule, stored: str) -> Space:
    length = rule.length or sum(char in _DIGITS for char in stored)
    if not length:
        raise _NoSurrogateError("the value has no digits")
    return positional([_DIGITS] * length)


def _pattern(rule: SurrogateRule, _stored: str) -> Space:
    if rule.template is None:
        raise _NoSurrogateError("its class declares no template")
    return rule.template.space


_SPACES: Final[dict[SurrogateFormat, Callable[[SurrogateRule, str], Space]]] = {
    SurrogateFormat.EMAIL: _email,
    SurrogateFormat.PHONE: _phone,
    SurrogateFormat.CARD: _card,
    SurrogateFormat.IBAN: _iban,
    SurrogateFormat.DIGITS: _digits,
    SurrogateFormat.PATTERN: _pattern,
}
