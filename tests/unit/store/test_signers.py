"""From one key of a ledger to the next, with the announcements alone."""

import base64

import pytest

from tests.unit.store.samples import VAULT_ID
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.entries import Genesis, SigningKeyChanged, Void
from vault.store.frames import LedgerHead, pack_body, signed_message
from vault.store.signers import Announcement, follow
from vault.tlog.merkle import leaf_hash

SEEDS = [bytes([number]) * 32 for number in range(4)]
KEYS = [hazmat.public_key(seed) for seed in SEEDS]


def announced(seq: int, seed: bytes, key: bytes, before: bytes = bytes(32)) -> Announcement:
    """As the ledger's entry would be, after a chain value that nobody can check from here."""
    body = pack_body(seq, 1_700_000_000_123, SigningKeyChanged(key))
    head = LedgerHead(seq - 1, before, 0).following(body, leaf_hash(body))
    return Announcement(before, body, hazmat.sign(seed, signed_message(VAULT_ID, head)))


CHAIN = [announced(5, SEEDS[0], KEYS[1]), announced(9, SEEDS[1], KEYS[2]), announced(10, SEEDS[2], KEYS[3])]


def test_keys_are_followed_in_order() -> None:
    assert follow(VAULT_ID, KEYS[0], [], hazmat.verify) == KEYS[:1]
    assert follow(VAULT_ID, KEYS[0], CHAIN, hazmat.verify) == KEYS
    assert follow(VAULT_ID, KEYS[1], CHAIN[1:], hazmat.verify) == KEYS[1:]


@pytest.mark.parametrize(
    ("first", "chain"),
    [
        (KEYS[1], CHAIN),
        (KEYS[0], CHAIN[1:]),
        (KEYS[0], [CHAIN[0], CHAIN[2]]),
        (KEYS[0], [CHAIN[0], announced(5, SEEDS[1], KEYS[2])]),
        (KEYS[0], [CHAIN[0], announced(9, SEEDS[0], KEYS[2])]),
        (KEYS[0], [CHAIN[0], announced(9, SEEDS[1], KEYS[0])]),
        (KEYS[0], [announced(5, SEEDS[3], KEYS[1])]),
    ],
    ids=["stranger", "gap", "left out", "earlier number", "by the former key", "back again", "by a stranger"],
)
def test_what_the_key_before_has_not_announced_is_refused(first: bytes, chain: list[Announcement]) -> None:
    with pytest.raises(IntegrityFailedError):
        follow(VAULT_ID, first, chain, hazmat.verify)


def test_another_vaults_keys_are_not_followed() -> None:
    with pytest.raises(IntegrityFailedError):
        follow(bytes(16), KEYS[0], CHAIN, hazmat.verify)


def test_every_bit_of_an_announcement_counts() -> None:
    content = base64.b64decode(CHAIN[0].encode())
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        with pytest.raises((IntegrityFailedError, InvalidRequestError)):
            follow(
                VAULT_ID,
                KEYS[0],
                [Announcement.parse(base64.b64encode(changed).decode())],
                hazmat.verify,
            )


def test_an_announcement_is_read_as_it_was_written() -> None:
    again = Announcement.parse(CHAIN[0].encode())
    assert again == CHAIN[0]
    assert (again.seq, again.since_seq, again.public_key) == (5, 6, KEYS[1])
    assert again.time_ms == 1_700_000_000_123


@pytest.mark.parametrize(
    "body",
    [pack_body(5, 0, Void(1)), pack_body(1, 0, Genesis(VAULT_ID, KEYS[0])), b"", b"\1"],
    ids=["another entry", "the first key", "nothing", "cut"],
)
def test_what_announces_no_key_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        Announcement.parse(Announcement(bytes(32), body, bytes(64)).encode())


def test_a_text_that_is_no_base64_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        Announcement.parse("?")
