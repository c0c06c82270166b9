import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.audit.samples import ALICE, BOB, VAULT_ID, eventually, read_of, seqs, writer
from vault.audit.check import check, status
from vault.audit.layout import HEADER_BYTES, NO_DIGEST, FixedPart, SegmentName, Sync
from vault.audit.reader import Entry, records
from vault.audit.records import ActRecord
from vault.audit.segment_file import SegmentFile
from vault.errors import AuditUnavailableError

ROOT = Path(__file__).parents[3]
OWN_MOUNTS = ["unshare", "-Urm"]


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def can_mount() -> bool:
    probe = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "scenario", ["fills_up", "starts_full", "restarts_full_on_what_a_killed_run_left", "is_read_only"]
)
def test_a_small_file_system(tmp_path, scenario):
    if not can_mount():
        pytest.skip("no permission to mount a tmpfs in a user namespace")
    mount_and_run = (
        'mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" -m tests.unit.audit.hard_disks "$3" "$1"'
    )
    run(*OWN_MOUNTS, "sh", "-c", mount_and_run, "sh", tmp_path, sys.executable, scenario)


@pytest.mark.parametrize("scenario", ["forbids", "writes_short"])
def test_a_disk_that_refuses(tmp_path, scenario):
    run(sys.executable, "-m", "tests.unit.audit.hard_disks", scenario, tmp_path)


def test_a_removed_directory_refuses_until_it_is_back(tmp_path):
    directory = tmp_path / "audit"
    directory.mkdir()
    log = writer(directory)
    log.append(read_of(log.next_seq(), ALICE))
    eventually(lambda: log.status().unsynced_records == 0 and log.status().has_spare)
    shutil.rmtree(directory)
    with pytest.raises(AuditUnavailableError) as refused:
        log.append(read_of(log.next_seq(), ALICE))
    assert refused.value.details["cause"] == "ENOENT"
    assert not status(directory).writable

    directory.mkdir()
    eventually(lambda: log.status().writable)
    log.append(read_of(100, ALICE))
    log.close()
    assert seqs(directory)[-1] == 100
    assert status(directory).gaps == 1
    assert [finding.problem for finding in check(directory)] == [
        "the segment before it is missing or was changed"
    ]


@pytest.mark.parametrize("sync", ["always", "interval"])
def test_a_failed_sync_is_remembered_until_a_new_segment_exists(tmp_path, sync):
    log = writer(tmp_path, sync=sync)
    log.append(read_of(log.next_seq(), ALICE))
    eventually(lambda: log.status().unsynced_records == 0)
    lost = log.status().segment
    # /dev/null takes writes and refuses fdatasync: what a disk does that fails while it flushes.
    null = os.open("/dev/null", os.O_RDWR)
    assert log._current is not None
    os.dup2(null, log._current.fd)
    os.close(null)

    if sync == "always":
        with pytest.raises(AuditUnavailableError) as refused:
            log.append(read_of(log.next_seq(), ALICE))
        assert refused.value.details["cause"] == "EINVAL"
    else:
        log.append(read_of(log.next_seq(), ALICE))
    eventually(lambda: log.status().segment not in ("", lost) and log.status().gaps == 1)
    log.append(read_of(50, ALICE))
    log.close()

    acts = [e.record for e in records(tmp_path) if isinstance(e, Entry) and isinstance(e.record, ActRecord)]
    assert [act.action for act in acts] == ["AuditGap"]
    assert lost in acts[0].detail
    assert status(tmp_path).gaps == 1
    assert 50 in seqs(tmp_path)


def test_all_who_wait_for_a_sync_that_fails_are_refused(tmp_path):
    log = writer(tmp_path, sync="always")
    log.append(read_of(log.next_seq(), ALICE))
    causes: list[str] = []

    def append() -> None:
        try:
            log.append(read_of(log.next_seq(), ALICE))
        except AuditUnavailableError as error:
            causes.append(error.details["cause"])

    threads = [threading.Thread(target=append) for _ in range(4)]
    with log._sync_lock:
        for thread in threads:
            thread.start()
        eventually(lambda: log.status().records == 5)
        null = os.open("/dev/null", os.O_RDWR)
        assert log._current is not None
        os.dup2(null, log._current.fd)
        os.close(null)
    for thread in threads:
        thread.join()
    assert causes == ["EINVAL"] * 4
    log.close()


def test_what_a_failed_write_may_have_left_is_overwritten(tmp_path):
    segment = SegmentFile.create(tmp_path, SegmentName("w0", 1, 1), 4096)
    segment.begin(FixedPart(Sync.INTERVAL, VAULT_ID, bytes(16), 1, 1, 1, NO_DIGEST, "w0"))
    writable, read_only = os.dup(segment.fd), os.open(segment.path, os.O_RDONLY)
    os.dup2(read_only, segment.fd)
    long, short = read_of(1, ALICE, BOB), read_of(2, ALICE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        segment.write(long)
    os.pwrite(writable, long[:-1], segment.used)
    os.dup2(writable, segment.fd)

    segment.write(short)

    assert segment.path.read_bytes()[HEADER_BYTES:].rstrip(b"\0") == short.rstrip(b"\0")
    assert seqs(tmp_path) == [2]
    for fd in (writable, read_only):
        os.close(fd)
    segment.release()


def test_no_new_segment_after_a_failed_sync_means_no_reads(tmp_path):
    directory = tmp_path / "audit"
    directory.mkdir()
    log = writer(directory, sync="always")
    null = os.open("/dev/null", os.O_RDWR)
    assert log._current is not None
    os.dup2(null, log._current.fd)
    os.close(null)
    directory.rename(tmp_path / "elsewhere")
    for _ in range(3):
        with pytest.raises(AuditUnavailableError):
            log.append(read_of(log.next_seq(), ALICE))
    (tmp_path / "elsewhere").rename(directory)
    eventually(lambda: log.status().writable)
    log.append(read_of(log.next_seq(), ALICE))
    log.close()
    assert status(directory).gaps == 1
