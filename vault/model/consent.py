"""Lawful bases and consent: the vocabulary of what a customer has agreed to.

A purpose stands on a lawful basis (GDPR art. 6(1)). Consent is one of them and has to have been given;
the others hold without the customer's doing, two of them until the customer objects (art. 21).
"""

from enum import IntEnum, StrEnum
from typing import Final


class LawfulBasis(StrEnum):
    """GDPR art. 6(1) (a) to (f). Other countries' laws are mapped to these by the policy."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


OBJECTABLE: Final = frozenset({LawfulBasis.PUBLIC_TASK, LawfulBasis.LEGITIMATE_INTERESTS})
"""Bases that end where the customer objects (GDPR art. 21(1))."""


class ConsentState(IntEnum):
    """What a customer last said of one purpose. Two bits of the customer row: numbers are part of the format.

    WITHDRAWN ends the basis of consent only, and stands for withdrawn, refused and expired alike.
    OBJECTED ends the objectable bases and consent too, and for direct marketing every basis.
    A consent given later replaces either.
    """

    NONE = 0
    GIVEN = 1
    WITHDRAWN = 2
    OBJECTED = 3
