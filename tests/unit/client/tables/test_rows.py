"""Rows that are written as they go over the wire are the requests that the client would make of them."""

from collections.abc import Sequence

import pytest
from customervault import Entry, Field
from customervault._exchanges.tokens import tokenize_batches
from customervault.tables.plan import Place
from customervault.tables.row_answers import Answer, _stored, stored_rows
from customervault.tables.rows import row_exchanges
from customervault.tables.source import Position, Record
from customervault.tables.target import Refusal, StoredField, StoredRow
from customervault.v1 import token_service_pb2 as api
from google.rpc import code_pb2, error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

PLACES = (Place("email"), Place("name", "first"), Place("phone", "mobile"))
ID = "0190a3b4-0000-7000-8000-000000000001"
texts = st.one_of(
    st.just(""),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from([100, 127, 128, 129, 16383, 16384, 40000]).map("x".__mul__),
    st.just("é" * 64),
)
records = st.builds(
    lambda external_id, jurisdiction, values: Record(
        2, Position(0, 1), external_id, jurisdiction, values, None
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=130),
    st.sampled_from(["", "DE"]),
    st.lists(texts, min_size=3, max_size=3),
)


def _usual(given_: Sequence[Record], max_batch: int) -> list[api.BatchTokenizeRequest]:
    entries = [
        Entry(
            each.external_id,
            [
                Field(place.field_class, v, place.label)
                for place, v in zip(PLACES, each.values, strict=True)
                if v
            ],
            each.jurisdiction,
        )
        for each in given_
    ]
    exchanges = tokenize_batches(
        entries, domain="crm", request_id=ID, atomic=False, form="by_class", max_batch=max_batch
    )
    return [next(exchange).message for exchange in exchanges]  # type: ignore[misc]


def _answered(record: Record, answer: api.TokenizeEntryResult) -> StoredRow:
    [exchange] = row_exchanges([record], PLACES, domain="", request_id=ID, max_batch=1000)
    next(exchange)
    with pytest.raises(StopIteration) as stop:
        exchange.send(Answer(api.BatchTokenizeResponse(results=[answer]).SerializeToString()))
    [row] = stop.value.value
    return row  # type: ignore[no-any-return]


def _record(*values: str) -> Record:
    return Record(2, Position(0, 1), "c", "", values, None)


@given(st.lists(records, max_size=12), st.sampled_from([1, 4, 1000]))
def test_requests_are_those_of_tokenize_many(given_: list[Record], max_batch: int) -> None:
    exchanges = row_exchanges(given_, PLACES, domain="crm", request_id=ID, max_batch=max_batch)
    made = [next(exchange).message for exchange in exchanges]
    assert made == _usual(given_, max_batch)
    assert [each.ByteSize() for each in made] == [len(each.SerializeToString()) for each in made]


def test_a_request_ends_before_the_largest_message() -> None:
    given_ = [_record("x" * 60_000, "y" * 60_000, "z" * 60_000)] * 40
    exchanges = row_exchanges(given_, PLACES, domain="crm", request_id=ID, max_batch=10**6)
    made = [next(exchange).message for exchange in exchanges]
    assert made == _usual(given_, 10**6)
    assert len(made) > 1


def test_text_that_is_no_unicode_is_not_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        next(next(row_exchanges([_record("\ud800", "", "")], PLACES, domain="", request_id=ID, max_batch=9)))


def test_answers_stand_where_their_values_stood() -> None:
    answer = api.TokenizeEntryResult(customer_token="cv1_c", customer_created=True)
    answer.results.add(token="cv1_a", outcome=api.FIELD_OUTCOME_CREATED)
    answer.results.add(outcome=api.FIELD_OUTCOME_EMPTY)
    row = _answered(_record("a", "", " "), answer)
    fields = [StoredField("created", "cv1_a"), StoredField("empty"), StoredField("empty")]
    assert row == StoredRow("cv1_c", True, fields)


def test_an_outcome_of_a_newer_vault_is_unknown() -> None:
    answer = api.TokenizeEntryResult(customer_token="cv1_c")
    answer.results.add(token="cv1_a", outcome=9)  # type: ignore[arg-type]
    assert _answered(_record("a", "", ""), answer).fields[0] == StoredField("unknown", "cv1_a")


def _refusal(message: api.FieldResult | api.TokenizeEntryResult) -> None:
    message.error.code = code_pb2.INVALID_ARGUMENT
    message.error.message = "phone: too short"
    detail = error_details_pb2.ErrorInfo(reason="INVALID_VALUE", domain="customervault")
    message.error.details.add().Pack(detail)


def test_refusals_of_a_value_and_of_a_row() -> None:
    refusal = Refusal("INVALID_VALUE", "phone: too short")
    answer = api.TokenizeEntryResult(customer_token="cv1_c")
    _refusal(answer.results.add(outcome=api.FIELD_OUTCOME_REFUSED))
    assert _answered(_record("", "", "1"), answer).fields[2] == StoredField("refused", "", refusal)
    whole = api.TokenizeEntryResult()
    _refusal(whole)
    assert _answered(_record("a", "", ""), whole) == StoredRow(refusal=refusal)


outcomes = st.sampled_from(list(api.FieldOutcome.values()))
tokens = st.one_of(st.just("cv1_" + "0" * 32), st.sampled_from(["", "cv1_é", "x" * 101, "cv1_\n(%$"]))
results = st.builds(api.FieldResult, token=tokens, outcome=outcomes)
answers = st.builds(
    api.TokenizeEntryResult,
    customer_token=tokens,
    customer_created=st.booleans(),
    results=st.lists(results, min_size=2, max_size=2),
)
created = api.FieldResult(token="cv1_" + "0" * 32, outcome=api.FIELD_OUTCOME_CREATED)
usual = api.TokenizeEntryResult(
    customer_token="cv1_" + "1" * 32, customer_created=True, results=[created, created]
)


def _apart(row: StoredRow) -> StoredRow:
    """The row with its cells one by one."""
    if row.plain is None:
        return row
    cells = [StoredField(*each) for each in zip(row.plain.outcomes, row.plain.tokens, strict=True)]
    return row._replace(fields=cells, plain=None)


@given(st.lists(st.one_of(answers, st.just(usual)), max_size=6), st.booleans())
def test_answers_say_what_protobuf_reads(given_: list[api.TokenizeEntryResult], strange: bool) -> None:
    sent = [_record("a", "", "b")] * len(given_)
    content = api.BatchTokenizeResponse(results=given_).SerializeToString()
    rows = stored_rows(Answer(content + (b"\x98\x06\x07" if strange else b"")), sent)
    assert [_apart(row) for row in rows] == [_stored(*each) for each in zip(sent, given_, strict=True)]


def test_a_row_without_a_refusal_is_plain() -> None:
    content = api.BatchTokenizeResponse(results=[usual] * 2).SerializeToString()
    for row in stored_rows(Answer(content), [_record("a", "", "b")] * 2):
        assert row.plain == (("created", "empty", "created"), [created.token, "", created.token])


def test_another_number_of_rows_is_not_taken() -> None:
    content = api.BatchTokenizeResponse(results=[usual] * 2).SerializeToString()
    with pytest.raises(ValueError, match="argument"):
        stored_rows(Answer(content), [_record("a", "", "b")])


@pytest.mark.parametrize("count", [0, 2])
def test_an_answer_of_another_number_of_fields_is_not_taken(count: int) -> None:
    answer = api.TokenizeEntryResult(customer_token="cv1_c")
    for _ in range(count):
        answer.results.add(token="cv1_a", outcome=api.FIELD_OUTCOME_CREATED)
    [exchange] = row_exchanges([_record("a", "", "")], PLACES, domain="", request_id=ID, max_batch=9)
    next(exchange)
    with pytest.raises(ValueError, match="answers than there were fields"):
        exchange.send(Answer(api.BatchTokenizeResponse(results=[answer]).SerializeToString()))
