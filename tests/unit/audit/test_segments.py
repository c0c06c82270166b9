import os
import stat
import threading
from pathlib import Path

import pytest

from tests.unit.audit.samples import ALICE, NOW, VAULT_ID, eventually, read_of, seqs, writer
from vault.audit.check import check, status
from vault.audit.layout import HEADER_BYTES, State, Sync, parse_closing, parse_fixed, segments_in
from vault.audit.segments import SegmentWriter
from vault.errors import AuditUnavailableError


def test_what_is_appended_can_be_read_at_once(tmp_path):
    log = writer(tmp_path)
    for _ in range(3):
        log.append(read_of(log.next_seq(), ALICE))
        assert seqs(tmp_path)[-1] == log.status().records
    log.close()
    assert seqs(tmp_path) == [1, 2, 3]


def test_a_segment_is_preallocated_private_and_cut_when_closed(tmp_path):
    log = writer(tmp_path, clock=lambda: NOW)
    frame = read_of(log.next_seq(), ALICE)
    log.append(frame)
    eventually(lambda: log.status().has_spare)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"w0-{NOW}-000001.seg", f"w0-{NOW}-000002.seg"]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size == 64 * 1024
        assert path.stat().st_blocks * 512 >= 64 * 1024
    log.close()
    (closed,) = tmp_path.iterdir()
    assert closed.stat().st_size == HEADER_BYTES + len(frame)


def test_the_header_says_what_is_known(tmp_path):
    log = writer(tmp_path, sync="always", clock=lambda: NOW)
    log.append(read_of(log.next_seq(), ALICE, time_ms=NOW + 5))
    log.append(read_of(log.next_seq(), ALICE, time_ms=NOW + 3))
    log.close()
    (path,) = tmp_path.iterdir()
    fixed, closing = parse_fixed(path.read_bytes()), parse_closing(path.read_bytes())
    assert fixed is not None
    assert closing is not None
    assert (fixed.worker, fixed.vault_id, fixed.number, fixed.start_seq) == ("w0", VAULT_ID, 1, 1)
    assert (fixed.start_ms, fixed.sync) == (NOW, Sync.ALWAYS)
    assert (closing.state, closing.records, closing.gaps, closing.used) == (
        State.CLOSED,
        2,
        0,
        path.stat().st_size,
    )
    assert (closing.first_ms, closing.last_ms, closing.last_seq) == (NOW + 3, NOW + 5, 2)


def test_full_segments_roll_over_into_a_chain(tmp_path):
    log = writer(tmp_path)
    for _ in range(2000):
        log.append(read_of(log.next_seq(), ALICE))
    log.close()
    assert seqs(tmp_path) == list(range(1, 2001))
    assert len(segments_in(tmp_path)) > 2
    assert list(check(tmp_path)) == []
    counted = status(tmp_path)
    assert (counted.records, counted.gaps, counted.damaged) == (2000, 0, 0)


def test_threads_lose_and_tear_nothing(tmp_path):
    log = writer(tmp_path, sync_interval_ms=2)
    taken: list[list[int]] = [[] for _ in range(8)]

    def append_many(mine: list[int]) -> None:
        for _ in range(400):
            seq = log.next_seq()
            log.append(read_of(seq, *[ALICE] * (seq % 20)))
            mine.append(seq)

    threads = [threading.Thread(target=append_many, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(seqs(tmp_path)) == sorted(seq for mine in taken for seq in mine) == list(range(1, 3201))
    assert list(check(tmp_path)) == []


def test_records_are_synced_within_the_interval(tmp_path):
    log = writer(tmp_path, sync_interval_ms=400)
    log.append(read_of(log.next_seq(), ALICE))
    assert log.status().unsynced_records == 1
    eventually(lambda: log.status().unsynced_records == 0)
    assert log.status().sync_interval_ms == 400
    log.close()


def test_always_means_synced_before_append_returns(tmp_path):
    log = writer(tmp_path, sync="always")

    def append_many() -> None:
        for _ in range(10):
            log.append(read_of(log.next_seq(), ALICE))

    threads = [threading.Thread(target=append_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (log.status().unsynced_records, log.status().sync_interval_ms) == (0, 0)
    log.close()
    assert sorted(seqs(tmp_path)) == list(range(1, 41))


def test_each_start_begins_a_new_file_and_goes_on_counting(tmp_path):
    for run in range(3):
        log = writer(tmp_path, clock=lambda: NOW)
        assert log.next_seq() == run + 1
        log.append(read_of(run + 1, ALICE))
        log.close()
    assert len(segments_in(tmp_path)) == 3
    assert seqs(tmp_path) == [1, 2, 3]
    assert list(check(tmp_path)) == []


def test_a_run_without_records_leaves_nothing(tmp_path):
    for _ in range(2):
        writer(tmp_path).close()
        assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_share_no_file(tmp_path):
    first, second = writer(tmp_path, clock=lambda: NOW), writer(tmp_path, clock=lambda: NOW)
    for seq in range(1, 600):
        first.append(read_of(seq, ALICE))
        second.append(read_of(10_000 + seq, ALICE))
    first.close()
    second.close()
    assert sorted(seqs(tmp_path)) == [*range(1, 600), *range(10_001, 10_600)]
    assert status(tmp_path).gaps == 0


def test_a_closed_writer_refuses(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    log.close()
    log.close()
    assert not log.status().writable
    with pytest.raises(AuditUnavailableError):
        log.append(read_of(2, ALICE))


def test_a_record_larger_than_a_segment_is_refused_and_harms_nothing(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    with pytest.raises(AuditUnavailableError) as refused:
        log.append(read_of(2, *[ALICE] * 3000))
    assert refused.value.details["cause"] == "TOO_LARGE"
    log.append(read_of(3, ALICE))
    log.close()
    assert seqs(tmp_path) == [1, 3]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_child_of_a_fork_only_refuses(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the parent sees the exit code
        try:
            log.append(read_of(2, ALICE))
        except AuditUnavailableError:
            log.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    log.append(read_of(3, ALICE))
    log.close()
    assert seqs(tmp_path) == [1, 3]


@pytest.mark.parametrize("name", ["", "../w", "a b", "-w", ".w", "w" * 62])
def test_worker_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="out of range"):
        SegmentWriter(tmp_path, name, vault_id=VAULT_ID)


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    Path(tmp_path / "w0-1-1.seg").write_text("not a segment's name")
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    log.close()
    assert seqs(tmp_path) == [1]
    assert (tmp_path / "notes.txt").read_text() == "keep"
