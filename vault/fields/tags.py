"""Tags of issued tokens: `key=value`, of few characters, and never personal data.

    key      a-z, then a-z 0-9 _ . -         1 to 32 characters
    value    A-Z a-z 0-9 _ . : -             1 to 64 characters

A tag stands in lists and may be searched for, so it must say nothing of the customer. What looks like an
e-mail address, a number of seven digits or more (telephone, card, date of birth, whatever stands between the
digits) or an IBAN is refused. That stops mistakes; it cannot know that `team=lee` is a person's name.
"""

import re
from collections.abc import Mapping
from typing import Final

from vault.errors import TagRefusedError
from vault.fields.iban import prepare_iban
from vault.fields.text import UnfitError

MOST_TAGS: Final = 8
_KEY: Final = re.compile(r"[a-z][a-z0-9_.-]{0,31}", re.ASCII)
_VALUE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_EMAIL_IN_DISGUISE: Final = re.compile(
    r"[a-z0-9._-]+(_at_|-at-|\.at\.)[a-z0-9-]+(\.|_dot_|-dot-)[a-z]{2,}", re.I
)
_LOOKED_AT: Final = 320  # an e-mail address is no longer; the patterns take time by the square of the length
_SEPARATORS: Final = str.maketrans("", "", "_.:- /()+")
_DIGITS: Final = re.compile(r"\d{7}")


def parse_tags(tags: Mapping[str, str]) -> tuple[bytes, ...]:
    """Tags as they are kept, by ascending key: ASCII.

    Raises:
        TagRefusedError: there are too many, or one is not a tag, or it looks like personal data. The error
            says which kind, and never repeats the text.
    """
    if len(tags) > MOST_TAGS:
        raise TagRefusedError(f"a token has at most {MOST_TAGS} tags", looks_like="too_many")
    return tuple([parse_tag(key, tags[key]) for key in sorted(tags)])


def parse_tag(key: str, value: str) -> bytes:
    """One tag as it is kept; raises as `parse_tags`."""
    for text in (key, value):
        _require_impersonal(text[:_LOOKED_AT])  # what is longer is refused below
    if not _KEY.fullmatch(key):
        raise TagRefusedError(
            "a tag's key is 1 to 32 of a-z 0-9 _ . - and begins with a letter", looks_like="no_key"
        )
    if not _VALUE.fullmatch(value):
        raise TagRefusedError("a tag's value is 1 to 64 of A-Z a-z 0-9 _ . : -", looks_like="no_value")
    return f"{key}={value}".encode()


def read_tags(tags: tuple[bytes, ...]) -> dict[str, str]:
    """The inverse of `parse_tags`."""
    return {key: value for key, _, value in [tag.decode().partition("=") for tag in tags]}


def _require_impersonal(text: str) -> None:
    if _EMAIL.search(text) or _EMAIL_IN_DISGUISE.search(text):
        raise TagRefusedError("a tag must not be an e-mail address", looks_like="email")
    closed = text.translate(_SEPARATORS)
    if _is_iban(closed):
        raise TagRefusedError("a tag must not be an IBAN", looks_like="iban")
    if _DIGITS.search(closed):
        raise TagRefusedError(
            "a tag must not hold seven digits in a row: a telephone, card or account number, a date of birth",
            looks_like="number",
        )


def _is_iban(text: str) -> bool:
    try:
        prepare_iban(text)
    except UnfitError:
        return False
    return True
