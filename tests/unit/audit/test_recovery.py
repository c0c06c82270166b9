import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.audit.samples import ALICE, BOB, eventually, read_of, seqs, writer
from vault.audit.check import check, status
from vault.audit.layout import FIXED_BYTES, HEADER_BYTES, pack_fixed, parse_fixed, segments_in
from vault.audit.reader import Damage, Entry, records
from vault.audit.records import ActRecord, gap_act

ROOT = Path(__file__).parents[3]
ENDLESS_WRITER = """
import sys, itertools
from pathlib import Path
from tests.unit.audit.samples import ALICE, read_of, writer
log = writer(Path(sys.argv[1]))
while True:
    seq = log.next_seq()
    log.append(read_of(seq, *[ALICE] * (seq % 30)))
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


def gap_details(directory: Path) -> list[dict[str, object]]:
    acts = [e.record for e in records(directory) if isinstance(e, Entry) and isinstance(e.record, ActRecord)]
    return [json.loads(act.detail) for act in acts if act.action == "AuditGap"]


def left_open(tmp_path: Path, frames: list[bytes], **options: object) -> tuple[Path, Path]:
    """A directory as a run leaves it that ended without closing: its segment, without the spare."""
    running, left = tmp_path / "running", tmp_path / "left"
    running.mkdir()
    left.mkdir()
    log = writer(running, **options)
    for frame in frames:
        log.append(frame)
    segment = Path(shutil.copy(running / log.status().segment, left))
    log.close()
    return left, segment


def test_a_killed_writer_loses_nothing_and_leaves_no_gap(tmp_path):
    acknowledged: set[int] = set()
    for run in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS_WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.05 * run)
        os.kill(process.pid, signal.SIGKILL)
        lines = [first, *process.stdout.read().splitlines(keepends=True)]
        process.wait()
        process.stdout.close()
        seen = {int(line) for line in lines if line.endswith("\n")}
        assert acknowledged.isdisjoint(seen), "a seq was given twice"
        acknowledged |= seen
        assert acknowledged <= set(seqs(tmp_path))
    log = writer(tmp_path)
    log.append(read_of(log.next_seq(), ALICE))
    log.close()
    assert acknowledged <= set(seqs(tmp_path))
    assert status(tmp_path).gaps == 0
    assert list(check(tmp_path)) == []


def test_a_tail_torn_at_any_byte_is_one_gap(tmp_path):
    first, second = read_of(1, ALICE), read_of(2, BOB)
    left, segment = left_open(tmp_path, [first, second])
    whole = segment.read_bytes()
    start = HEADER_BYTES + len(first)
    for cut in range(start, start + len(second) + 1):
        torn = whole[:cut].ljust(len(whole), b"\0")
        for _, path in segments_in(left):
            path.unlink()
        segment.write_bytes(torn)
        before = [type(entry) for entry in records(left)]
        log = writer(left)
        log.append(read_of(log.next_seq(), ALICE))
        log.close()

        is_torn = any(torn[start:]) and torn != whole
        assert before == [Entry] * (2 if torn == whole else 1), "a torn tail may still be on its way"
        assert status(left).gaps == is_torn, cut
        assert [detail["offset"] for detail in gap_details(left)] == [start] * is_torn
        found = [entry.record.seq for entry in records(left) if isinstance(entry, Entry)]
        assert found[:1] == [1]
        assert len(found) == len(set(found))


def test_a_gap_is_found_once(tmp_path):
    left, segment = left_open(tmp_path, [read_of(1, ALICE)])
    with segment.open("r+b") as file:
        file.seek(HEADER_BYTES + len(read_of(1, ALICE)))
        file.write(b"\0\0\0\x50torn")
    for _ in range(3):
        log = writer(left)
        log.append(read_of(log.next_seq(), ALICE))
        log.close()
    assert status(left).gaps == 1
    assert [entry for entry in records(left) if isinstance(entry, Damage)] == [
        Damage(segment.name, HEADER_BYTES + len(read_of(1, ALICE)), 8)
    ]


def test_records_behind_a_lost_page_are_kept(tmp_path):
    frames = [read_of(seq, ALICE, BOB) for seq in range(1, 101)]
    left, segment = left_open(tmp_path, frames)
    with segment.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    log = writer(left)
    log.close()
    per_page = 4096 // len(frames[0])
    found = [entry.record.seq for entry in records(left) if isinstance(entry, Entry)]
    assert len(found) >= 100 - per_page - 2
    assert 100 in found
    assert status(left).gaps == 1


@pytest.mark.parametrize(("sync", "gaps"), [("interval", 1), ("always", 0)])
def test_left_open_by_another_boot_may_miss_records_unless_always_synced(tmp_path, sync, gaps):
    left, segment = left_open(tmp_path, [read_of(1, ALICE)], sync=sync)
    content = segment.read_bytes()
    fixed = parse_fixed(content)
    assert fixed is not None
    segment.write_bytes(pack_fixed(replace(fixed, boot_id=b"another boot id!")) + content[FIXED_BYTES:])
    for _ in range(2):
        log = writer(left)
        log.append(read_of(log.next_seq(), ALICE))
        log.close()
    assert status(left).gaps == gaps
    assert len(gap_details(left)) == gaps


def test_what_is_left_open_is_cut_and_linked(tmp_path):
    left, segment = left_open(tmp_path, [read_of(41, ALICE)])
    log = writer(left)
    assert log.next_seq() == 42
    log.append(read_of(42, ALICE))
    log.close()
    assert segment.stat().st_size == HEADER_BYTES + len(read_of(41, ALICE))
    assert list(check(left)) == []


def test_gaps_of_an_earlier_run_are_counted_again_when_it_was_killed(tmp_path):
    left, _ = left_open(tmp_path, [read_of(1, ALICE), gap_act(2, 3, "{}")])
    assert status(left).gaps == 1
    writer(left).close()
    assert status(left).gaps == 1


def test_a_live_writer_of_the_same_name_is_not_recovered(tmp_path):
    live = writer(tmp_path)
    live.append(read_of(1, ALICE))
    eventually(lambda: live.status().has_spare)
    other = writer(tmp_path)
    other.append(read_of(2, ALICE))
    other.close()
    live.append(read_of(3, ALICE))
    live.close()
    assert sorted(seqs(tmp_path)) == [1, 2, 3]


def test_a_file_made_but_not_filled_is_removed(tmp_path):
    (tmp_path / "w0-1700000000000-000007.seg").touch()
    log = writer(tmp_path)
    log.append(read_of(log.next_seq(), ALICE))
    log.close()
    ((name, _),) = segments_in(tmp_path)
    assert name.number == 8
