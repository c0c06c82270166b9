"""Who may see what: the vocabulary of decisions."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from vault.errors import Reason


class Reveal(IntEnum):
    """How much of a value. The numbers are those of the API and of the audit records."""

    NONE = 0
    BEST = 1  # asked for only
    PLAIN = 2
    MASKED = 3


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
