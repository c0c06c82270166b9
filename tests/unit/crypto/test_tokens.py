"""The token codec: round trips, and what is refused."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.crypto import tokens
from vault.crypto.hazmat import AesBlockCipher
from vault.crypto.tokens import NO_BLOCK, TokenCodec
from vault.errors import TokenMalformedError, TokenUnknownError
from vault.model.ids import TokenParts

CIPHERS = {1: AesBlockCipher(b"\1" * 32), 2: AesBlockCipher(b"\2" * 32), 10: AesBlockCipher(b"\3" * 32)}
CODEC = TokenCodec(CIPHERS, current=2)

token_parts = st.builds(
    TokenParts,
    region=st.integers(0, 255),
    domain=st.integers(1, 255),
    customer_no=st.integers(1, 2**40 - 1),
    value_no=st.integers(0, 2**24 - 1),
)
hostile = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=string.hexdigits + "cv_ \n\0g٣\ud800", min_size=30, max_size=40),
    st.text(alphabet=string.hexdigits + " \t\n٣", min_size=32, max_size=32).map("cv2_".__add__),
)


def block_of(parts: TokenParts) -> bytes:
    return tokens.block(parts.region, parts.domain, parts.customer_no, parts.value_no)


@given(token_parts, st.sampled_from(sorted(CIPHERS)), st.sampled_from([str, str.upper, str.title]))
def test_round_trip(parts: TokenParts, generation: int, convert: type[str]) -> None:
    text = TokenCodec(CIPHERS, current=generation).encode(parts)
    assert text == text.lower()
    assert len(text) <= tokens.MAX_TOKEN_CHARS
    assert CODEC.decode(convert(text)) == parts
    assert CODEC.decipher_batch([convert(text)]) == block_of(parts)
    assert tokens.parts(block_of(parts)) == parts


@given(token_parts, token_parts)
def test_every_component_counts(parts: TokenParts, other: TokenParts) -> None:
    assert (CODEC.encode(parts) == CODEC.encode(other)) == (parts == other)


@given(token_parts, st.integers(0, 127))
def test_every_changed_bit_is_unknown(parts: TokenParts, bit: int) -> None:
    body = bytearray.fromhex(CODEC.encode(parts)[4:])
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TokenUnknownError):
        CODEC.decode("cv2_" + body.hex())


@given(token_parts)
def test_another_generation_is_unknown(parts: TokenParts) -> None:
    text = CODEC.encode(parts)
    for generation in (1, 10, 3, 99999):
        with pytest.raises(TokenUnknownError):
            CODEC.decode(text.replace("cv2_", f"cv{generation}_"))


@given(token_parts, st.integers(0, 47))
def test_every_check_bit_counts(parts: TokenParts, bit: int) -> None:
    block = bytearray(block_of(parts))
    block[10 + bit // 8] ^= 1 << bit % 8
    (forged,) = CODEC.encode_many([bytes(block)])
    with pytest.raises(TokenUnknownError):
        CODEC.decode(forged)
    assert CODEC.decipher_batch([forged]) == NO_BLOCK


@given(st.lists(token_parts, max_size=40))
def test_batch_keeps_order(batch: list[TokenParts]) -> None:
    blocks = [block_of(parts) for parts in batch]
    texts = CODEC.encode_many(blocks)
    assert texts == [CODEC.encode(parts) for parts in batch]
    assert CODEC.decipher_batch(texts) == b"".join(blocks)


@given(
    st.lists(
        st.one_of(token_parts.map(CODEC.encode), token_parts.map(TokenCodec(CIPHERS, 10).encode), hostile),
        max_size=30,
    )
)
def test_batch_answers_like_single_tokens(batch: list[str]) -> None:
    expected = []
    for text in batch:
        try:
            expected.append(block_of(CODEC.decode(text)))
        except (TokenMalformedError, TokenUnknownError):
            expected.append(NO_BLOCK)
    assert CODEC.decipher_batch(batch) == b"".join(expected)


def test_lengths_that_make_each_other_up() -> None:
    one, two = CODEC.encode_many([tokens.block(0, 1, number, 1) for number in (1, 2)])
    assert CODEC.decipher_batch([one[:-1], one[-1] + two]) == 2 * NO_BLOCK
    assert CODEC.decipher_batch([one + "cv2_", two[4:]]) == 2 * NO_BLOCK
    assert CODEC.decipher_batch([one + two, ""]) == 2 * NO_BLOCK


def test_white_space_that_a_lenient_parser_skips() -> None:
    good = CODEC.encode(TokenParts(0, 1, 1, 1))
    for spaced in (good[:8] + "  " + good[10:], good[:34] + "\n ", "cv2_" + " " * 32, " " + good[:-1]):
        assert len(spaced) == len(good)
        assert CODEC.decipher_batch([good, spaced, good])[16:32] == NO_BLOCK
        with pytest.raises(TokenMalformedError):
            CODEC.decode(spaced)


@pytest.mark.parametrize("filler", ["a", " ", "\0", "\ud800", "cv2_", "٣"])
def test_a_megabyte_is_malformed(filler: str) -> None:
    for text in (filler * 2**20, "cv2_" + filler * 2**20):
        with pytest.raises(TokenMalformedError):
            CODEC.decode(text)
        assert CODEC.decipher_batch([text]) == NO_BLOCK


@given(hostile)
def test_hostile_text_never_gets_further(text: str) -> None:
    with pytest.raises((TokenMalformedError, TokenUnknownError)):
        CODEC.decode(text)


def test_errors_do_not_repeat_the_token() -> None:
    good = CODEC.encode(TokenParts(0, 1, 1, 1))
    for text in (good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1")):
        with pytest.raises((TokenMalformedError, TokenUnknownError)) as caught:
            CODEC.decode(text)
        assert text not in str(caught.value)
        assert not caught.value.details


@pytest.mark.parametrize(
    "numbers",
    [
        (-1, 1, 1, 1),
        (256, 1, 1, 1),
        (0, 0, 1, 1),
        (0, 256, 1, 1),
        (0, 1, 0, 1),
        (0, 1, 2**40, 1),
        (0, 1, 1, 2**24),
    ],
)
def test_block_refuses_numbers_that_do_not_fit(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        tokens.block(*numbers)


def test_block_holds_the_key_of_the_record() -> None:
    block = tokens.block(0x11, 0x22, 0x0333333333, 0x044444)
    assert (block[:1] + block[2:10]).hex() == "11" + "0333333333" + "044444"
    assert block[1] == 0x22


@pytest.mark.parametrize(("generations", "current"), [([1], 2), ([], 1), ([0, 1], 1), ([100000], 100000)])
def test_codec_refuses_impossible_generations(generations: list[int], current: int) -> None:
    with pytest.raises(ValueError, match="generations"):
        TokenCodec(dict.fromkeys(generations, CIPHERS[1]), current)


def test_a_generation_that_is_not_known_is_asked_for_once_a_batch_and_found() -> None:
    asked = []

    def learn() -> None:
        asked.append(1)
        codec.renew({1: CIPHERS[1], 2: CIPHERS[2]}, current=2)

    codec = TokenCodec({1: CIPHERS[1]}, current=1, learn=learn)
    parts = TokenParts(1, 1, 7, 3)  # type: ignore[arg-type]
    old = codec.encode(parts)
    new = CODEC.encode(parts)
    assert codec.decipher_batch([new, old, new]) == block_of(parts) * 3
    assert asked == [1]
    assert codec.decode(old) == codec.decode(new) == parts
    assert codec.encode(parts) == new
    assert asked == [1]


def test_a_generation_that_nobody_has_stays_unknown() -> None:
    asked = []
    codec = TokenCodec({1: CIPHERS[1]}, current=1, learn=lambda: asked.append(1))
    text = CODEC.encode(TokenParts(1, 1, 7, 3))  # type: ignore[arg-type]
    with pytest.raises(TokenUnknownError):
        codec.decode(text)
    assert codec.decipher_batch([text, codec.encode(TokenParts(1, 1, 7, 3))])[:16] == NO_BLOCK  # type: ignore[arg-type]
    assert asked == [1, 1]


@pytest.mark.parametrize("generation", sorted(CIPHERS))
def test_a_batch_of_one_generation_is_read_at_once(generation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = TokenCodec(CIPHERS, current=generation).encode_many([tokens.block(1, 1, 7, n) for n in range(5)])
    monkeypatch.delattr(TokenCodec, "_decipher_each")
    assert CODEC.decipher_batch(texts) == b"".join(tokens.block(1, 1, 7, n) for n in range(5))
