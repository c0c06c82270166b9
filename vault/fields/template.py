r"""The small language in which a pattern of surrogates is written.

    #        a digit                      A   a capital A to Z          a   a small letter a to z
    *        a capital or a digit         [abc0-9]   one of these characters and ranges
    {n}      the part before it n times in all, 1 to 64
    \x       the character x itself       anything else stands for itself

`KD-######`, `[A-HJ-NP-Z]{2}-#{6}` and `CUST\A-*{8}` are templates.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from vault.fields.space import Space, positional

MAX_CHARACTERS: Final = 64
_MAX_REPEAT: Final = 64
_DIGITS: Final = "0123456789"
_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLASSES: Final = {"#": _DIGITS, "A": _CAPITALS, "a": _CAPITALS.lower(), "*": _CAPITALS + _DIGITS}
_PART: Final = re.compile(
    r"(?:\\(?P<escaped>.)|\[(?P<set>[^\]]+)\]|(?P<char>[^\\\[\]{}]))(?:\{(?P<times>\d{1,2})\})?"
)
_LIKE_A_TOKEN: Final = re.compile(r"cv[0-9]", re.IGNORECASE)


class TemplateError(ValueError):
    """A template is not written as it has to be; says why."""


@dataclass(frozen=True)
class Template:
    """A template that was read.

    Attributes:
        text: as written.
        alphabets: what may stand at each place.
    """

    text: str
    alphabets: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a template.

        Raises:
            TemplateError: it is malformed, too long, leaves nothing to chance, or its texts could be tokens.
        """
        alphabets: list[str] = []
        position = 0
        while position < len(text):
            part = _PART.match(text, position)
            if part is None:
                raise TemplateError(f"is malformed at character {position + 1}")
            times = int(part["times"] or 1)
            if not 1 <= times <= _MAX_REPEAT:
                raise TemplateError(f"repeats a part 1 to {_MAX_REPEAT} times")
            alphabets += [_alphabet(part)] * times
            position = part.end()
        if not 1 <= len(alphabets) <= MAX_CHARACTERS:
            raise TemplateError(f"stands for 1 to {MAX_CHARACTERS} characters")
        if all(len(each) == 1 for each in alphabets):
            raise TemplateError("has no part that varies")
        if _LIKE_A_TOKEN.match("".join(each[0] for each in alphabets)):
            raise TemplateError("must not begin like a token")
        return cls(text, tuple(alphabets))

    @cached_property
    def space(self) -> Space:
        """All texts of the template."""
        return positional(self.alphabets)


def _alphabet(part: "re.Match[str]") -> str:
    if part["escaped"] is not None:
        return part["escaped"]
    if part["set"] is None:
        return _CLASSES.get(part["char"], part["char"])
    characters, given = "", part["set"]
    while given:
        if len(given) >= 3 and given[1] == "-":
            first, last = ord(given[0]), ord(given[2])
            if last < first or last - first > 128:
                raise TemplateError("has a range that runs backwards or too far")
            characters += "".join(map(chr, range(first, last + 1)))
            given = given[3:]
        else:
            characters += given[0]
            given = given[1:]
    if not characters.isprintable() or len(set(characters)) != len(characters):
        raise TemplateError("has a set with a character twice, or one that cannot be printed")
    return characters
