"""How far the destruction of a root key can be believed."""

from collections.abc import Iterable
from enum import StrEnum


class Assurance(StrEnum):
    """What stands behind the statement that a root key is gone; the strongest first."""

    HARDWARE = "hardware"
    SERVICE_ATTESTED = "service-attested"
    BEST_EFFORT = "best-effort"


def weakest(assurances: Iterable[Assurance]) -> Assurance | None:
    """The weakest of several; None of none."""
    order = list(Assurance)
    return max(assurances, key=order.index, default=None)
