"""Answers to and from messages."""

import pytest
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as pb

from vault.errors import InvalidRequestError, Reason
from vault.fields.derived import Question
from vault.model.access import Denial, Reveal
from vault.model.answers import Comparisons, DerivedAnswers, Pseudonyms
from vault.server import convert_answers

DENIED = [Denial(1, Reason.QUESTION_UNFIT)]


def test_a_question_is_taken_as_it_is_asked() -> None:
    message = pb.DerivedQuestion(token="t", question=common_pb2.REVEAL_AGE_OVER, age=18, country="DE")
    assert convert_answers.to_question(message) == Question(Reveal.AGE_OVER, 18, "DE")
    with pytest.raises(InvalidRequestError):
        convert_answers.to_question(pb.DerivedQuestion(question=99))  # type: ignore[arg-type]


def test_answers_keep_their_places_and_kinds() -> None:
    derived = convert_answers.derived(DerivedAnswers([False, None, "DE", True], DENIED))
    assert [each.WhichOneof("answer") for each in derived.answers] == ["yes", None, "text", "yes"]
    assert [each.yes for each in derived.answers] == [False, False, False, True]
    assert derived.answers[2].text == "DE"
    made = convert_answers.pseudonyms(Pseudonyms(2, ["p", ""], DENIED))
    assert (list(made.pseudonyms), made.generation) == (["p", ""], 2)
    compared = convert_answers.comparisons(Comparisons([True, False], DENIED))
    assert list(compared.equal) == [True, False]
    for reply in (derived, made, compared):
        assert [error.index for error in reply.errors] == [1]
