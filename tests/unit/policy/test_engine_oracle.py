"""The engine and a second opinion, over the full product of reduced inputs."""

from collections.abc import Sequence
from itertools import product

import pytest

from tests.unit.policy.oracle import Read, answer
from tests.unit.policy.world import CLASSES, compiled, judge, question
from vault.model.access import Reveal
from vault.policy.cedar import Question, Rulebook, Ruling
from vault.policy.examples import name_of
from vault.policy.explaining import explain
from vault.policy.reads import Reads
from vault.policy.verdicts import DENIALS

CONSENTS = ("none", "given", "withdrawn", "objected")
STATED = ("", "consent", "contract", "legitimate_interests")
PLACES = ("", "DE", "US")
VALUES = ("BEST", "PLAIN", "MASKED")
ANSWERS = ("PSEUDONYM", "COMPARE", "COUNTRY")
TWO = (False, True)


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many reads come down to one question; Cedar, which takes nearly all of the time, is asked it once."""
    ask, known = Rulebook.ask, dict[tuple[Rulebook, Question], Ruling]()

    def remembering(book: Rulebook, questions: Sequence[Question]) -> list[Ruling]:
        new = list(dict.fromkeys(each for each in questions if (book, each) not in known))
        known.update(zip(((book, each) for each in new), ask(book, new), strict=True))
        return [known[book, each] for each in questions]

    monkeypatch.setattr(Rulebook, "ask", remembering)


def named(verdict: int, wanted: str) -> str:
    """Of a table or of a decision: a table has PLAIN where an answer may be told."""
    if verdict in DENIALS:
        return DENIALS[verdict].value
    return wanted if wanted in ANSWERS else Reveal(verdict).name


@pytest.mark.parametrize("purpose", ["service", "marketing", "claims", "emergency", "screening"])
@pytest.mark.parametrize("principal", ["agent", "desk", "stranger", "analyst"])
def test_every_answer_is_the_oracles(principal: str, purpose: str) -> None:
    asked = judge(principal)
    approvals = TWO if purpose == "emergency" else (False,)
    several = set()
    for consent, stated, place, restricted, expired, trained, approved in product(
        CONSENTS, STATED, PLACES, TWO, TWO, TWO, approvals
    ):
        base = Read(
            principal, purpose, "", "BEST", stated, consent, place, restricted, expired, trained, approved
        )
        one = question(base)
        circumstances = asked.circumstances(purpose, one.basis, one.situation, break_glass=approved)
        for several_wanted in (VALUES, *[(each,) for each in ANSWERS[:2]]):
            found = asked.find(circumstances, CLASSES, trained=trained, wanted=Reveal[several_wanted[0]])
            for field_class, wanted in product(CLASSES, several_wanted):
                read = base._replace(field_class=field_class, wanted=wanted)
                verdict = named(asked.decide(found[field_class], Reveal[wanted]).verdict, wanted)
                assert verdict == answer(read), read
                several.add(verdict)
    assert len(several) > (principal != "stranger")


@pytest.mark.parametrize("principal", ["agent", "desk", "analyst"])
def test_tables_and_explanations_agree(principal: str) -> None:
    numbers = {name: number for number, name in enumerate(CLASSES, 5)}
    for purpose, stated, trained in product(["marketing", "claims"], ("", "consent"), TWO):
        for wanted in VALUES + ANSWERS:
            first = Read(principal, purpose, "name", wanted, stated, "none", "", False, False, trained, False)
            basis = question(first).basis
            reads = Reads(judge(principal), purpose, 1, Reveal[wanted], basis, numbers, trained=trained)
            for consent, place, restricted in product(CONSENTS, PLACES, TWO):
                read = first._replace(consent=consent, jurisdiction=place, restricted=restricted)
                table = reads.table(question(read).situation)
                for field_class, number in numbers.items():
                    asked = read._replace(field_class=field_class)
                    told = explain(compiled(), judge(principal), question(asked))
                    assert named(table[number], wanted) == answer(asked) == name_of(told)
                assert not any(table[number] for number in range(256) if number not in numbers.values())
