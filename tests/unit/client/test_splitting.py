import threading
import uuid
from typing import Any

import grpc
import pytest
from customervault import CustomerRef, Entry, Field, errors
from customervault.v1 import common_pb2, customer_service_pb2
from customervault.v1 import token_service_pb2 as api

from tests.unit.client.scripted_vault import Failure, ScriptedVault

DENIED = Failure(grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_DENIED")
FULL = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "REPLY_FULL")


def reveal(request: Any, at_most: int | None = None) -> api.DetokenizeResponse:
    """`value of <token>`; tokens that say `bad` are denied, those beyond `at_most` do not fit."""
    reply = api.DetokenizeResponse()
    for index, token in enumerate(request.tokens):
        full = at_most is not None and index >= at_most
        failed = FULL if full else DENIED if token.startswith("bad") else None
        reply.values.append("" if failed else f"value of {token}")
        reply.reveals.append(common_pb2.REVEAL_UNSPECIFIED if failed else common_pb2.REVEAL_PLAIN)
        if failed:
            reply.errors.append(failed.item(index))
    return reply


def test_values_come_back_in_order_over_many_batches(server: ScriptedVault, connect: Any) -> None:
    server.on("Detokenize", reveal)
    tokens = [f"{'bad' if at % 7 == 3 else 'tok'}{at}" for at in range(45)]
    values = connect(max_batch=10, channels=3).detokenize(tokens, purpose="support")
    assert sorted(len(request.tokens) for request in server.requests("Detokenize")) == [5, 10, 10, 10, 10]
    assert [value.ok for value in values] == [token.startswith("tok") for token in tokens]
    assert values.plain_list(default="-") == [
        f"value of {token}" if token.startswith("tok") else "-" for token in tokens
    ]
    assert set(values.errors) == {at for at in range(45) if at % 7 == 3}


def test_batches_are_sent_at_the_same_time_over_the_channels(server: ScriptedVault, connect: Any) -> None:
    together = threading.Barrier(2, timeout=5)

    def wait_for_the_other(request: Any) -> api.DetokenizeResponse:
        together.wait()
        return reveal(request)

    server.on("Detokenize", wait_for_the_other)
    values = connect(max_batch=1, channels=2).detokenize(["a", "b"], purpose="support")
    assert values.plain_list() == ["value of a", "value of b"]
    assert len({seen.peer for seen in server.received}) == 2


def test_items_that_did_not_fit_are_asked_for_again(server: ScriptedVault, connect: Any) -> None:
    server.on("Detokenize", lambda request: reveal(request, at_most=4))
    tokens = ["a", "bad1", "c", "d", "e", "bad2", "g", "h", "i", "j"]
    values = connect().detokenize(tokens, purpose="support")
    assert [list(request.tokens) for request in server.requests("Detokenize")] == [
        tokens,
        tokens[4:],
        tokens[8:],
    ]
    assert values.plain_list(default="-") == [
        "-" if token.startswith("bad") else f"value of {token}" for token in tokens
    ]
    assert set(values.errors) == {1, 5}
    assert all(isinstance(error, errors.PurposeDeniedError) for error in values.errors.values())


def test_a_reply_that_brings_nothing_new_ends_the_asking(server: ScriptedVault, connect: Any) -> None:
    server.on("Detokenize", lambda request: reveal(request, at_most=0))
    values = connect().detokenize(["a", "b"], purpose="support")
    assert len(server.requests("Detokenize")) == 1
    with pytest.raises(errors.ReplyFullError):
        values[0].get()


def test_one_failing_batch_fails_the_call(server: ScriptedVault, connect: Any) -> None:
    server.on("Detokenize", lambda request: DENIED if "bad" in request.tokens else reveal(request))
    with pytest.raises(errors.PurposeDeniedError):
        connect(max_batch=1).detokenize(["a", "bad", "c"], purpose="support")


def test_no_tokens_need_no_call(server: ScriptedVault, connect: Any) -> None:
    assert len(connect().detokenize([])) == 0
    assert server.received == []


def test_one_token_may_be_given_bare(server: ScriptedVault, connect: Any) -> None:
    server.on("Detokenize", reveal)
    assert connect(purpose="support").detokenize("cv1_ab")[0].get() == "value of cv1_ab"
    assert list(server.requests("Detokenize")[0].tokens) == ["cv1_ab"]


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("best", common_pb2.REVEAL_BEST),
        ("plain", common_pb2.REVEAL_PLAIN),
        ("masked", common_pb2.REVEAL_MASKED),
    ],
)
def test_purpose_and_reveal_are_sent(server: ScriptedVault, connect: Any, word: str, number: int) -> None:
    server.on("Detokenize", reveal)
    vault = connect(purpose="support")
    vault.detokenize(["a"], reveal=word)
    vault.detokenize(["a"], purpose="billing", reveal=word)
    vault.detokenize(["a"], purpose="", reveal=word)
    assert [(r.purpose, r.reveal) for r in server.requests("Detokenize")] == [
        ("support", number),
        ("billing", number),
        ("", number),
    ]


def test_a_wrong_reveal_is_refused_before_the_call(server: ScriptedVault, connect: Any) -> None:
    with pytest.raises(errors.InvalidRequestError):
        connect().detokenize(["a"], reveal="all")
    assert server.received == []


def test_the_level_given_is_stated(server: ScriptedVault, connect: Any) -> None:
    server.script(
        "Detokenize",
        api.DetokenizeResponse(
            values=["ada@example.org", "a***@example.org", ""],
            reveals=[common_pb2.REVEAL_PLAIN, common_pb2.REVEAL_MASKED, common_pb2.REVEAL_UNSPECIFIED],
            errors=[DENIED.item(2)],
        ),
    )
    values = connect().detokenize(["a", "b", "c"], purpose="support")
    assert [value.reveal_level for value in values] == ["plain", "masked", None]


def issue(request: Any) -> api.BatchTokenizeResponse:
    """A token per field that tells customer and value; the value `bad` is refused."""
    refused = Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE").status()
    reply = api.BatchTokenizeResponse()
    for entry in request.entries:
        result = reply.results.add(customer_token=f"customer {entry.customer.external_id}")
        for field in entry.fields:
            if field.value == "bad":
                result.results.add(outcome=api.FIELD_OUTCOME_REFUSED, error=refused)
            else:
                token = f"{entry.customer.external_id}/{field.value}"
                result.results.add(token=token, outcome=api.FIELD_OUTCOME_CREATED)
    return reply


def test_entries_are_split_by_fields_and_answered_in_order(server: ScriptedVault, connect: Any) -> None:
    server.on("BatchTokenize", issue)
    entries = [Entry(f"c{at}", {"email": f"e{at}", "phone": f"p{at}"}) for at in range(5)]
    answers = connect(max_batch=4).tokenize_many(entries, domain="crm")
    requests = server.requests("BatchTokenize")
    assert [[entry.customer.external_id for entry in request.entries] for request in requests] == [
        ["c0", "c1"],
        ["c2", "c3"],
        ["c4"],
    ]
    assert {request.domain for request in requests} == {"crm"}
    assert [answer.tokens for answer in answers] == [
        {"email": f"c{at}/e{at}", "phone": f"c{at}/p{at}"} for at in range(5)
    ]


def test_entries_are_split_by_size_too(server: ScriptedVault, connect: Any) -> None:
    server.on("BatchTokenize", issue)
    entries = [Entry(f"c{at}", {"note": "x" * 60_000}) for at in range(100)]
    assert len(connect().tokenize_many(entries)) == 100
    sizes = [request.ByteSize() for request in server.requests("BatchTokenize")]
    assert len(sizes) == 2
    assert max(sizes) < 4 * 1024 * 1024


def test_an_entry_larger_than_a_batch_is_not_divided(server: ScriptedVault, connect: Any) -> None:
    server.on("BatchTokenize", issue)
    wide = Entry("c0", [Field("note", f"n{at}", str(at)) for at in range(5)])
    connect(max_batch=2).tokenize_many([wide, Entry("c1", {"note": "n"})])
    assert [[len(e.fields) for e in r.entries] for r in server.requests("BatchTokenize")] == [[5], [1]]


def test_repeating_a_split_call_repeats_each_request_id(server: ScriptedVault, connect: Any) -> None:
    server.on("BatchTokenize", issue)
    entries = [Entry(f"c{at}", {"email": "e"}) for at in range(3)]
    base = str(uuid.uuid4())
    vault = connect(max_batch=1)
    vault.tokenize_many(entries, request_id=base)
    vault.tokenize_many(entries, request_id=base)
    ids = [request.request_id for request in server.requests("BatchTokenize")]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3
    assert ids[0] == base
    assert all(str(uuid.UUID(one)) == one for one in ids)


def test_an_atomic_call_is_never_split(server: ScriptedVault, connect: Any) -> None:
    server.on("BatchTokenize", issue)
    connect(max_batch=1).tokenize_many([Entry("a", {"email": "e"}), Entry("b", {"email": "e"})], atomic=True)
    (request,) = server.requests("BatchTokenize")
    assert request.mode == common_pb2.BATCH_MODE_ATOMIC
    assert len(request.entries) == 2


def test_a_refused_entry_and_a_refused_field_answer_in_place(server: ScriptedVault, connect: Any) -> None:
    def answer(request: Any) -> api.BatchTokenizeResponse:
        reply = issue(request)
        reply.results[1].Clear()
        reply.results[1].error.CopyFrom(Failure(grpc.StatusCode.NOT_FOUND, "CUSTOMER_UNKNOWN").status())
        return reply

    server.on("BatchTokenize", answer)
    good, unknown, partial = connect().tokenize_many(
        [
            Entry("a", {"email": "e"}),
            Entry(CustomerRef(token="cv1_0"), {"email": "e"}),
            Entry("c", {"email": "bad", "phone": "p"}),
        ]
    )
    assert good.ok
    assert isinstance(unknown.error, errors.CustomerUnknownError)
    with pytest.raises(errors.CustomerUnknownError):
        unknown.token("email")
    assert not partial.ok
    assert partial.tokens == {"phone": "c/p"}
    with pytest.raises(errors.InvalidValueError):
        partial.token("email")
    assert server.requests("BatchTokenize")[0].entries[1].customer.token == "cv1_0"


def test_shreds_are_split_and_keep_their_order(server: ScriptedVault, connect: Any) -> None:
    gone = Failure(grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_SHREDDED").status()

    def answer(request: Any) -> customer_service_pb2.BatchShredCustomersResponse:
        reply = customer_service_pb2.BatchShredCustomersResponse()
        for customer in request.customers:
            if customer.external_id == "gone":
                reply.results.add(error=gone)
            else:
                reply.results.add(values=int(customer.external_id))
        return reply

    server.on("BatchShredCustomers", answer)
    vault = connect(max_batch=2)
    answers = vault.shred_many(["1", "gone", "3", CustomerRef(external_id="4"), "5"])
    assert [(answer.outcome, answer.values) for answer in answers] == [
        ("shredded", 1),
        ("failed", 0),
        ("shredded", 3),
        ("shredded", 4),
        ("shredded", 5),
    ]
    assert isinstance(answers[1].error, errors.AlreadyShreddedError)
    (accepted,) = vault.shred_many(["gone"], missing_ok=True)
    assert (accepted.outcome, accepted.error) == ("already_shredded", None)


def test_translations_keep_their_order(server: ScriptedVault, connect: Any) -> None:
    def answer(request: Any) -> api.TranslateTokensResponse:
        denied = [at for at, token in enumerate(request.tokens) if token == "bad"]
        return api.TranslateTokensResponse(
            tokens=["" if token == "bad" else f"{request.target_domain}:{token}" for token in request.tokens],
            errors=[DENIED.item(at) for at in denied],
        )

    server.on("TranslateTokens", answer)
    translations = connect(max_batch=2).translate(["a", "b", "c", "bad", "e"], "billing")
    assert [t.token for t in translations] == ["billing:a", "billing:b", "billing:c", "", "billing:e"]
    with pytest.raises(errors.PurposeDeniedError):
        translations[3].get()
