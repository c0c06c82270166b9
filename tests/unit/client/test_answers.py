"""How calls that tell something of values are split, go on and fail item by item."""

from typing import Any

import grpc
import pytest
from customervault import errors
from customervault.answers import Derived
from customervault.inputs import Question
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api

from tests.unit.client.scripted_vault import Failure, ScriptedVault

DENIED = Failure(grpc.StatusCode.PERMISSION_DENIED, "REVEAL_DENIED")
FULL = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "REPLY_FULL")
UNFIT = Failure(grpc.StatusCode.INVALID_ARGUMENT, "QUESTION_UNFIT")


def pseudonyms(request: Any, at_most: int = 10) -> api.PseudonymizeResponse:
    """`of <token>`; tokens that say `bad` are denied, those beyond `at_most` do not fit."""
    reply = api.PseudonymizeResponse(generation=3)
    for index, token in enumerate(request.tokens):
        failed = FULL if index >= at_most else DENIED if token.startswith("bad") else None
        reply.pseudonyms.append("" if failed else f"of {token}")
        if failed:
            reply.errors.append(failed.item(index))
    return reply


def test_pseudonyms_come_back_in_order_over_batches_and_full_replies(
    server: ScriptedVault, connect: Any
) -> None:
    server.on("Pseudonymize", lambda request: pseudonyms(request, at_most=2))
    tokens = ["a", "b", "bad", "c", "d", "e", "f"]
    vault = connect(max_batch=5, purpose="support", domain="crm")
    told = vault.pseudonymize(tokens, generation=3, basis="contract")
    assert [each.text for each in told] == ["of a", "of b", "", "of c", "of d", "of e", "of f"]
    assert {each.generation for each in told if each.error is None} == {3}
    with pytest.raises(errors.RevealDeniedError):
        told[2].get()
    for request in server.requests("Pseudonymize"):
        assert (request.purpose, request.domain, request.generation) == ("support", "crm", 3)
        assert request.lawful_basis == common_pb2.LAWFUL_BASIS_CONTRACT


def test_a_reply_that_brings_nothing_new_ends_the_asking(server: ScriptedVault, connect: Any) -> None:
    server.on("Pseudonymize", lambda request: pseudonyms(request, at_most=0))
    (told,) = connect().pseudonymize(["a"], purpose="support")
    assert isinstance(told.error, errors.ReplyFullError)
    assert len(server.requests("Pseudonymize")) == 1


def test_pairs_are_sent_by_half_a_batch(server: ScriptedVault, connect: Any) -> None:
    def compared(request: Any) -> api.CompareResponse:
        reply = api.CompareResponse(equal=[pair.left == pair.right for pair in request.pairs])
        for index, pair in enumerate(request.pairs):
            if pair.left == "iban":
                reply.errors.append(UNFIT.item(index))
        return reply

    server.on("Compare", compared)
    pairs = [("a", "a"), ("a", "b"), ("iban", "a"), ("c", "c"), ("d", "d")]
    told = connect(max_batch=4).compare(pairs, purpose="dedup")
    assert [each.equal for each in told] == [True, False, False, True, True]
    assert isinstance(told[2].error, errors.QuestionUnfitError)
    assert sorted(len(request.pairs) for request in server.requests("Compare")) == [1, 2, 2]


def test_questions_carry_what_they_take(server: ScriptedVault, connect: Any) -> None:
    answers = [api.DerivedAnswer(yes=False), api.DerivedAnswer(text="10"), api.DerivedAnswer()]
    server.script("Derive", api.DeriveResponse(answers=answers))
    told = connect().derive(
        [
            Question("a", "age_over", age=18),
            Question("b", "postcode_area", country="DE"),
            Question("c", "card_bin"),
        ],
        purpose="p",
        time_zone="Europe/Berlin",
    )
    assert [each.answer for each in told] == [False, "10", None]
    assert told[0].get() is False
    with pytest.raises(errors.VaultError):
        told[2].get()  # an answer of a form that is newer than the client
    (request,) = server.requests("Derive")
    assert [each.question for each in request.questions] == [
        common_pb2.REVEAL_AGE_OVER, common_pb2.REVEAL_POSTCODE_AREA, common_pb2.REVEAL_CARD_BIN,
    ]  # fmt: skip
    assert (request.questions[0].age, request.questions[1].country) == (18, "DE")
    assert (request.purpose, request.time_zone) == ("p", "Europe/Berlin")
    assert Derived(True).get() is True


def test_what_is_no_question_is_not_sent(server: ScriptedVault, connect: Any) -> None:
    for kind in ("shoe_size", "pseudonym", "compare"):
        with pytest.raises(errors.InvalidRequestError):
            connect().derive([Question("a", kind)], purpose="p")  # type: ignore[arg-type]
    assert server.received == []
