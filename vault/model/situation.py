"""What of a customer bears on a read: the input of a decision that is not the principal's."""

from dataclasses import dataclass

from vault.model.consent import ConsentState

_NO_CLASSES: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """One customer as seen by one purpose at one moment. Equal situations are decided alike.

    Field classes are given by number; `restricted` and `held` as a whole stand beside the single classes.
    """

    consent: ConsentState = ConsentState.NONE
    jurisdiction: str = ""  # ISO 3166-1 alpha-2, empty where unknown
    restricted: bool = False
    held: bool = False
    expired: bool = False
    restricted_classes: frozenset[int] = _NO_CLASSES
    held_classes: frozenset[int] = _NO_CLASSES
    expired_classes: frozenset[int] = _NO_CLASSES
