"""Pseudonyms against an own computation from the definitions, and what two keys have in common."""

import hashlib
import pickle
import random

import pytest

from vault.crypto.pseudonyms import PseudonymKey

VAULT = bytes(range(16))
SECRET = bytes(range(32, 64))
SAMPLES = 4096
BITS = 128
# By Hoeffding's inequality a mean of n fair bits is off by d with a chance of at most 2 exp(-2 n d^2):
# below 1e-12 for d = sqrt(14.5 / n), and for 128 of them together below 1e-10.
FALSE_ALARM = 14.5


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, step by step."""
    block = key.ljust(64, b"\0") if len(key) <= 64 else hashlib.sha256(key).digest().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869, for at most one block."""
    return hmac_sha256(hmac_sha256(salt, secret), info + b"\x01")[:size]


def expected(secret: bytes, vault: bytes, field_class: str, normalized: bytes) -> str:
    key_id = hkdf(secret, vault, b"customer-vault pseudonym 1 id", 4)
    key = hkdf(secret, vault, b"customer-vault pseudonym 1 key\0" + field_class.encode(), 32)
    return "cvp1_" + (key_id + hmac_sha256(key, normalized)[:16]).hex()


def test_the_own_computation_agrees_with_published_vectors() -> None:
    """RFC 4231, test case 2; RFC 5869, test case 1."""
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    derived = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 32)
    assert derived.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


@pytest.mark.parametrize("field_class", ["email", "phone", "a"])
@pytest.mark.parametrize("normalized", [b"", b"ada@example.org", b"\xff" * 200])
def test_a_pseudonym_is_what_the_definition_says(field_class: str, normalized: bytes) -> None:
    key = PseudonymKey(SECRET, VAULT, 1)
    assert key.pseudonym(field_class, normalized) == expected(SECRET, VAULT, field_class, normalized)
    assert key.pseudonym(field_class, normalized) == expected(SECRET, VAULT, field_class, normalized)


def test_a_fixed_one() -> None:
    """Made by the computation above: pseudonyms stay what they are from version to version."""
    pseudonym = PseudonymKey(SECRET, VAULT, 1).pseudonym("email", b"ada@example.org")
    assert pseudonym == "cvp1_ca2cb4040afbd5d10764550fd80cc461985a97a8"


def test_class_domain_and_vault_each_make_another() -> None:
    made = {
        PseudonymKey(secret, vault, 1).pseudonym(field_class, b"same")
        for secret in (SECRET, SECRET[::-1])
        for vault in (VAULT, VAULT[::-1])
        for field_class in ("email", "work_email")
    }
    assert len({pseudonym[13:] for pseudonym in made}) == len(made) == 8


def test_the_prefix_is_the_keys() -> None:
    key = PseudonymKey(SECRET, VAULT, 3)
    assert key.pseudonym("email", b"a")[:13] == key.pseudonym("phone", b"b")[:13] == key.prefix
    assert PseudonymKey(SECRET[::-1], VAULT, 3).prefix != key.prefix


def marks(key: PseudonymKey, values: list[bytes]) -> list[int]:
    return [int(key.pseudonym("email", value)[13:], 16) for value in values]


def agreement(left: list[int], right: list[int]) -> float:
    """The share of equal bits."""
    return 1 - sum((a ^ b).bit_count() for a, b in zip(left, right, strict=True)) / (BITS * len(left))


def test_equal_values_of_two_domains_agree_no_more_than_unrelated_ones() -> None:
    chance = random.Random(20260101)
    values = [b"%d@example.org" % chance.randrange(10**9) for _ in range(SAMPLES)]
    one, other = (PseudonymKey(chance.randbytes(32), VAULT, 1) for _ in range(2))
    here, there = marks(one, values), marks(other, values)
    shuffled = chance.sample(there, len(there))
    limit = (FALSE_ALARM / (BITS * SAMPLES)) ** 0.5
    assert abs(agreement(here, there) - 0.5) < limit
    assert abs(agreement(here, shuffled) - 0.5) < limit
    assert agreement(here, marks(one, values)) == 1
    each_bit = (FALSE_ALARM / SAMPLES) ** 0.5
    for bit in range(BITS):
        alike = sum(not (a ^ b) >> bit & 1 for a, b in zip(here, there, strict=True))
        assert abs(alike / SAMPLES - 0.5) < each_bit


def test_neighbouring_values_are_unrelated_and_bytes_are_evenly_spread() -> None:
    """Pearson's statistic of 65,536 bytes has 255 degrees of freedom: beyond 420 it is with p < 1e-9."""
    key = PseudonymKey(SECRET, VAULT, 1)
    found = marks(key, [b"user%d@example.org" % number for number in range(SAMPLES)])
    assert len(set(found)) == SAMPLES
    assert abs(agreement(found[:-1], found[1:]) - 0.5) < (FALSE_ALARM / (BITS * SAMPLES)) ** 0.5
    counts = [0] * 256
    for mark in found:
        for byte in mark.to_bytes(16, "big"):
            counts[byte] += 1
    even = SAMPLES * 16 / 256
    assert sum((count - even) ** 2 / even for count in counts) < 420


def test_a_key_shows_and_gives_nothing_away() -> None:
    key = PseudonymKey(SECRET, VAULT, 1)
    assert repr(key) == "<pseudonym key, generation 1>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
