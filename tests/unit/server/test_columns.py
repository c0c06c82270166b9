"""BatchTokenize taken apart and answered by hand means what protobuf says it means."""

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as pb
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from vault.core.tokenizing import _fingerprinted
from vault.errors import InvalidValueError
from vault.model.requests import EntryResult, FieldResult, Outcome, StoredEntry, TokenForm
from vault.server import columns, convert

built = pytest.mark.skipif(not columns.LIBRARY.exists(), reason="no C compiler was there at installation")
texts = st.text(max_size=30)
fields = st.builds(
    common_pb2.FieldInput,
    field_class=st.sampled_from(["", "name", "email", "ä"]),
    value=st.one_of(texts, st.integers(100, 300).map(lambda size: "é" * size)),
    label=st.sampled_from(["", "first", "last"]),
)
entries = st.builds(
    pb.TokenizeEntry,
    customer=st.builds(common_pb2.CustomerRef, external_id=texts),
    fields=st.lists(fields, max_size=8),
    jurisdiction=st.sampled_from(["", "DE"]),
)
unusual = st.one_of(
    st.builds(pb.TokenizeEntry, fields=st.lists(fields, max_size=2)),
    st.builds(pb.TokenizeEntry, customer=st.builds(common_pb2.CustomerRef, token=texts)),
    st.builds(
        pb.TokenizeEntry,
        customer=st.builds(common_pb2.CustomerRef, external_id=texts),
        fields=st.lists(st.builds(common_pb2.FieldInput, value=texts, surrogate=texts), max_size=2),
    ),
)
others = st.fixed_dictionaries(
    {},
    optional={
        "domain": st.text(max_size=10),
        "request_id": st.text(max_size=40),
        "mode": st.integers(0, 9),
        "form": st.integers(0, 9),
    },
)
PADDING = pb.BatchTokenizeRequest(request_id="x" * 300)  # so that a request is long enough to be taken apart


def told(call: columns.BatchCall) -> tuple[pb.BatchTokenizeRequest, list[Any]]:
    """The message without its entries, and what they say."""
    message = pb.BatchTokenizeRequest()
    message.CopyFrom(call.message)
    del message.entries[:]
    if call.columns is not None:
        assert not call.message.entries
        return message, [plainly(entry) for entry in call.columns]
    return message, [written(entry) for entry in call.message.entries]


def plainly(entry: Any) -> Any:
    fields = [(each.field_class, each.value.reveal(), each.label, each.surrogate) for each in entry.fields]
    return entry.customer.external_id.reveal(), entry.jurisdiction, fields


def written(entry: pb.TokenizeEntry) -> Any:
    if entry.customer.WhichOneof("ref") != "external_id" or any(each.surrogate for each in entry.fields):
        return entry.SerializeToString(deterministic=True)
    return plainly(convert.to_entry(entry))


@given(st.lists(st.one_of(entries, entries, unusual), max_size=6), others)
def test_a_request_says_what_protobuf_reads(given_: list[pb.TokenizeEntry], rest: dict[str, Any]) -> None:
    request = pb.BatchTokenizeRequest(entries=given_, **rest)
    for data in (request.SerializeToString(), (request.SerializeToString() + PADDING.SerializeToString())):
        expected = pb.BatchTokenizeRequest.FromString(data)
        assert told(columns.parse(data)) == told(columns.BatchCall(expected, None))


@built
@given(st.lists(entries, min_size=1, max_size=6))
def test_a_request_in_columns_has_the_fingerprint_of_its_entries(given_: list[pb.TokenizeEntry]) -> None:
    request = pb.BatchTokenizeRequest(entries=given_, request_id="x" * 300)
    call = columns.parse(request.SerializeToString())
    if call.columns is None:
        assert "\0" in str(given_) or "\\000" in str(given_)
        return
    head, packed = _fingerprinted(call.columns, "crm", False, TokenForm.BY_CLASS)
    whole, nothing = _fingerprinted(list(call.columns), "crm", False, TokenForm.BY_CLASS)
    assert nothing is None
    assert packed is not None
    assert whole[: len(head)] == head
    parts = [part_text(part) for part in whole[len(head) :]]
    assert packed.number == len(parts)
    assert packed.lengths == array("Q", map(len, parts)).tobytes()
    assert packed.texts.decode() == "".join(parts)


def part_text(part: Any) -> str:
    if part is None or isinstance(part, str):
        return part or ""
    return part.decode("latin-1") if isinstance(part, bytes) else str(part.reveal())


@built
@given(
    st.lists(
        st.sampled_from([b"\x98\x06\x07", b"\x9d\x06abcd", b"\xa2\x06\x03abc", b"\x1a\x01x"]), max_size=3
    )
)
def test_fields_of_later_versions_stay_with_the_message(strange: Sequence[bytes]) -> None:
    entry = pb.TokenizeEntry(customer=common_pb2.CustomerRef(external_id="a"))
    request = pb.BatchTokenizeRequest(entries=[entry], request_id="x" * 300).SerializeToString()
    data = request + b"".join(strange)
    call = columns.parse(data)
    assert call.columns is not None
    expected = pb.BatchTokenizeRequest.FromString(data)
    del expected.entries[:]
    assert call.message == expected


@given(st.binary(max_size=60), st.integers(0, 400))
def test_bytes_that_are_no_request_are_refused_as_by_protobuf(junk: bytes, at: int) -> None:
    entry = pb.TokenizeEntry(customer=common_pb2.CustomerRef(external_id="a" * 200))
    entry.fields.add(field_class="name", value="Ada")
    whole = pb.BatchTokenizeRequest(entries=[entry], domain="crm").SerializeToString()
    data = whole[:at] + junk + whole[at:]
    try:
        expected = pb.BatchTokenizeRequest.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            columns.parse(data)
        return
    assert told(columns.parse(data)) == told(columns.BatchCall(expected, None))


@built
def test_more_places_than_there_is_room_for_are_read_by_protobuf() -> None:
    entry = pb.TokenizeEntry(customer=common_pb2.CustomerRef(external_id="a"))
    for number in range(64):
        entry.fields.add(field_class="name", value="Ada", label=f"l{number}")
    assert columns.parse(pb.BatchTokenizeRequest(entries=[entry]).SerializeToString()).columns is not None
    entry.fields.add(field_class="name", value="Ada", label="one more")
    assert columns.parse(pb.BatchTokenizeRequest(entries=[entry]).SerializeToString()).columns is None


tokens = st.one_of(st.just("cv1_" + "0" * 32), st.just("cv10_" + "0" * 32), st.text(max_size=120))
stored = st.lists(st.tuples(st.integers(1, 3), tokens), max_size=6).flatmap(
    lambda pairs: st.builds(
        StoredEntry,
        tokens,
        st.booleans(),
        st.just(tuple(outcome for outcome, _ in pairs)),
        st.just([token for _, token in pairs]),
    )
)
refused = FieldResult(Outcome.REFUSED, error=InvalidValueError("email: no", field_class="email"))
results = st.one_of(
    stored,
    st.sampled_from(
        [
            EntryResult(error=InvalidValueError("no")),
            EntryResult("t", True, [refused, FieldResult(Outcome.EMPTY)]),
        ]
    ),
)


@given(st.lists(results, max_size=6))
def test_an_answer_is_what_protobuf_writes(given_: list[EntryResult | StoredEntry]) -> None:
    answer = b"".join(map(columns.answer, given_))
    expected = pb.BatchTokenizeResponse(results=[convert.entry_result(each) for each in given_])
    assert pb.BatchTokenizeResponse.FromString(answer) == expected
