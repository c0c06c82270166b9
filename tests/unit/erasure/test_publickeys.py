"""The list of a vault's keys, each vouched for by the one before it."""

import json
from typing import Any

import pytest

from tests.unit.store.samples import VAULT_ID
from tests.unit.store.test_signers import CHAIN, KEYS, SEEDS, announced
from vault.core.keyhistory import key_history
from vault.crypto.keyids import signing_key_id
from vault.erasure.publickeys import public_keys
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.entries import Genesis
from vault.store.frames import pack_body
from vault.store.signers import Announcement

GENESIS = Announcement(bytes(32), pack_body(1, 0, Genesis(VAULT_ID, KEYS[0])), bytes(64))
HISTORY = key_history(VAULT_ID, [GENESIS, *CHAIN])
IDS = [signing_key_id(key) for key in KEYS]


def changed(index: int, **fields: Any) -> bytes:
    listed = json.loads(HISTORY)
    listed[index] |= fields
    return json.dumps(listed).encode()


def without(index: int) -> bytes:
    listed = json.loads(HISTORY)
    del listed[index]
    return json.dumps(listed).encode()


def test_the_keys_are_read_the_newest_last() -> None:
    assert list(public_keys(HISTORY).items()) == list(zip(IDS, KEYS, strict=True))
    assert list(public_keys(without(0))) == IDS[1:]
    assert public_keys(key_history(VAULT_ID, [GENESIS])) == {IDS[0]: KEYS[0]}
    assert json.loads(HISTORY)[1]["since"] == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize("at", range(4))
def test_from_a_trusted_key_only_those_that_follow_are_believed(at: int) -> None:
    assert list(public_keys(HISTORY, IDS[at])) == IDS[at:]


def test_a_list_without_the_trusted_key_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        public_keys(HISTORY, "ed25519-0000000000000000")


@pytest.mark.parametrize(
    "content",
    [
        without(1),
        changed(2, announcement=announced(9, SEEDS[0], KEYS[2]).encode()),
        changed(1, vault_id=bytes(16).hex()),
        key_history(VAULT_ID, [GENESIS, CHAIN[0], announced(9, SEEDS[0], KEYS[2])]),
    ],
    ids=["one is missing", "a fork", "another vault's", "by the former key"],
)
def test_a_key_that_the_one_before_has_not_announced_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityFailedError):
        public_keys(content)


@pytest.mark.parametrize(
    "content",
    [
        changed(0, key_id=IDS[1]),
        changed(1, announcement="?"),
        changed(1, vault_id="?"),
        changed(0, algorithm="RSA"),
        changed(0, public_key="AAAA"),
        b'{"a":1}',
        b"[1]",
        b"[{}]",
        b"",
        b"[",
        b"\xff",
        b'[{"key_id":"a","algorithm":"Ed25519","public_key":"?"}]',
    ],
)
def test_what_is_no_such_list_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        public_keys(content)
