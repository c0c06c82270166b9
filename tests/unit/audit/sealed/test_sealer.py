import errno
import random
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.unit.audit.samples import ALICE, BOB, act_of, read_of, seqs, writer
from tests.unit.audit.sealed.samples import KEY, LocalWitness, entries_of, seal, sealed_seqs, sealer
from tests.unit.tlog.samples import mth
from vault.audit.layout import HEADER_BYTES, segments_in
from vault.audit.records import ActRecord, encode_read, read_body_chunk, read_item
from vault.audit.sealed.checkpoints import read_note
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, TREE
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import State
from vault.errors import AuditUnavailableError, IntegrityFailedError, LedgerBehindError


def fill(directory: Path, count: int, name: str = "w0", first: int = 1, **options: object) -> None:
    log = writer(directory, name, **options)
    for seq in range(first, first + count):
        log.append(read_of(seq, ALICE, BOB) if seq % 7 else act_of(seq, ALICE))
    log.close()


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_the_root_is_that_of_rfc_6962_over_the_leaves(tmp_path, count):
    fill(tmp_path, count)
    assert seal(tmp_path) == count
    entries = entries_of(tmp_path)
    assert sealed_seqs(tmp_path) == list(range(1, count + 1))
    assert SealedLog.open(tmp_path).tiles.root() == mth(entries)
    _, checkpoint = read_note(tmp_path / TREE / CHECKPOINT, [KEY])
    assert (checkpoint.size, checkpoint.root) == (count, mth(entries))


def test_rounds_of_every_size_make_the_same_tree_as_one(tmp_path):
    rng = random.Random(3)
    logs = [writer(tmp_path, f"w{n}", segment_bytes=8192) for n in range(3)]
    made = 0
    one = sealer(tmp_path)
    for _ in range(60):
        for _ in range(rng.randrange(40)):
            log = rng.choice(logs)
            log.append(read_of(log.next_seq(), ALICE))
            made += 1
        one.seal()
    one.close()
    for log in logs:
        log.close()
    seal(tmp_path)
    assert State.read(tmp_path / TREE).records == made
    for name in ("w0", "w1", "w2"):
        own = sealed_seqs(tmp_path, name)
        assert own == list(range(1, len(own) + 1))
    assert len(entries_of(tmp_path)) == made
    assert SealedLog.open(tmp_path).tiles.root() == mth(entries_of(tmp_path))


def test_an_open_segment_is_sealed_as_far_as_it_is_written(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 4):
        log.append(read_of(seq, ALICE))
    assert seal(tmp_path) == 3
    assert seal(tmp_path) == 0
    log.append(read_of(4, ALICE))
    assert seal(tmp_path) == 1
    log.close()
    assert seal(tmp_path) == 0
    assert sealed_seqs(tmp_path) == [1, 2, 3, 4]


def test_sealed_segments_are_removed_but_for_the_newest_and_a_new_run_goes_on(tmp_path):
    fill(tmp_path, 100, segment_bytes=2048)
    before = len(segments_in(tmp_path))
    assert before > 3
    seal(tmp_path)
    assert len(segments_in(tmp_path)) == 1
    log = writer(tmp_path, segment_bytes=2048)
    assert log.next_seq() == 101
    log.append(read_of(101, ALICE))
    log.close()
    seal(tmp_path)
    assert sealed_seqs(tmp_path) == list(range(1, 102))
    assert seqs(tmp_path) == list(range(1, 102))


def test_a_frame_that_is_half_written_waits(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    ((_, path), *_) = [each for each in segments_in(tmp_path) if any(each[1].read_bytes()[:8])]
    frame = read_of(2, ALICE)
    at = HEADER_BYTES + len(read_of(1, ALICE))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(frame[: len(frame) // 2])
    assert seal(tmp_path) == 1
    log.append(frame)
    assert seal(tmp_path) == 1
    assert sealed_seqs(tmp_path) == [1, 2]
    log.close()


def test_damage_in_a_finished_segment_is_stepped_over_and_said(tmp_path):
    fill(tmp_path, 20)
    ((name, path),) = segments_in(tmp_path)
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + 3 * len(read_of(1, ALICE, BOB)) + 30] ^= 1
    path.write_bytes(content)
    assert seal(tmp_path) == 21  # 19 records, the damage, and that the digest is another
    found = [each for each in SealedLog.open(tmp_path).records() if each.record.seq == 0]
    assert [type(each.record) for each in found] == [ActRecord, ActRecord]
    assert [each.place.segment for each in found] == [str(name), str(name)]
    assert State.read(tmp_path / TREE).gaps == 2
    assert len([seq for seq in sealed_seqs(tmp_path) if seq]) == 19


@pytest.mark.parametrize("changed", ["never", "read so", "read so, and put back"])
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_segment_that_was_not_read_as_it_was_closed(tmp_path, changed, goes_on):
    log = writer(tmp_path)
    for seq in range(1, 6):
        log.append(read_of(seq, ALICE))
    ((_, path), *_) = [each for each in segments_in(tmp_path) if any(each[1].read_bytes()[:8])]
    second = HEADER_BYTES + len(read_of(1, ALICE))

    def put(frame: bytes) -> None:
        with path.open("r+b") as file:
            file.seek(second)
            file.write(frame)

    one = sealer(tmp_path)
    if changed != "never":
        put(read_of(2, BOB))
    assert one.seal() == 5
    if changed == "read so, and put back":
        put(read_of(2, ALICE))
    log.append(read_of(6, ALICE))
    if not goes_on:
        one.close()
        one = sealer(tmp_path)
    one.seal()
    log.close()
    one.seal()
    one.close()
    assert [seq for seq in sealed_seqs(tmp_path) if seq] == [1, 2, 3, 4, 5, 6]
    is_noticed = changed == "read so" or (goes_on and changed == "read so, and put back")
    assert State.read(tmp_path / TREE).gaps == is_noticed


def test_a_record_longer_than_an_entry_takes_several_leaves(tmp_path):
    items = b"".join(read_item(n, 2, 2) for n in range(1, 5001))
    body = b"".join(read_body_chunk(each, items) for each in (ALICE, BOB, b"carol-locator-03" * 1))
    long = encode_read(2, 5, 7, 1, 9, body)
    log = writer(tmp_path, segment_bytes=1 << 20)
    log.append(read_of(1, ALICE))
    log.append(long)
    log.append(read_of(3, BOB))
    log.close()
    assert seal(tmp_path) == 2 + 2
    sealed = SealedLog.open(tmp_path)
    found = list(sealed.records())
    assert [(each.leaf, each.leaves, each.record.seq) for each in found] == [(0, 1, 1), (1, 2, 2), (3, 1, 3)]
    assert found[1].body == long[8:]
    assert sealed.leaf(2) == found[1]
    assert [each.leaf for each in sealed.records(2)] == [3]
    assert sealed.locations([b"carol-locator-03"]) == [1]
    assert State.read(tmp_path / TREE).records == 3


def test_two_sealers_of_one_directory(tmp_path):
    one = sealer(tmp_path)
    with pytest.raises(AuditUnavailableError):
        sealer(tmp_path)
    one.close()
    sealer(tmp_path).close()


def test_a_sealer_goes_no_further_on_other_tiles_than_its_own(tmp_path):
    fill(tmp_path, 300)
    seal(tmp_path)
    path = tmp_path / TREE / "tile" / "0" / "001.p" / "44"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityFailedError):
        sealer(tmp_path)


def test_a_sealer_goes_no_further_behind_its_own_checkpoint(tmp_path):
    fill(tmp_path, 10)
    seal(tmp_path)
    old = (tmp_path / TREE / "state").read_bytes()
    fill(tmp_path, 10, first=11)
    seal(tmp_path)
    (tmp_path / TREE / "state").write_bytes(old)
    with pytest.raises(LedgerBehindError):
        sealer(tmp_path)


def test_with_a_witness_each_checkpoint_is_cosigned(tmp_path):
    witness = LocalWitness(tmp_path / "witness")
    log_directory = tmp_path / "log"
    log_directory.mkdir()
    fill(log_directory, 10)
    one = sealer(log_directory, witness)
    one.seal()
    assert one.is_cosigned
    for name in (CHECKPOINT, COSIGNED):
        note, checkpoint = read_note(log_directory / TREE / name, [KEY])
        assert [each.name for each in note.signatures] == [KEY.name, "w"]
        assert checkpoint.size == 10
    fill(log_directory, 300, first=11)
    one.seal()
    one.close()
    ((remembered, _),) = witness.state.remembered()
    assert remembered.size == 310
    witness.close()


def test_a_tree_that_was_rolled_back_with_its_checkpoints_is_noticed_by_the_witness(tmp_path):
    witness = LocalWitness(tmp_path / "witness")
    log_directory = tmp_path / "log"
    log_directory.mkdir()
    fill(log_directory, 10)
    seal(log_directory, witness)
    copy = {path: path.read_bytes() for path in log_directory.rglob("*") if path.is_file()}
    fill(log_directory, 10, first=11)
    seal(log_directory, witness)
    for path in [each for each in log_directory.rglob("*") if each.is_file()]:
        path.unlink()
    for path, content in copy.items():
        path.write_bytes(content)
    log = writer(log_directory)
    log.append(read_of(21, BOB))  # another history than the one that the witness has seen
    log.close()
    with pytest.raises(LedgerBehindError):
        seal(log_directory, witness)
    witness.close()


def test_a_round_that_the_disk_refuses_is_made_again(tmp_path, monkeypatch):
    log, one = writer(tmp_path), sealer(tmp_path)
    for upto in (300, 600, 900):
        for _ in range(300):
            log.append(read_of(log.next_seq(), ALICE))
        if upto == 600:
            with monkeypatch.context() as refusing:
                refusing.setattr(State, "write", Mock(side_effect=OSError(errno.ENOSPC, "full")))
                with pytest.raises(AuditUnavailableError):
                    one.seal()
        one.seal()
    one.close()
    log.close()
    assert sealed_seqs(tmp_path) == list(range(1, 901))
    assert SealedLog.open(tmp_path).tiles.root() == mth(entries_of(tmp_path))


def test_a_sealer_that_is_opened_again_goes_on_where_another_left_off(tmp_path):
    log, one = writer(tmp_path), sealer(tmp_path)
    for upto in (100, 200, 300):
        for _ in range(100):
            log.append(read_of(log.next_seq(), ALICE))
        if upto == 200:
            one.close()
            seal(tmp_path)
            one.open()
        else:
            one.seal()
    one.close()
    log.close()
    assert sealed_seqs(tmp_path) == list(range(1, 301))
    assert SealedLog.open(tmp_path).tiles.root() == mth(entries_of(tmp_path))
