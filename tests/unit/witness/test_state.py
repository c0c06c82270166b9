"""What a witness keeps, and that neither a restart nor another process makes it forget."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tlog.samples import LOG_KEY, ORIGIN, Log, numbered, sign_log
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Note
from vault.tlog.witness import AddCheckpoint, CheckpointRefusedError, Refusal
from vault.witness.state import LOGS, WitnessState

KNOWN = {ORIGIN: [LOG_KEY]}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    WitnessState.create(tmp_path / "witness", "example.org/w")
    return tmp_path / "witness"


@pytest.fixture
def state(directory: Path) -> Iterator[WitnessState]:
    state = opened(directory)
    yield state
    state.close()


def opened(directory: Path) -> WitnessState:
    state = WitnessState.open(directory, clock_s=lambda: 1_800_000_000)
    state.lock()
    return state


def request_of(log: Log, old: int, new: int) -> AddCheckpoint:
    proof = log.tree.consistency_proof(old, new) if old else []
    return AddCheckpoint(
        old, tuple(proof), Checkpoint(ORIGIN, new, log.tree.root(new)).signed(LOG_KEY, sign_log)
    )


def kept_file(directory: Path) -> Path:
    (path,) = (directory / LOGS).iterdir()
    return path


def test_a_cosignature_verifies_and_the_checkpoint_is_kept_with_it(
    state: WitnessState, directory: Path
) -> None:
    log = Log(numbered(9))
    request = request_of(log, 0, 5)
    cosignature = state.add(request, KNOWN)
    note = request.note.with_signatures([cosignature])
    verified = notes.verify(note, [LOG_KEY, state.key])
    assert [(each.key, each.time_s) for each in verified] == [(LOG_KEY, 0), (state.key, 1_800_000_000)]
    assert state.note(kept_file(directory).name) == note.encode()
    assert state.remembered() == [(Checkpoint(ORIGIN, 5, log.tree.root(5)), 1_800_000_000)]


def test_a_restart_forgets_nothing(state: WitnessState, directory: Path) -> None:
    log = Log(numbered(9))
    state.add(request_of(log, 0, 5), KNOWN)
    state.close()
    again = opened(directory)
    assert again.key == state.key
    with pytest.raises(CheckpointRefusedError) as caught:
        again.add(request_of(log, 0, 4), KNOWN)
    assert (caught.value.refusal, caught.value.size) == (Refusal.CONFLICT, 5)
    again.add(request_of(log, 5, 9), KNOWN)
    again.close()


def test_the_same_checkpoint_is_cosigned_again_and_not_written_again(
    state: WitnessState, directory: Path
) -> None:
    log = Log(numbered(5))
    state.add(request_of(log, 0, 5), KNOWN)
    before = kept_file(directory).stat()
    notes.verify(
        request_of(log, 5, 5).note.with_signatures([state.add(request_of(log, 5, 5), KNOWN)]), [state.key]
    )
    assert kept_file(directory).stat() == before


def test_what_others_signed_is_not_kept(state: WitnessState, directory: Path) -> None:
    request = request_of(Log(numbered(3)), 0, 3)
    stranger = notes.Signature("example.org/stranger", bytes(4), bytes(64))
    state.add(AddCheckpoint(0, (), request.note.with_signatures([stranger])), KNOWN)
    kept = Note.parse(kept_file(directory).read_bytes())
    assert [each.name for each in kept.signatures] == [ORIGIN, "example.org/w"]


def test_a_refused_checkpoint_leaves_no_trace(state: WitnessState, directory: Path) -> None:
    with pytest.raises(CheckpointRefusedError):
        state.add(request_of(Log(numbered(3)), 0, 3), {})
    assert list((directory / LOGS).iterdir()) == []
    assert state.remembered() == []


def test_a_witness_whose_memory_was_changed_cosigns_nothing_of_that_log(
    state: WitnessState, directory: Path
) -> None:
    log = Log(numbered(9))
    state.add(request_of(log, 0, 7), KNOWN)
    path = kept_file(directory)
    path.write_bytes(path.read_bytes().replace(b"\n7\n", b"\n3\n", 1))
    with pytest.raises(IntegrityFailedError):
        state.add(request_of(log, 3, 5), KNOWN)
    with pytest.raises(IntegrityFailedError):
        state.remembered()
    path.write_bytes(b"")
    with pytest.raises(IntegrityFailedError):
        state.add(request_of(log, 0, 5), KNOWN)


def test_a_directory_serves_one_process(state: WitnessState, directory: Path) -> None:
    with pytest.raises(KeyUnavailableError):
        opened(directory)
    unlocked = WitnessState.open(directory)
    assert unlocked.remembered() == []
    with pytest.raises(RuntimeError, match="not locked"):
        unlocked.add(request_of(Log(numbered(3)), 0, 3), KNOWN)


def test_a_key_is_made_once_and_kept_from_others(directory: Path) -> None:
    assert stat.S_IMODE((directory / "key").stat().st_mode) == 0o600
    with pytest.raises(InvalidRequestError):
        WitnessState.create(directory, "example.org/other")
    with pytest.raises(InvalidRequestError):
        WitnessState.create(directory.parent / "other", "not a name")
    assert not (directory.parent / "other").exists()


def test_a_directory_without_a_witness_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError):
        WitnessState.open(tmp_path)


@pytest.mark.parametrize("change", [{"format": 2}, {"seed": "AAAA"}, {"seed": 1}, {"name": None}])
def test_a_damaged_key_file_is_refused(directory: Path, change: dict[str, object]) -> None:
    content = json.loads((directory / "key").read_text()) | change
    if content["name"] is None:
        del content["name"]
    (directory / "key").write_text(json.dumps(content))
    with pytest.raises(IntegrityFailedError):
        WitnessState.open(directory)


@pytest.mark.parametrize("name", ["", "..", "../key", "A" * 64, "0" * 63, "0" * 64])
def test_only_hashes_name_checkpoints(state: WitnessState, name: str) -> None:
    assert state.note(name) is None
