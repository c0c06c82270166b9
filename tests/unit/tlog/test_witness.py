"""When a witness cosigns, and each reason for which it does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tlog.samples import LOG_KEY, ORIGIN, OTHER_SEED, Log, numbered, sign_log
from vault.crypto import hazmat
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import EMPTY_ROOT
from vault.tlog.notes import ED25519, VerifierKey
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal, check

LOGS = {ORIGIN: [LOG_KEY]}

# c2sp.org/tlog-witness, the example; its signatures are of keys that were not published
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()  # noqa: E501 - as published


def checkpoint_of(log: Log, size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, log.tree.root(size))


def request_of(log: Log, old: int, new: int) -> AddCheckpoint:
    proof = log.tree.consistency_proof(old, new) if old else []
    return AddCheckpoint(old, tuple(proof), checkpoint_of(log, new).signed(LOG_KEY, sign_log))


def refusal_of(request: AddCheckpoint, remembered: Checkpoint | None) -> CheckpointRefusedError:
    with pytest.raises(CheckpointRefusedError) as caught:
        check(request, LOGS, remembered)
    return caught.value


def test_the_published_example_is_a_request() -> None:
    request = AddCheckpoint.parse(EXAMPLE)
    assert (request.old_size, len(request.proof), len(request.note.signatures)) == (20_852_014, 4, 2)
    assert request.checkpoint().size == 20_852_163
    assert request.encode() == EXAMPLE


@given(st.integers(0, 40), st.data())
def test_a_log_that_grew_is_cosigned(new: int, data: st.DataObject) -> None:
    log = Log(numbered(new))
    old = data.draw(st.integers(0, new))
    remembered = checkpoint_of(log, old) if data.draw(st.booleans()) or old else None
    request = AddCheckpoint.parse(request_of(log, old, new).encode())
    assert check(request, LOGS, remembered) == checkpoint_of(log, new)


@given(st.integers(2, 40), st.data())
def test_a_forked_log_is_not(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, old - 1))
    entries = numbered(size)
    entries[changed] = b"another"
    remembered = checkpoint_of(Log(numbered(size)), old)
    assert refusal_of(request_of(Log(entries), old, size), remembered).refusal is Refusal.INCONSISTENT


@given(st.integers(1, 40), st.data())
def test_a_log_that_was_rolled_back_is_not(size: int, data: st.DataObject) -> None:
    log = Log(numbered(size))
    older = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, older))
    refused = refusal_of(request_of(log, old, older), checkpoint_of(log, size))
    assert (refused.refusal, refused.size) == (Refusal.CONFLICT, size)


def test_whoever_does_not_know_the_size_is_told() -> None:
    log = Log(numbered(9))
    refused = refusal_of(request_of(log, 0, 9), checkpoint_of(log, 5))
    assert (refused.refusal, refused.size) == (Refusal.CONFLICT, 5)
    refused = refusal_of(request_of(log, 3, 9), None)
    assert (refused.refusal, refused.size) == (Refusal.CONFLICT, 0)


def test_a_log_that_is_not_known_is_refused() -> None:
    request = request_of(Log(numbered(3)), 0, 3)
    with pytest.raises(CheckpointRefusedError) as caught:
        check(request, {"example.org/other": [LOG_KEY]}, None)
    assert caught.value.refusal is Refusal.UNKNOWN_LOG


def test_somebody_elses_signature_is_not_the_logs() -> None:
    checkpoint = checkpoint_of(Log(numbered(3)), 3)
    stranger = VerifierKey(ORIGIN, ED25519, hazmat.public_key(OTHER_SEED))
    foreign = checkpoint.signed(stranger, lambda message: hazmat.sign(OTHER_SEED, message))
    assert refusal_of(AddCheckpoint(0, (), foreign), None).refusal is Refusal.NOT_SIGNED
    forged = checkpoint.signed(LOG_KEY, lambda message: hazmat.sign(OTHER_SEED, message))
    assert refusal_of(AddCheckpoint(0, (), forged), None).refusal is Refusal.NOT_SIGNED
    swapped = replace(checkpoint.signed(LOG_KEY, sign_log), text=checkpoint_of(Log(numbered(4)), 4).text())
    assert refusal_of(AddCheckpoint(0, (), swapped), None).refusal is Refusal.NOT_SIGNED


def test_a_log_may_have_two_keys_while_it_changes_them() -> None:
    new_key = VerifierKey(ORIGIN, ED25519, hazmat.public_key(OTHER_SEED))
    checkpoint = checkpoint_of(Log(numbered(3)), 3)
    note = checkpoint.signed(new_key, lambda message: hazmat.sign(OTHER_SEED, message))
    assert check(AddCheckpoint(0, (), note), {ORIGIN: [LOG_KEY, new_key]}, None) == checkpoint


def test_a_proof_where_none_belongs_is_refused() -> None:
    log = Log(numbered(3))
    hashes = (log.tree.root(),)
    first = replace(request_of(log, 0, 3), proof=hashes)
    assert refusal_of(first, None).refusal is Refusal.INCONSISTENT
    same = replace(request_of(log, 3, 3), proof=hashes)
    assert refusal_of(same, checkpoint_of(log, 3)).refusal is Refusal.INCONSISTENT


def test_an_empty_log_has_the_empty_root() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert check(AddCheckpoint(0, (), empty.signed(LOG_KEY, sign_log)), LOGS, None) == empty
    wrong = replace(empty, root=bytes(32)).signed(LOG_KEY, sign_log)
    assert refusal_of(AddCheckpoint(0, (), wrong), None).refusal is Refusal.INCONSISTENT


NOTE = request_of(Log(numbered(3)), 0, 3).note.encode()
HASH = b"A" * 43 + b"=\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n" + NOTE,
        b"new 0\n\n" + NOTE,
        b"old 00\n\n" + NOTE,
        b"old -1\n\n" + NOTE,
        b"old\n\n" + NOTE,
        b"old 0\n" + NOTE,
        b"old 1\nAAAA\n\n" + NOTE,
        b"old 1\n?\n\n" + NOTE,
        b"old 1\n\xff\n\n" + NOTE,
        b"old 1\n" + HASH * 64 + b"\n" + NOTE,
        b"old 4\n" + HASH + b"\n" + NOTE,
        b"old 0\n\n" + NOTE.replace(b"\n3\n", b"\n03\n"),
        b"old 0\n\n" + NOTE[:-1],
    ],
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(CheckpointRefusedError) as caught:
        check(AddCheckpoint.parse(body), LOGS, None)
    assert caught.value.refusal is Refusal.MALFORMED
