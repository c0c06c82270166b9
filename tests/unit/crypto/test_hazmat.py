"""The smaller primitives, and the self-test that guards all of them."""

import dataclasses
import threading

import pytest

from vault.crypto import hazmat, known_answers, subkeys
from vault.crypto.hazmat import GuardedMemory
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError


def test_self_test_passes() -> None:
    hazmat.self_test()


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("field", ["plaintext", "ciphertext", "key"])
def test_self_test_notices_a_wrong_suite(index: int, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = list(known_answers.SEALED)
    changed = bytes([getattr(answers[index], field)[0] ^ 1]) + getattr(answers[index], field)[1:]
    answers[index] = dataclasses.replace(answers[index], **{field: changed})
    monkeypatch.setattr(known_answers, "SEALED", tuple(answers))
    with pytest.raises(KeyUnavailableError, match="known-answer"):
        hazmat.self_test()


def test_self_test_notices_an_aead_that_accepts_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    plaintext = known_answers.SEALED[0].plaintext
    monkeypatch.setattr(hazmat.Opener, "open", lambda *_: plaintext)
    with pytest.raises(KeyUnavailableError, match="forgeries"):
        hazmat.self_test()


@pytest.mark.parametrize("answer", ["AES_PLAIN", "AES_CIPHER", "KDF_SUBKEY", "SIGN_SIGNATURE"])
def test_self_test_notices_a_wrong_primitive(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = getattr(known_answers, answer)
    monkeypatch.setattr(known_answers, answer, bytes([genuine[0] ^ 1]) + genuine[1:])
    with pytest.raises(KeyUnavailableError):
        hazmat.self_test()


def test_random_bytes() -> None:
    assert len(hazmat.random_bytes(33)) == 33
    assert hazmat.random_bytes(32) != hazmat.random_bytes(32)


def test_keys_are_born_in_place(memory: GuardedMemory) -> None:
    memory.zero(0, 128)
    hazmat.fill_random(memory.pointer(32), 32)
    assert len(set(bytes(memory.view(32, 32)))) > 8
    assert bytes(memory.view(0, 32)) == bytes(memory.view(64, 32)) == bytes(32)


def test_constant_time_equal() -> None:
    assert hazmat.constant_time_equal(b"same", b"same")
    assert not hazmat.constant_time_equal(b"same", b"sama")
    assert not hazmat.constant_time_equal(b"same", b"same!")


@pytest.mark.parametrize("size", [15, 65])
def test_hash_sizes_are_bounded(size: int, memory: GuardedMemory) -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        hazmat.keyed_hash(memory.pointer(), b"", size)
    with pytest.raises(ValueError, match="16 to 64"):
        hazmat.derive_public(memory.pointer(), 1, b"cv-dek-1", size)


@pytest.mark.parametrize("context", [b"", b"cv-dek-", b"cv-dek-12"])
def test_derivation_context_has_eight_bytes(context: bytes, memory: GuardedMemory) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        hazmat.derive_subkey(memory.pointer(), 1, context, memory.pointer(32))


def test_key_check_value_tells_keys_apart(memory: GuardedMemory) -> None:
    memory.fill_random(0, 64)
    check = subkeys.key_check_value(memory.pointer(0))
    assert len(check) == subkeys.KEY_CHECK_BYTES
    subkeys.require_key_check_value(memory.pointer(0), check)
    with pytest.raises(IntegrityFailedError):
        subkeys.require_key_check_value(memory.pointer(32), check)


def test_seal_key_of_an_unknown_suite(memory: GuardedMemory) -> None:
    with pytest.raises(InvalidRequestError):
        subkeys.derive_seal_key(memory.pointer(0), 9, memory.pointer(32))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_block_cipher_takes_256_bit_keys_only(size: int) -> None:
    with pytest.raises(KeyUnavailableError):
        hazmat.AesBlockCipher(bytes(size))


def test_block_cipher_refuses_parts_of_blocks() -> None:
    cipher = hazmat.AesBlockCipher(bytes(32))
    before = cipher.encipher(bytes(16))
    for size in (1, 15, 17):
        with pytest.raises(ValueError, match="whole blocks"):
            cipher.encipher(bytes(size))
        with pytest.raises(ValueError, match="whole blocks"):
            cipher.decipher(bytes(size))
    assert cipher.encipher(bytes(16)) == before
    assert "00" not in repr(cipher)


def test_block_cipher_serves_many_threads() -> None:
    cipher = hazmat.AesBlockCipher(hazmat.random_bytes(32))
    failures: list[int] = []

    def work(seed: int) -> None:
        blocks = bytes([seed]) * 16 * 400
        for round_no in range(100):
            if cipher.decipher(cipher.encipher(blocks)) != blocks:
                failures.append(round_no)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_argon2id_refuses_impossible_parameters() -> None:
    with pytest.raises(KeyUnavailableError, match="salt"):
        hazmat.argon2id(b"x", b"short", opslimit=1, memlimit=8192)
    with pytest.raises(KeyUnavailableError, match="Argon2id failed"):
        hazmat.argon2id(b"x", bytes(16), opslimit=0, memlimit=8192)
    with pytest.raises(KeyUnavailableError, match="Argon2id failed"):
        hazmat.argon2id(b"x", bytes(16), opslimit=1, memlimit=1)
