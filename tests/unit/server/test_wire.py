"""Detokenize taken apart and put together by compiled code means what protobuf says it means."""

from array import array
from collections.abc import Sequence

import pytest
from customervault.v1 import token_service_pb2 as pb
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from vault.model.texts import EvenTexts, PackedTexts
from vault.server import wire

built = pytest.mark.skipif(not wire.LIBRARY.exists(), reason="no C compiler was there at installation")
TOKEN = "cv1_" + "0123456789abcdef" * 2

tokens = st.one_of(
    st.just(TOKEN),
    st.text(max_size=40),
    st.text("0123456789abcdef", min_size=36, max_size=36),
    st.just("é" * 18),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "purpose": st.text(max_size=300),
        "reveal": st.integers(0, 2**31 - 1),
        "lawful_basis": st.integers(0, 9),
        "domain": st.text(max_size=10),
    },
)


def told(call: wire.DetokenizeCall) -> pb.DetokenizeRequest:
    """The whole message again."""
    message = pb.DetokenizeRequest()
    message.CopyFrom(call.message)
    del message.tokens[:]
    message.tokens.extend(call.tokens)
    return message


@given(st.lists(tokens, max_size=20), fields)
def test_a_request_says_what_protobuf_reads(texts: list[str], others: dict[str, object]) -> None:
    request = pb.DetokenizeRequest(tokens=texts, **others)
    call = wire.parse(request.SerializeToString())
    assert told(call) == request
    assert list(call.tokens) == texts


@built
@given(st.integers(5, 40), fields, st.data())
def test_fields_come_in_any_order_and_number(
    count: int, others: dict[str, object], data: st.DataObject
) -> None:
    parts = [pb.DetokenizeRequest(tokens=[TOKEN]).SerializeToString()] * count
    parts += [pb.DetokenizeRequest(**{name: value}).SerializeToString() for name, value in others.items()]
    parts += [
        b"\x98\x06\x07",
        b"\x9d\x06abcd",
        b"\x99\x06abcdefgh",
        b"\xa2\x06\x03abc",
    ]  # fields of later versions
    message = b"".join(data.draw(st.permutations(parts)))
    call = wire.parse(message)
    assert isinstance(call.tokens, EvenTexts)
    assert told(call) == pb.DetokenizeRequest.FromString(message)


@given(st.binary(max_size=400), st.lists(st.just(TOKEN), min_size=4, max_size=8), st.integers(0, 400))
def test_bytes_that_are_no_request_are_refused_as_by_protobuf(junk: bytes, texts: list[str], at: int) -> None:
    whole = pb.DetokenizeRequest(tokens=texts, purpose="support").SerializeToString()
    message = whole[:at] + junk + whole[at:]
    try:
        expected = pb.DetokenizeRequest.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            wire.parse(message)
        return
    assert told(wire.parse(message)) == expected


@given(st.binary(max_size=60), st.integers(0, 60), st.sampled_from([TOKEN, "", "é", "x" * 127, "x" * 128]))
def test_a_single_token_beside_anything_means_what_protobuf_says(junk: bytes, at: int, text: str) -> None:
    whole = pb.DetokenizeRequest(tokens=[text], purpose="support").SerializeToString()
    message = whole[:at] + junk + whole[at:]
    try:
        expected = pb.DetokenizeRequest.FromString(message)
    except DecodeError:
        for _ in range(2):
            with pytest.raises(DecodeError):
                wire.parse(message)
        return
    for _ in range(2):  # the second time from memory
        assert told(wire.parse(message)) == expected


def test_tokens_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_remembered", remembered := dict[bytes, wire.Asked]())
    beside = pb.DetokenizeRequest(purpose="support").SerializeToString()
    for texts in ([TOKEN], [TOKEN] * 2, [TOKEN] * 9):
        wire.parse(pb.DetokenizeRequest(tokens=texts, purpose="support").SerializeToString())
        wire.parse(beside + pb.DetokenizeRequest(tokens=texts).SerializeToString())
    wire.parse(pb.DetokenizeRequest(tokens=["x"]).SerializeToString() + beside + b"\n\1y")
    assert set(remembered) == {beside}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_remembered", remembered := dict[bytes, wire.Asked]())
    most = 0
    for number in range(1000):
        call = wire.parse(
            pb.DetokenizeRequest(tokens=[TOKEN], purpose=f"purpose {number}").SerializeToString()
        )
        assert call.asked.purpose == f"purpose {number}"
        most = max(most, len(remembered))
    assert 0 < most <= 256
    wire.parse(pb.DetokenizeRequest(tokens=[TOKEN] * 9, purpose="x" * 200).SerializeToString())
    assert all(len(rest) < 128 for rest in remembered)


@built
@pytest.mark.parametrize(
    ("message", "taken"),
    [
        (pb.DetokenizeRequest(tokens=[TOKEN] * 9), True),
        (pb.DetokenizeRequest(tokens=[TOKEN] * 8 + [TOKEN[1:]]), False),
        (pb.DetokenizeRequest(tokens=[TOKEN] * 8 + ["é" * 18]), False),
        (pb.DetokenizeRequest(tokens=[TOKEN] * 8 + [TOKEN[:-1] + " "]), False),
        (pb.DetokenizeRequest(tokens=[""] * 400), False),
    ],
)
def test_only_the_usual_is_taken_apart(message: pb.DetokenizeRequest, taken: bool) -> None:
    call = wire.parse(message.SerializeToString())
    assert isinstance(call.tokens, EvenTexts) is taken
    assert list(call.tokens) == list(message.tokens)


@pytest.mark.parametrize("spare", range(9))
@pytest.mark.parametrize("of_tag", [False, True])
def test_numbers_longer_than_need_be_are_read_as_by_protobuf(spare: int, of_tag: bool) -> None:
    usual, padding = pb.DetokenizeRequest(tokens=[TOKEN]).SerializeToString(), b"\x80" * spare + b"\0"
    tag, length = usual[:1], usual[1:2]
    if of_tag:
        tag = bytes((tag[0] | 128,)) + padding
    else:
        length = bytes((length[0] | 128,)) + padding
    message = usual * 5 + tag + length + usual[2:]
    try:
        expected = pb.DetokenizeRequest.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            wire.parse(message)
        return
    assert told(wire.parse(message)) == expected


def test_values_and_codes_of_different_number_are_left_to_protobuf() -> None:
    answer = wire.answer(packed(["a"]), bytes((2,)) * 3, None)
    assert answer == pb.DetokenizeResponse(values=["a"], reveals=[2, 2, 2]).SerializeToString()  # type: ignore[list-item]


@given(st.lists(st.text(max_size=200), max_size=50), st.data())
def test_an_answer_says_what_protobuf_would(texts: list[str], data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.sampled_from([0, 2, 3]), min_size=len(texts), max_size=len(texts)))

    def add_errors(response: pb.DetokenizeResponse) -> None:
        response.errors.add(index=len(texts))

    for adding in (None, add_errors):
        expected = pb.DetokenizeResponse(values=texts, reveals=codes)  # type: ignore[arg-type]
        if adding is not None:
            adding(expected)
        for values in (texts, packed(texts)):
            assert pb.DetokenizeResponse.FromString(wire.answer(values, bytes(codes), adding)) == expected


@pytest.mark.parametrize(
    "data", [pb.DetokenizeRequest(tokens=[TOKEN] * 9), pb.DetokenizeRequest(tokens=["x"])]
)
def test_without_a_compiler_protobuf_does_it(
    data: pb.DetokenizeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_native", None)
    assert wire.parse(data.SerializeToString()).tokens == list(data.tokens)
    expected = pb.DetokenizeResponse(values=["a", "é"], reveals=[2, 3])  # type: ignore[list-item]
    assert wire.answer(packed(["a", "é"]), bytes((2, 3)), None) == expected.SerializeToString()


def packed(texts: Sequence[str]) -> PackedTexts:
    data, ends = b"", array("I")
    for text in texts:
        data += text.encode()
        ends.append(len(data))
    return PackedTexts(data, ends)
