"""Sealing: round trips, every single flipped bit, keys moved pointer to pointer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.crypto import hazmat
from vault.crypto.hazmat import GuardedMemory, Opener
from vault.crypto.suites import SUITES, Suite
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError

every_suite = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)


@every_suite
@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=80))
def test_what_is_sealed_opens(suite: Suite, memory: GuardedMemory, plaintext: bytes, aad: bytes) -> None:
    sealed = hazmat.seal(suite.number, memory.pointer(), plaintext, aad)
    assert len(sealed) == len(plaintext) + suite.overhead_bytes
    nonce, ciphertext = sealed[: suite.nonce_bytes], sealed[suite.nonce_bytes :]
    assert Opener().open(suite.number, memory.pointer(), nonce, ciphertext, aad) == plaintext


@every_suite
@settings(max_examples=10)
@given(plaintext=st.binary(max_size=24), aad=st.binary(max_size=24))
def test_every_flipped_bit_is_rejected(
    suite: Suite, memory: GuardedMemory, plaintext: bytes, aad: bytes
) -> None:
    sealed = hazmat.seal(suite.number, memory.pointer(), plaintext, aad)
    opener, key = Opener(), memory.pointer()
    fast = opener.open_fast(suite.number)
    whole = bytearray(sealed + aad)
    for bit in range(8 * len(whole)):
        whole[bit // 8] ^= 1 << bit % 8
        nonce = bytes(whole[: suite.nonce_bytes])
        ciphertext = bytes(whole[suite.nonce_bytes : len(sealed)])
        changed_aad = bytes(whole[len(sealed) :])
        with pytest.raises(IntegrityFailedError):
            opener.open(suite.number, key, nonce, ciphertext, changed_aad)
        assert fast(key, nonce, ciphertext, changed_aad) is None
        whole[bit // 8] ^= 1 << bit % 8
    assert bytes(whole) == sealed + aad


@every_suite
def test_every_flipped_bit_of_the_key_is_rejected(suite: Suite, memory: GuardedMemory) -> None:
    sealed = hazmat.seal(suite.number, memory.pointer(), b"value", b"aad")
    nonce, ciphertext = sealed[: suite.nonce_bytes], sealed[suite.nonce_bytes :]
    view, opener = memory.view(0, 32), Opener()
    for bit in range(256):
        view[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityFailedError):
            opener.open(suite.number, memory.pointer(), nonce, ciphertext, b"aad")
        view[bit // 8] ^= 1 << bit % 8
    assert opener.open(suite.number, memory.pointer(), nonce, ciphertext, b"aad") == b"value"


@every_suite
def test_each_sealing_has_a_nonce_of_its_own(suite: Suite, memory: GuardedMemory) -> None:
    sealed = {hazmat.seal(suite.number, memory.pointer(), b"", b"") for _ in range(500)}
    assert len({each[: suite.nonce_bytes] for each in sealed}) == 500


@every_suite
def test_buffer_grows_on_demand(suite: Suite, memory: GuardedMemory) -> None:
    opener = Opener(64)
    for size in (10, 65536, 200_000, 10):
        plaintext = hazmat.random_bytes(size)
        sealed = hazmat.seal(suite.number, memory.pointer(), plaintext, b"")
        nonce, ciphertext = sealed[: suite.nonce_bytes], sealed[suite.nonce_bytes :]
        assert opener.open(suite.number, memory.pointer(), nonce, ciphertext, b"") == plaintext


def test_suites_do_not_open_each_other(memory: GuardedMemory) -> None:
    sealed = hazmat.seal(1, memory.pointer(), b"x" * 64, b"")
    for suite in (2, 3):
        nonce_bytes = SUITES[suite].nonce_bytes
        with pytest.raises(IntegrityFailedError):
            Opener().open(suite, memory.pointer(), sealed[:nonce_bytes], sealed[nonce_bytes:], b"")


@pytest.mark.parametrize("number", [0, 4, 255])
def test_unknown_suite(number: int, memory: GuardedMemory) -> None:
    with pytest.raises(InvalidRequestError):
        hazmat.seal(number, memory.pointer(), b"", b"")
    with pytest.raises(IntegrityFailedError):
        Opener().open(number, memory.pointer(), bytes(24), bytes(16), b"")


def test_aes_gcm_refuses_a_cpu_without_aes(memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazmat, "AES_GCM_AVAILABLE", False)
    with pytest.raises(KeyUnavailableError, match="aes-256-gcm"):
        hazmat.seal(2, memory.pointer(), b"", b"")
    with pytest.raises(KeyUnavailableError, match="aes-256-gcm"):
        Opener().open(2, memory.pointer(), bytes(12), bytes(16), b"")
    hazmat.self_test()


def test_wrapped_key_moves_from_pointer_to_pointer(memory: GuardedMemory) -> None:
    memory.fill_random(0, 128)
    sealed = hazmat.seal_secret_at(memory.pointer(0), memory.pointer(32), 32, b"owner")
    assert len(sealed) == 32 + hazmat.SECRET_OVERHEAD_BYTES
    assert bytes(memory.view(32, 32)) not in sealed
    hazmat.open_secret_to(memory.pointer(0), sealed, b"owner", memory.pointer(64), 32)
    assert memory.view(64, 32) == memory.view(32, 32)


def test_wrapped_key_of_another_owner_is_rejected(memory: GuardedMemory) -> None:
    sealed = hazmat.seal_secret_at(memory.pointer(0), memory.pointer(32), 32, b"owner 1")
    memory.zero(64, 32)
    for broken, aad in [
        (sealed, b"owner 2"),
        (sealed[:-1], b"owner 1"),
        (sealed + b"\0", b"owner 1"),
        (b"", b"owner 1"),
        (sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:], b"owner 1"),
    ]:
        with pytest.raises(IntegrityFailedError):
            hazmat.open_secret_to(memory.pointer(0), broken, aad, memory.pointer(64), 32)
        assert bytes(memory.view(64, 32)) == bytes(32)


def test_wipe_leaves_no_plaintext(memory: GuardedMemory) -> None:
    opener = Opener(128)
    sealed = hazmat.seal(1, memory.pointer(), b"plaintext", b"")
    assert opener.open_fast(1)(memory.pointer(), sealed[:24], sealed[24:], b"") == b"plaintext"
    assert b"plaintext" in opener._view[:]
    opener.wipe()
    assert not any(opener._view[:])


@every_suite
@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_what_is_sealed_together_opens_one_by_one(suite: Suite, memory: GuardedMemory, count: int) -> None:
    parts = [(b"v" * (n * 97 % 9000), b"aad %d" % n) for n in range(count)]
    sealed = hazmat.seal_each(suite.number, memory.pointer(), parts)
    assert len({each[: suite.nonce_bytes] for each in sealed}) == count
    for each, (plaintext, aad) in zip(sealed, parts, strict=True):
        nonce, ciphertext = each[: suite.nonce_bytes], each[suite.nonce_bytes :]
        assert Opener().open(suite.number, memory.pointer(), nonce, ciphertext, aad) == plaintext


def test_an_unknown_suite_seals_nothing_together(memory: GuardedMemory) -> None:
    with pytest.raises(InvalidRequestError):
        hazmat.seal_each(99, memory.pointer(), [(b"value", b"aad")])


@given(messages=st.lists(st.binary(max_size=300), max_size=9))
def test_hashes_made_together_are_those_made_alone(memory: GuardedMemory, messages: list[bytes]) -> None:
    alone = [hazmat.keyed_hash(memory.pointer(), message) for message in messages]
    assert hazmat.keyed_hashes(memory.pointer(), messages) == alone


def test_a_long_secret_is_not_wrapped(memory: GuardedMemory) -> None:
    with pytest.raises(ValueError, match="short"):
        hazmat.seal_secret_at(memory.pointer(), memory.pointer(), 4096, b"aad")
