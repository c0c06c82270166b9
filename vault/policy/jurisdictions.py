"""Jurisdictions, and the two groups of them that policies may name instead.

A jurisdiction is an ISO 3166-1 alpha-2 code. A policy's table by jurisdiction is looked up from the
particular to the general: the code itself, then `EU`, then `EEA`, then `*`. A customer whose jurisdiction is
not known has only `*`, so the strictest answer belongs there.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from vault.model.ids import is_jurisdiction

EU: Final = frozenset(
    ("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
     "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK")
)  # fmt: skip
EEA: Final = EU | {"IS", "LI", "NO"}
GROUPS: Final[Mapping[str, frozenset[str]]] = {"EU": EU, "EEA": EEA}
ANYWHERE: Final = "*"

_T = TypeVar("_T")


def is_place(text: str) -> bool:
    """Whether `text` names a jurisdiction or a group of them."""
    return text in GROUPS or is_jurisdiction(text)


def places_of(jurisdiction: str) -> tuple[str, ...]:
    """A jurisdiction, or a group, and the groups that it belongs to, from the particular to the general."""
    if not jurisdiction:
        return ()
    if jurisdiction in GROUPS:
        return ("EU", "EEA") if jurisdiction == "EU" else (jurisdiction,)
    return (jurisdiction, *[group for group, members in GROUPS.items() if jurisdiction in members])


def by_place(table: Mapping[str, _T], jurisdiction: str) -> _T | None:
    """What a table by jurisdiction says of one; None where it says nothing."""
    for place in (*places_of(jurisdiction), ANYWHERE):
        if place in table:
            return table[place]
    return None
