"""Verbs of `TokenService` that tell something of values without revealing them.

Batches of one call may go at the same time. Items answered REPLY_FULL are asked for again until a reply
brings nothing new.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from customervault import _convert
from customervault._exchange import Exchange, Request, batches
from customervault._status import error_of_status
from customervault.answers import Comparison, Derived, Pseudonym
from customervault.errors import InvalidRequestError, ReplyFullError, VaultError
from customervault.inputs import Question
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api
from customervault.values import LawfulBasis, QuestionKind

_SERVICE = "/customervault.v1.TokenService/"
Item = TypeVar("Item")
Told = TypeVar("Told")
_Ask = Callable[[list[Item]], Generator[Request, Any, tuple[Sequence[Told], Sequence[common_pb2.ItemError]]]]


def pseudonymize_batches(
    tokens: Iterable[str],
    *,
    purpose: str,
    basis: LawfulBasis | None,
    domain: str,
    generation: int,
    max_batch: int,
) -> list[Exchange[list[Pseudonym]]]:
    """Join keys, one exchange per batch."""
    number = _convert.basis_number(basis)

    def ask(
        batch: list[str],
    ) -> Generator[Request, Any, tuple[Sequence[Pseudonym], Sequence[common_pb2.ItemError]]]:
        message = api.PseudonymizeRequest(
            tokens=batch, purpose=purpose, lawful_basis=number, domain=domain, generation=generation
        )
        reply: api.PseudonymizeResponse = yield Request(
            _SERVICE + "Pseudonymize", message, api.PseudonymizeResponse
        )
        return [Pseudonym(text, reply.generation) for text in reply.pseudonyms], reply.errors

    def failed(error: VaultError) -> Pseudonym:
        return Pseudonym("", 0, error)

    return [_until_told(batch, ask, failed) for batch in batches(tokens, max_batch)]


def compare_batches(
    pairs: Iterable[tuple[str, str]],
    *,
    purpose: str,
    basis: LawfulBasis | None,
    domain: str,
    max_batch: int,
) -> list[Exchange[list[Comparison]]]:
    """Whether values are equal, one exchange per batch."""
    number = _convert.basis_number(basis)

    def ask(
        batch: list[tuple[str, str]],
    ) -> Generator[Request, Any, tuple[Sequence[Comparison], Sequence[common_pb2.ItemError]]]:
        message = api.CompareRequest(
            pairs=[api.TokenPair(left=left, right=right) for left, right in batch],
            purpose=purpose,
            lawful_basis=number,
            domain=domain,
        )
        reply: api.CompareResponse = yield Request(_SERVICE + "Compare", message, api.CompareResponse)
        return [Comparison(equal) for equal in reply.equal], reply.errors

    def failed(error: VaultError) -> Comparison:
        return Comparison(False, error)

    return [_until_told(batch, ask, failed) for batch in batches(pairs, max(1, max_batch // 2))]


def derive_batches(
    questions: Iterable[Question],
    *,
    purpose: str,
    basis: LawfulBasis | None,
    domain: str,
    time_zone: str,
    max_batch: int,
) -> list[Exchange[list[Derived]]]:
    """Derived answers, one exchange per batch."""
    number = _convert.basis_number(basis)

    def ask(
        batch: list[Question],
    ) -> Generator[Request, Any, tuple[Sequence[Derived], Sequence[common_pb2.ItemError]]]:
        message = api.DeriveRequest(
            questions=[
                api.DerivedQuestion(
                    token=each.token, question=_kind(each.kind), age=each.age, country=each.country
                )
                for each in batch
            ],
            purpose=purpose,
            lawful_basis=number,
            domain=domain,
            time_zone=time_zone,
        )
        reply: api.DeriveResponse = yield Request(_SERVICE + "Derive", message, api.DeriveResponse)
        return [Derived(_answer(each)) for each in reply.answers], reply.errors

    def failed(error: VaultError) -> Derived:
        return Derived(None, error)

    return [_until_told(batch, ask, failed) for batch in batches(questions, max_batch)]


def _until_told(
    batch: list[Item], ask: _Ask[Item, Told], failed: Callable[[VaultError], Told]
) -> Exchange[list[Told]]:
    told: dict[int, Told] = {}
    left = list(range(len(batch)))
    while left:
        answers, errors = yield from ask([batch[at] for at in left])
        refused = {error.index: error_of_status(error.status) for error in errors}
        again = []
        for index, (at, answer) in enumerate(zip(left, answers, strict=True)):
            error = refused.get(index)
            told[at] = answer if error is None else failed(error)
            if isinstance(error, ReplyFullError):
                again.append(at)
        if len(again) == len(left):
            break
        left = again
    return [told[at] for at in range(len(batch))]


def _kind(name: QuestionKind) -> "common_pb2.Reveal.ValueType":
    if name not in _convert.QUESTION_KINDS:
        raise InvalidRequestError(f"a question is one of {', '.join(_convert.QUESTION_KINDS)}")
    return _convert.ANSWERS[name]


def _answer(message: api.DerivedAnswer) -> str | bool | None:
    kind = message.WhichOneof("answer")
    return None if kind is None else message.yes if kind == "yes" else message.text
