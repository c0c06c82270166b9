"""What a decision can be, and which of several reasons a caller is told."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from vault.errors import Reason
from vault.model.access import Reveal


class Verdict(IntEnum):
    """An entry of a decision table. PLAIN and MASKED have the numbers of `Reveal`; what follows denies."""

    PURPOSE_DENIED = 0
    PLAIN = Reveal.PLAIN
    MASKED = Reveal.MASKED
    REVEAL_DENIED = 4
    RESTRICTED = 5
    EXPIRED = 6
    CONSENT_MISSING = 7
    CONSENT_WITHDRAWN = 8
    OBJECTED = 9
    TRAINING_EXPIRED = 10
    REGION_DENIED = 11
    APPROVAL_REQUIRED = 12
    ANSWERED = 13  # never in a table: see `reads`


_GRANTING: Final = (Verdict.PLAIN, Verdict.MASKED, Verdict.ANSWERED)
DENIALS: Final[Mapping[int, Reason]] = {
    verdict: Reason[verdict.name] for verdict in Verdict if verdict not in _GRANTING
}


def foremost(deciders: Sequence[str], reasons: Mapping[str, Reason]) -> tuple[str, Reason]:
    """The policy, of those that forbid, whose reason is told; `reasons` is in the order of precedence."""
    for policy, reason in reasons.items():
        if policy in deciders:
            return policy, reason
    return deciders[0], Reason.PURPOSE_DENIED
