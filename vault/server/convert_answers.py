"""Pseudonyms, comparisons and derived answers: from and to protobuf."""

from collections.abc import Sequence

from customervault.v1 import token_service_pb2 as pb

from vault.fields.derived import Question
from vault.model.access import Denial
from vault.model.answers import Comparisons, DerivedAnswers, Pseudonyms
from vault.server import metrics
from vault.server.convert import add_denials, to_reveal


def to_question(message: pb.DerivedQuestion) -> Question:
    """A question without its token.

    Raises:
        InvalidRequestError: its kind is no `Reveal`.
    """
    return Question(to_reveal(message.question), message.age, message.country)


def pseudonyms(model: Pseudonyms) -> pb.PseudonymizeResponse:
    """The reply of Pseudonymize."""
    response = pb.PseudonymizeResponse(pseudonyms=model.pseudonyms, generation=model.generation)
    _deny(response, model.denials)
    return response


def comparisons(model: Comparisons) -> pb.CompareResponse:
    """The reply of Compare."""
    response = pb.CompareResponse(equal=model.equal)
    _deny(response, model.denials)
    return response


def derived(model: DerivedAnswers) -> pb.DeriveResponse:
    """The reply of Derive."""
    response = pb.DeriveResponse(answers=[_answer(each) for each in model.answers])
    _deny(response, model.denials)
    return response


def _answer(answer: str | bool | None) -> pb.DerivedAnswer:
    if isinstance(answer, bool):
        return pb.DerivedAnswer(yes=answer)
    return pb.DerivedAnswer() if answer is None else pb.DerivedAnswer(text=answer)


def _deny(
    response: pb.PseudonymizeResponse | pb.CompareResponse | pb.DeriveResponse, denials: Sequence[Denial]
) -> None:
    add_denials(response.errors, denials)
    for denial in denials:
        metrics.DENIED.labels(denial.reason.value).inc()
