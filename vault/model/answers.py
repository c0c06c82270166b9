"""What is told of values without the values. Lists are parallel to what was asked; denials by index."""

from collections.abc import Sequence
from dataclasses import dataclass

from vault.model.access import Denial


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """`generation` is that of the domain's key; a pseudonym is empty where a denial stands."""

    generation: int
    pseudonyms: Sequence[str]
    denials: Sequence[Denial]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Whether the two values of each pair are equal; False where a denial stands."""

    equal: Sequence[bool]
    denials: Sequence[Denial]


@dataclass(frozen=True, slots=True)
class DerivedAnswers:
    """Text or yes and no, as `fields.derived` says; None where a denial stands."""

    answers: Sequence[str | bool | None]
    denials: Sequence[Denial]
