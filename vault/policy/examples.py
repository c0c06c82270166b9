"""Examples: questions that the policy document asks itself, with the answers that it has to give.

    [[examples]]
    principal, expect                    "PLAIN", "MASKED", an answer ("PSEUDONYM"), "ALLOWED" or a reason
    purpose, field_class                 of a read; with reveal, basis, jurisdiction, consent, restricted,
                                         expired, held, trained, break_glass, all optional
    action                               of an act, instead; with trained

Unless it says otherwise an example is of a customer without consents, restrictions and jurisdiction, of a
principal whose training is valid, and without an approval. A policy whose example fails is refused.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from vault.errors import PolicyInvalidError, Reason
from vault.model.access import Action, Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.ids import is_jurisdiction
from vault.model.situation import Situation
from vault.policy.compiling import Compiled
from vault.policy.explaining import Explanation, Question, explain
from vault.policy.judging import Judge
from vault.policy.reading import Reader, Table
from vault.policy.rules import Example, Policy, spell
from vault.policy.verdicts import DENIALS

ALLOWED: Final = "ALLOWED"
_READ_KEYS: Final = (
    "purpose", "field_class", "reveal", "basis", "jurisdiction", "consent", "restricted", "expired", "held",
    "break_glass",
)  # fmt: skip
_ACT_KEYS: Final = ("action",)
_COMMON_KEYS: Final = ("principal", "expect", "trained")
_CONSENTS: Final = {state.name.lower(): state for state in ConsentState}
_REVEALS: Final = {each.name: each for each in Reveal if each is not Reveal.NONE}
_READ_ANSWERS: Final = (
    *[name for name in _REVEALS if name != Reveal.BEST.name], *sorted(DENIALS.values())
)  # fmt: skip
_ACT_ANSWERS: Final = (ALLOWED, Reason.ACTION_DENIED.value)
_BASES: Final = {basis.value: basis for basis in LawfulBasis}
_ACTIONS: Final = {action.value: action for action in Action}


class Outcome(NamedTuple):
    """An example that was run; `explanation` is a sentence."""

    example: Example
    got: str
    explanation: str

    @property
    def passed(self) -> bool:
        """Whether the policy answers as expected."""
        return self.got == self.example.expect


def read_examples(reader: Reader, value: object, names: Mapping[str, Collection[str]]) -> tuple[Example, ...]:
    """The examples of a document; `names` are those declared: `principal`, `purpose`, `field_class`."""
    if not isinstance(value, list):
        reader.problem(("examples",), "has to be a list of tables, each written [[examples]]")
        return ()
    found = []
    for number, each in enumerate(value, 1):
        where = ("examples", str(number))
        found.append(_example(reader, where, reader.table(where, each), names))
    return tuple(found)


def run_examples(policy: Policy, field_classes: Collection[str]) -> list[Outcome]:
    """Asks the policy every example."""
    compiled = Compiled(policy, field_classes)
    judges = {example.principal: Judge(compiled, example.principal) for example in policy.examples}
    return [_run(compiled, judges[example.principal], example) for example in policy.examples]


def require_sound(policy: Policy, field_classes: Collection[str]) -> None:
    """Holds everything that a policy became against Cedar's schema, and runs its examples.

    Raises:
        PolicyInvalidError: an example fails; says which and why.
    """
    failures = Compiled(policy, field_classes).problems()
    for outcome in run_examples(policy, field_classes):
        if not outcome.passed:
            line, expect = outcome.example.line, outcome.example.expect
            failures.append(f"{line}: expected {expect}, got {outcome.got}: {outcome.explanation}")
    if failures:
        raise PolicyInvalidError("\n".join(failures)[:4000], problems=str(len(failures)))


def name_of(answer: Explanation) -> str:
    """PLAIN, MASKED or the reason."""
    return answer.reason.value if answer.reason else answer.reveal.name


def _run(compiled: Compiled, judge: Judge, example: Example) -> Outcome:
    if example.action:
        ruling = judge.acts(trained=example.trained)[_ACTIONS[example.action]]
        got = ALLOWED if ruling.allowed else Reason.ACTION_DENIED.value
        deciders = " and ".join(ruling.forbids or ruling.permits)
        because = f"because of {deciders}" if deciders else "for no line of the policy grants it"
        may = "may" if ruling.allowed else "may not"
        return Outcome(example, got, f"{spell(example.principal)} {may} {example.action}, {because}.")
    question = Question(
        principal=example.principal,
        purpose=example.purpose,
        field_class=example.field_class,
        reveal=example.reveal,
        basis=example.basis,
        situation=example.situation,
        trained=example.trained,
        break_glass=example.break_glass,
    )
    answer = explain(compiled, judge, question)
    return Outcome(example, name_of(answer), answer.text)


def _example(
    reader: Reader, where: tuple[str, ...], table: Table, names: Mapping[str, Collection[str]]
) -> Example:
    of_act = "action" in table
    reader.known_keys(where, table, (*_COMMON_KEYS, *(_ACT_KEYS if of_act else _READ_KEYS)))
    required = ("principal", "expect", *(("action",) if of_act else ("purpose", "field_class")))
    for key in required:
        if key not in table:
            reader.problem((*where, key), "is missing")
    answers = _ACT_ANSWERS if of_act else _READ_ANSWERS
    jurisdiction = reader.text(where, table, "jurisdiction")
    if jurisdiction and not is_jurisdiction(jurisdiction):
        reader.problem((*where, "jurisdiction"), 'has to be a code such as "DE"')
    reveal = reader.choice(where, table, "reveal", _REVEALS, "reveal")
    basis = reader.choice(where, table, "basis", _BASES, "lawful basis")
    consent = reader.choice(where, table, "consent", _CONSENTS, "consent")
    return Example(
        line=".".join(where),
        principal=reader.choice(where, table, "principal", names["principal"], "principal"),
        expect=reader.choice(where, table, "expect", answers, "answer"),
        purpose=reader.choice(where, table, "purpose", names["purpose"], "purpose"),
        field_class=reader.choice(where, table, "field_class", names["field_class"], "field class"),
        action=reader.choice(where, table, "action", _ACTIONS, "action"),
        reveal=_REVEALS.get(reveal, Reveal.BEST),
        basis=_BASES.get(basis),
        situation=Situation(
            consent=_CONSENTS.get(consent, ConsentState.NONE),
            jurisdiction=jurisdiction,
            restricted=reader.flag(where, table, "restricted"),
            held=reader.flag(where, table, "held"),
            expired=reader.flag(where, table, "expired"),
        ),
        trained=reader.flag(where, table, "trained", otherwise=True),
        break_glass=reader.flag(where, table, "break_glass"),
    )
