"""Which keys a witness takes, which it gives up, and that no key comes from nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.store.samples import VAULT_ID
from tests.unit.store.test_signers import CHAIN, KEYS, SEEDS, announced
from tests.unit.tlog.samples import Log, numbered
from vault.audit.sealed.checkpoints import audit_origin
from vault.crypto import hazmat
from vault.errors import IntegrityFailedError
from vault.store.ledger import ledger_origin
from vault.store.signers import Announcement
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import ED25519, VerifierKey
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal
from vault.witness.state import KEYS as KEYS_DIRECTORY
from vault.witness.state import WitnessState
from vault.witness.successors import AddKeys, Successors

ORIGIN = ledger_origin(VAULT_ID)
GIVEN = [VerifierKey(ORIGIN, ED25519, key) for key in KEYS]
KNOWN = {ORIGIN: GIVEN[:1]}


def refused(caught: pytest.ExceptionInfo[CheckpointRefusedError]) -> Refusal:
    return caught.value.refusal


def signing(successors: Successors, size: int) -> list[bytes]:
    return [key.public_key for key in successors.keys(size)]


def test_each_key_signs_from_its_entry_on_and_no_other_does() -> None:
    successors = Successors(ORIGIN, GIVEN[:1])
    assert successors.add(CHAIN, 4)
    assert not successors.add(CHAIN, 4)
    expected = {4: 0, 5: 1, 8: 1, 9: 2, 10: 3, 1000: 3}
    assert {size: signing(successors, size) for size in expected} == {
        size: [KEYS[number]] for size, number in expected.items()
    }


@pytest.mark.parametrize("given", range(4))
def test_it_goes_on_from_whichever_key_it_was_given(given: int) -> None:
    successors = Successors(ORIGIN, [GIVEN[given]])
    assert successors.add(CHAIN, 4) == (given < 3)
    assert signing(successors, 10) == [KEYS[3]]
    assert signing(Successors(ORIGIN, [GIVEN[given]], CHAIN), 10) == [KEYS[3]]


@pytest.mark.parametrize(
    ("announcements", "refusal"),
    [
        ([announced(5, SEEDS[3], KEYS[1])], Refusal.NOT_SIGNED),
        (CHAIN[1:], Refusal.NOT_SIGNED),
        ([CHAIN[0], announced(7, SEEDS[0], KEYS[3])], Refusal.INCONSISTENT),
        ([*CHAIN[:2], announced(11, SEEDS[2], KEYS[1])], Refusal.INCONSISTENT),
        ([announced(4, SEEDS[0], KEYS[1])], Refusal.INCONSISTENT),
    ],
    ids=["by a stranger", "a gap", "a second successor", "back again", "within what was cosigned"],
)
def test_what_does_not_follow_is_refused_whole(announcements: list[Announcement], refusal: Refusal) -> None:
    successors = Successors(ORIGIN, GIVEN[:1])
    with pytest.raises(CheckpointRefusedError) as caught:
        successors.add(announcements, 4)
    assert refused(caught) is refusal
    assert successors.announcements == []
    assert signing(successors, 100) == [KEYS[0]]


def test_a_log_that_is_no_vaults_has_one_key_for_ever() -> None:
    successors = Successors("example.org/log", [VerifierKey("example.org/log", ED25519, KEYS[0])])
    with pytest.raises(CheckpointRefusedError) as caught:
        successors.add(CHAIN, 0)
    assert refused(caught) is Refusal.UNKNOWN_LOG
    assert signing(successors, 9) == [KEYS[0]]


@pytest.mark.parametrize("body", [b"", b"a", b"a\n?\n", b"\xff\n", b"a\n" + b"x\n" * 501])
def test_a_malformed_request_is_refused(body: bytes) -> None:
    with pytest.raises(CheckpointRefusedError) as caught:
        AddKeys.parse(body)
    assert refused(caught) is Refusal.MALFORMED


def test_a_request_is_read_as_it_was_written() -> None:
    request = AddKeys(ORIGIN, tuple(CHAIN))
    assert AddKeys.parse(request.encode()) == request


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    WitnessState.create(tmp_path / "witness", "example.org/w")
    return tmp_path / "witness"


@pytest.fixture
def state(directory: Path) -> Iterator[WitnessState]:
    state = WitnessState.open(directory)
    state.lock()
    yield state
    state.close()


def grown(old: int, new: int, number: int, origin: str = ORIGIN) -> AddCheckpoint:
    log = Log(numbered(20))
    proof = log.tree.consistency_proof(old, new) if old else []
    checkpoint = Checkpoint(origin, new, log.tree.root(new))
    key = VerifierKey(origin, ED25519, KEYS[number])
    note = checkpoint.signed(key, lambda message: hazmat.sign(SEEDS[number], message))
    return AddCheckpoint(old, tuple(proof), note)


def test_a_witness_takes_no_key_on_first_sight(state: WitnessState, directory: Path) -> None:
    state.add(grown(0, 4, 0), KNOWN)
    with pytest.raises(CheckpointRefusedError) as caught:
        state.add(grown(4, 6, 1), KNOWN)
    assert refused(caught) is Refusal.NOT_SIGNED
    state.add_keys(AddKeys(ORIGIN, tuple(CHAIN[:1])), KNOWN)
    state.add(grown(4, 6, 1), KNOWN)
    with pytest.raises(CheckpointRefusedError) as caught:
        state.add(grown(6, 7, 0), KNOWN)
    assert refused(caught) is Refusal.NOT_SIGNED


def test_the_access_log_goes_over_with_its_ledger(state: WitnessState) -> None:
    access = audit_origin(VAULT_ID)
    known = KNOWN | {access: [VerifierKey(access, ED25519, KEYS[0])]}
    state.add(grown(0, 2, 0, access), known)
    with pytest.raises(CheckpointRefusedError) as caught:
        state.add(grown(2, 3, 1, access), known)
    assert refused(caught) is Refusal.NOT_SIGNED
    state.add_keys(AddKeys(ORIGIN, tuple(CHAIN)), known)
    state.add(grown(2, 3, 3, access), known)
    for former in range(3):
        with pytest.raises(CheckpointRefusedError) as caught:
            state.add(grown(3, 4, former, access), known)
        assert refused(caught) is Refusal.NOT_SIGNED


@pytest.mark.parametrize("ledger", [{}, {ORIGIN: GIVEN[1:2]}], ids=["ledger unknown", "from a later key"])
def test_an_access_log_whose_ledger_says_nothing_of_its_key_keeps_it(
    state: WitnessState, ledger: dict[str, list[VerifierKey]]
) -> None:
    access = audit_origin(VAULT_ID)
    known = ledger | {access: [VerifierKey(access, ED25519, KEYS[0])]}
    if ledger:
        state.add_keys(AddKeys(ORIGIN, tuple(CHAIN[1:])), known)
    state.add(grown(0, 2, 0, access), known)
    with pytest.raises(CheckpointRefusedError) as caught:
        state.add(grown(2, 3, 3, access), known)
    assert refused(caught) is Refusal.NOT_SIGNED


def test_what_was_followed_is_remembered(state: WitnessState, directory: Path) -> None:
    state.add_keys(AddKeys(ORIGIN, tuple(CHAIN[:1])), KNOWN)
    state.close()
    again = WitnessState.open(directory)
    again.lock()
    again.add(grown(0, 6, 1), KNOWN)
    (kept,) = (directory / KEYS_DIRECTORY).iterdir()
    kept.write_text(announced(5, SEEDS[3], KEYS[1]).encode() + "\n")
    with pytest.raises(IntegrityFailedError):
        again.add(grown(6, 7, 1), KNOWN)
    kept.write_text("?\n")
    with pytest.raises(IntegrityFailedError):
        again.add(grown(6, 7, 1), KNOWN)
    again.close()


def test_a_log_that_nobody_named_has_no_keys(state: WitnessState) -> None:
    with pytest.raises(CheckpointRefusedError) as caught:
        state.add_keys(AddKeys(ORIGIN, tuple(CHAIN)), {})
    assert refused(caught) is Refusal.UNKNOWN_LOG
