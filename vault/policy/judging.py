"""Decides reads and acts of one principal through Cedar, and says which policies decided.

Rules:
- Who may see the plain value may see its mask, and may have every answer that follows from it: all but the
  pseudonym. A mask implies no answer, and one answer no other.
- BEST gives the most that is allowed, MASKED never more than a mask, PLAIN all or a denial.
- Where nothing was granted to begin with the answer is PURPOSE_DENIED, whatever else holds: it tells a
  stranger nothing of the customer.
- Of several policies that forbid, the foremost gives the reason: guards in their order, then the document's.
- The lawful basis is the one that the caller states, else the purpose's first one in the customer's
  jurisdiction. No other is swapped in.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vault.errors import InvalidRequestError
from vault.model.access import ANSWERS, FOLLOWS_FROM_PLAIN, VALUE_REVEALS, Action, Reveal
from vault.model.consent import LawfulBasis
from vault.model.situation import Situation
from vault.policy.cedar import Question, Rulebook, Ruling
from vault.policy.compiling import (
    ANSWER_ACTIONS,
    REVEAL_MASKED,
    REVEAL_PLAIN,
    VAULT,
    Circumstances,
    Compiled,
)
from vault.policy.verdicts import Verdict, foremost


class Finding(NamedTuple):
    """What the policies say of one field class: its plain value, its mask, and the answer asked for."""

    plain: Ruling
    masked: Ruling
    answer: Ruling = Ruling()


class Decision(NamedTuple):
    """A verdict, the policies that decided it, and the lines that grant what others of them forbid."""

    verdict: Verdict
    deciders: tuple[str, ...] = ()
    granted_by: tuple[str, ...] = ()


class Judge:
    """Everything that may bear on a read is an argument of `find`."""

    def __init__(self, compiled: Compiled, principal: str) -> None:
        self._compiled = compiled
        self._principal = principal
        self._books: dict[bool, Rulebook] = {}

    def circumstances(
        self, purpose: str, stated: LawfulBasis | None, situation: Situation, *, break_glass: bool
    ) -> Circumstances:
        """A situation in which the single field classes are all alike, for one read.

        What only the document's own rules could look at is left out unless they do.
        """
        looked_at = self._compiled.looked_at
        bases = self._compiled.policy.purposes[purpose].bases_in(situation.jurisdiction)
        return Circumstances(
            purpose=purpose,
            basis=stated or (bases[0] if bases else None),
            bases=bases,
            consent=situation.consent,
            jurisdiction=situation.jurisdiction if "jurisdiction" in looked_at else "",
            regions=self._compiled.regions_for(situation.jurisdiction),
            restricted=situation.restricted,
            held=situation.held and "held" in looked_at,
            expired=situation.expired,
            break_glass=break_glass,
        )

    def find(
        self,
        circumstances: Circumstances,
        field_classes: Sequence[str],
        *,
        trained: bool,
        wanted: Reveal = Reveal.BEST,
    ) -> Mapping[str, Finding]:
        """What the policies say of some field classes; of an answer only if that is `wanted`."""
        context = circumstances.json()
        plain = self._ask(REVEAL_PLAIN, field_classes, context, trained)
        others = [name for name in field_classes if not plain[name].allowed]
        masked = plain | self._ask(REVEAL_MASKED, others, context, trained)
        if wanted not in ANSWERS:
            return {name: Finding(plain[name], masked[name]) for name in field_classes}
        answers = self._ask(ANSWER_ACTIONS[wanted], field_classes, context, trained)
        return {name: Finding(plain[name], masked[name], answers[name]) for name in field_classes}

    def decide(self, finding: Finding, wanted: Reveal) -> Decision:
        """What a caller gets that wants this much; `finding` has been found for the same `wanted`.

        Raises:
            InvalidRequestError: `wanted` is no `Reveal`.
        """
        if wanted in ANSWERS:
            return self._decide_answer(finding, wanted)
        if wanted not in VALUE_REVEALS:
            raise InvalidRequestError("reveal has to be BEST, PLAIN or MASKED", field="reveal")
        plain, masked, _ = finding
        if plain.allowed:
            return Decision(Verdict.MASKED if wanted is Reveal.MASKED else Verdict.PLAIN, plain.permits)
        if masked.allowed:
            if wanted is not Reveal.PLAIN:
                return Decision(Verdict.MASKED, masked.permits)
            return self._denied(plain) if plain.permits else Decision(Verdict.REVEAL_DENIED, masked.permits)
        granted = masked if masked.permits else plain
        return self._denied(granted) if granted.permits else Decision(Verdict.PURPOSE_DENIED)

    def acts(self, *, trained: bool) -> Mapping[Action, Ruling]:
        """What the policies say of each act."""
        questions = [Question(action.value, VAULT) for action in Action]
        return dict(zip(Action, self._book(trained).ask(questions), strict=True))

    def _decide_answer(self, finding: Finding, wanted: Reveal) -> Decision:
        plain, masked, answer = finding
        if answer.allowed:
            return Decision(Verdict.ANSWERED, answer.permits)
        if answer.permits:
            return self._denied(answer)
        if wanted in FOLLOWS_FROM_PLAIN and plain.permits:
            if plain.forbids or answer.forbids:
                return self._denied(Ruling(plain.permits, plain.forbids or answer.forbids))
            return Decision(Verdict.ANSWERED, plain.permits)
        if plain.allowed or masked.allowed:
            return Decision(Verdict.REVEAL_DENIED, (plain if plain.allowed else masked).permits)
        granted = masked if masked.permits else plain
        return self._denied(granted) if granted.permits else Decision(Verdict.PURPOSE_DENIED)

    def _denied(self, ruling: Ruling) -> Decision:
        _, reason = foremost(ruling.forbids, self._compiled.reasons)
        return Decision(Verdict[reason.name], ruling.forbids, ruling.permits)

    def _ask(
        self, action: str, field_classes: Sequence[str], context: str, trained: bool
    ) -> dict[str, Ruling]:
        questions = [Question(action, ("FieldClass", name), context) for name in field_classes]
        return dict(zip(field_classes, self._book(trained).ask(questions), strict=True))

    def _book(self, trained: bool) -> Rulebook:
        book = self._books.get(trained)
        if book is None:
            book = self._books[trained] = self._compiled.rulebook(self._principal, trained)
        return book
