"""A numbered set of texts that is too large to be listed: what surrogates are drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Space:
    """`capacity` texts, numbered from 0 on.

    Attributes:
        capacity: how many numbers there are.
        at: the text of a number, another for each; None for a number whose text is not to be used.
    """

    capacity: int
    at: Callable[[int], str | None]


def positional(alphabets: Sequence[str], *, before: str = "", after: str = "") -> Space:
    """All texts with one character of each alphabet in turn, between two fixed ends."""

    def at(number: int) -> str:
        chosen = []
        for alphabet in alphabets:
            number, place = divmod(number, len(alphabet))
            chosen.append(alphabet[place])
        return f"{before}{''.join(chosen)}{after}"

    return Space(prod(map(len, alphabets)), at)
