"""Who may see what: the vocabulary of decisions."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from vault.errors import Reason


class Reveal(IntEnum):
    """How much of a value. The numbers are those of the API and of the audit records, 15 at most."""

    NONE = 0
    BEST = 1  # asked for only
    PLAIN = 2
    MASKED = 3
    # Answers: what is told of a value instead of it. Each is granted by itself.
    PSEUDONYM = 4  # a join key of its domain
    COMPARE = 5  # whether another value is the same
    AGE_OVER = 6
    COUNTRY = 7
    EMAIL_DOMAIN = 8
    POSTCODE_AREA = 9
    CARD_BIN = 10

    __hash__ = int.__hash__  # by number, without a call into `enum`: the hot path looks decisions up by it


VALUE_REVEALS: Final = frozenset({Reveal.NONE, Reveal.BEST, Reveal.PLAIN, Reveal.MASKED})
ANSWERS: Final = frozenset(Reveal) - VALUE_REVEALS
FOLLOWS_FROM_PLAIN: Final = ANSWERS - {Reveal.PSEUDONYM}
"""What whoever sees the value can work out alone. A pseudonym takes a key that readers never have."""


class Action(StrEnum):
    """What policy lets a principal do besides reading."""

    WRITE = "write"  # create customers, tokenize, update and delete values
    INSPECT = "inspect"  # metadata of tokens and customers, never values
    TRANSLATE = "translate"  # tokens between the principal's own domains
    EXPORT = "export"  # all values of one customer, as far as the purpose reveals them
    SHRED = "shred"
    CONSENT = "consent"  # record what customers agreed to, and read it
    RESTRICT = "restrict"  # restrictions, legal holds and expiries of customers
    SEARCH = "search"  # find customers by a value
    DEDUPLICATE = "deduplicate"  # list customers that share a value
    APPROVE = "approve"  # what another principal asked for
    ROTATE = "rotate"
    AUDIT = "audit"  # read the access log
    ADMIN = "admin"  # policy and principals


@dataclass(frozen=True, slots=True)
class Denial:
    """Why one item of a batch has no value."""

    index: int
    reason: Reason


class Decision(IntEnum):
    """What became of a value that was asked for, or of an act. Stored in the traits of the access log."""

    PLAIN = 1
    MASKED = 2
    DENIED = 3
