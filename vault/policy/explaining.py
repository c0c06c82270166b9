"""Says why a read is answered as it is: the deciding lines, guards or rules, and what would have to change.

The verdict comes from the same judgement that serves reads. Nothing here looks at a value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vault.errors import Reason
from vault.model.access import ANSWERS, Reveal
from vault.model.consent import LawfulBasis
from vault.model.situation import Situation
from vault.policy.compiling import Compiled
from vault.policy.judging import Decision, Judge
from vault.policy.rules import Rules, spell
from vault.policy.verdicts import DENIALS, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """A read of one field class. `situation` is the class's own: nothing in it is by class."""

    principal: str
    purpose: str
    field_class: str
    reveal: Reveal = Reveal.BEST
    basis: LawfulBasis | None = None
    situation: Situation = field(default_factory=Situation)
    trained: bool = True
    break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer.

    Attributes:
        reveal: PLAIN, MASKED, the answer that was asked for, or NONE.
        reason: of a denial.
        basis: the lawful basis that was judged by.
        deciders: lines of the policy that grant, or guards and rules that forbid, the foremost first.
        granted_by: of what is forbidden, the lines that would grant it.
        text: the same in a sentence.
        changes: what would have to change for more to be revealed; all of them together.
    """

    reveal: Reveal
    reason: Reason | None
    basis: LawfulBasis | None
    deciders: tuple[str, ...]
    granted_by: tuple[str, ...]
    text: str
    changes: tuple[str, ...] = ()


def explain(compiled: Compiled, judge: Judge, question: Question) -> Explanation:
    """Explains a read; the principal of `judge` is the question's."""
    policy = compiled.policy
    who, what = spell(question.principal), f"{spell(question.field_class)} for {spell(question.purpose)}"
    if question.purpose not in policy.purposes:
        return _unknown(f"{who} does not read {what}: the policy declares no such purpose.")
    if question.field_class not in compiled.field_classes:
        return _unknown(f"{who} does not read {what}: there is no such field class.")
    circumstances = judge.circumstances(
        question.purpose, question.basis, question.situation, break_glass=question.break_glass
    )
    found = judge.find(
        circumstances, [question.field_class], trained=question.trained, wanted=question.reveal
    )
    decision = judge.decide(found[question.field_class], question.reveal)
    deciders = _in_order(decision.deciders, tuple(compiled.annotated))
    basis = circumstances.basis
    if decision.verdict not in DENIALS:
        reveal = question.reveal if decision.verdict is Verdict.ANSWERED else Reveal(decision.verdict)
        approved = question.break_glass and policy.purposes[question.purpose].break_glass
        during = ", while an approval is in force" if approved else ""
        text = f"{who} {_granted(reveal, what)}, because of {' and '.join(deciders)}{during}."
        return Explanation(reveal, None, basis, deciders, (), text)
    reason = DENIALS[decision.verdict]
    refused = f"is not told {question.reveal.name} of" if question.reveal in ANSWERS else "does not read"
    return Explanation(
        Reveal.NONE,
        reason,
        basis,
        deciders,
        decision.granted_by,
        f"{who} {refused} {what}: {_why(compiled, question, decision, deciders)}.",
        tuple(_changes(compiled, question, decision, deciders)),
    )


def _granted(reveal: Reveal, what: str) -> str:
    if reveal in ANSWERS:
        return f"is told {reveal.name} of {what}"
    return f"reads {what} {'in plain' if reveal is Reveal.PLAIN else 'masked'}"


def _unknown(text: str) -> Explanation:
    return Explanation(Reveal.NONE, Reason.PURPOSE_DENIED, None, (), (), text, ("name one that is declared",))


def _in_order(deciders: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    known = [policy for policy in order if policy in deciders]
    return (*known, *sorted(set(deciders) - set(known)))


def _why(compiled: Compiled, question: Question, decision: Decision, deciders: Sequence[str]) -> str:
    if not deciders:
        return "no line of the policy grants it"
    if decision.verdict is Verdict.REVEAL_DENIED and not decision.granted_by:
        if question.reveal in ANSWERS:
            return f"only the value is granted, by {' and '.join(deciders)}"
        return f"only the masked value is granted, by {' and '.join(deciders)}"
    granted = f", although {' and '.join(decision.granted_by)} would grant it"
    rule = compiled.annotated[deciders[0]]
    because = rule.annotations.get("because", "a rule of this policy forbids it")
    return f"{because} ({rule.id}){granted}"


def _changes(
    compiled: Compiled, question: Question, decision: Decision, deciders: Sequence[str]
) -> Iterator[str]:
    if decision.verdict is Verdict.REVEAL_DENIED and not decision.granted_by:
        if question.reveal in ANSWERS:
            yield f'add "{question.reveal.name}" to {deciders[0]}'
        else:
            yield f'ask for the masked value, or grant "PLAIN" in {deciders[0]}'
        return
    if not deciders:
        rules = compiled.policy.own.get(question.principal, Rules())
        holder = f"roles.{rules.roles[0]}" if rules.roles else f"principals.{spell(question.principal)}"
        line = f"{holder}.reveal.{spell(question.purpose)}.{spell(question.field_class)}"
        yield f'a line such as {line} = "{question.reveal.name if question.reveal in ANSWERS else "MASKED"}"'
        return
    for policy in deciders:
        annotations = compiled.annotated[policy].annotations
        yield annotations.get("change", f"the rule {policy} would have to let it pass")
