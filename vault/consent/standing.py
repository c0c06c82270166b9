"""What follows from a customer's events: where each purpose stands, and which lawful bases remain.

Rules:
- A consent is given or renewed until it is withdrawn or refused, or its end has come; it ends by time
  alone, whether or not an event says so.
- An objection stays until the customer gives consent: neither a withdrawal nor a refusal weakens it.
- A withdrawal ends the basis of consent and nothing else. An objection ends that and the objectable bases;
  for direct marketing it ends every basis (GDPR art. 21(2), (3)).
- What remains is told, never used by itself: a reader has to state another basis.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vault.consent.events import ConsentEvent, Kind
from vault.model.consent import OBJECTABLE, ConsentState, LawfulBasis
from vault.policy.rules import Purpose

ENDING: Final = frozenset({Kind.WITHDRAWN, Kind.REFUSED, Kind.OBJECTED})
"""Kinds that no restore may undo: each has an entry in the vault's ledger."""

_AFTER: Final[Mapping[Kind, ConsentState]] = {
    Kind.GIVEN: ConsentState.GIVEN,
    Kind.RENEWED: ConsentState.GIVEN,
    Kind.WITHDRAWN: ConsentState.WITHDRAWN,
    Kind.EXPIRED: ConsentState.WITHDRAWN,
    Kind.REFUSED: ConsentState.WITHDRAWN,
    Kind.OBJECTED: ConsentState.OBJECTED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One purpose as a customer's events leave it; `last` is the event that brought the state about."""

    state: ConsentState
    last: ConsentEvent

    @property
    def expires_ms(self) -> int:
        """End of a given consent; 0 for none."""
        return self.last.expires_ms if self.state is ConsentState.GIVEN else 0

    @property
    def since_ms(self) -> int:
        """When the state began: when the customer acted, else when that was recorded; or a consent's end."""
        if self.last.kind is Kind.EXPIRED:
            return self.last.expires_ms
        return self.last.acted_ms or self.last.time_ms

    def at(self, now_ms: int) -> tuple[ConsentState, int]:
        """State at a time, and since when."""
        if 0 < self.expires_ms <= now_ms:
            return ConsentState.WITHDRAWN, self.expires_ms
        return self.state, self.since_ms


def state_after(kind: Kind, before: ConsentState) -> ConsentState:
    """The state that an event leaves."""
    if before is ConsentState.OBJECTED and kind not in (Kind.GIVEN, Kind.RENEWED):
        return before
    return _AFTER[kind]


def standings(events: Iterable[ConsentEvent]) -> dict[int, Standing]:
    """Where each purpose stands, by number."""
    found: dict[int, Standing] = {}
    for event in events:
        held = found.get(event.purpose)
        state = state_after(event.kind, held.state if held else ConsentState.NONE)
        if held is None or held.state is not state or event.kind in (Kind.GIVEN, Kind.RENEWED):
            found[event.purpose] = Standing(state, event)
    return found


def remaining_bases(purpose: Purpose, jurisdiction: str, state: ConsentState) -> tuple[LawfulBasis, ...]:
    """The bases besides consent on which a purpose may still stand, the policy's default first."""
    others = [each for each in purpose.bases_in(jurisdiction) if each is not LawfulBasis.CONSENT]
    if state is not ConsentState.OBJECTED:
        return tuple(others)
    if purpose.direct_marketing:
        return ()
    return tuple([each for each in others if each not in OBJECTABLE])
