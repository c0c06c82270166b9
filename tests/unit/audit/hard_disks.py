"""Disks that refuse: scenarios that need a process of their own (a mount, a limit, another user).

Run as `python -m tests.unit.audit.hard_disks <scenario> <directory>`; a failed assertion is the
answer. `test_hard_disks.py` starts them.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

from tests.unit.audit.samples import ALICE, eventually, read_of, seqs, writer
from vault.audit.check import check, status
from vault.audit.layout import HEADER_BYTES, segments_in
from vault.audit.segments import SegmentWriter
from vault.errors import AuditUnavailableError

SEGMENT_BYTES = 64 * 1024


def append(log: SegmentWriter) -> int:
    seq = log.next_seq()
    log.append(read_of(seq, ALICE))
    return seq


def refused(log: SegmentWriter, kept: list[int] | None = None) -> str:
    """The cause of the refusal of one append; empty if it was written, then also told to `kept`."""
    try:
        seq = append(log)
    except AuditUnavailableError as error:
        return error.details["cause"]
    if kept is not None:
        kept.append(seq)
    return ""


def fill(directory: Path) -> Path:
    """Takes every free byte of the file system."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def fills_up(directory: Path) -> None:
    log = writer(directory)
    eventually(lambda: log.status().has_spare)
    ballast = fill(directory)
    kept: list[int] = []
    while not (cause := refused(log, kept)):
        pass
    assert cause == "ENOSPC"
    frame_bytes = len(read_of(1, ALICE))
    assert len(kept) == 2 * ((SEGMENT_BYTES - HEADER_BYTES) // frame_bytes), (
        "the current and the spare segment"
    )
    assert not log.status().writable
    assert not status(directory, SEGMENT_BYTES).writable
    assert seqs(directory) == kept
    ballast.unlink()
    eventually(lambda: log.status().writable)
    kept.append(append(log))
    log.close()
    assert seqs(directory) == kept
    assert list(check(directory)) == []
    assert status(directory, SEGMENT_BYTES).writable


def starts_full(directory: Path) -> None:
    ballast = fill(directory)
    log = writer(directory)
    assert refused(log) == "ENOSPC"
    assert not log.status().writable
    ballast.unlink()
    eventually(lambda: log.status().writable)
    assert append(log) >= 1
    log.close()
    assert len(seqs(directory)) == 1
    assert status(directory).gaps == 0


def restarts_full_on_what_a_killed_run_left(directory: Path) -> None:
    if os.fork() == 0:
        append(left := writer(directory))
        eventually(lambda: left.status().has_spare)
        os._exit(0)
    os.wait()
    fill(directory)
    log = writer(directory)
    assert append(log) == 2
    assert seqs(directory) == [1, 2]
    log.close()


def is_read_only(directory: Path) -> None:
    remount = ["mount", "-o"]
    subprocess.run([*remount, "remount,ro", directory], check=True)
    log = writer(directory)
    assert refused(log) == "EROFS"
    assert not status(directory).writable
    subprocess.run([*remount, "remount,rw", directory], check=True)
    eventually(lambda: log.status().writable)
    append(log)
    log.close()


def forbids(directory: Path) -> None:
    directory.chmod(0o500)
    os.chdir(directory)
    if os.geteuid() == 0:
        os.chown(".", 65534, 65534)
        os.setuid(65534)
    log = writer(Path())
    assert refused(log) == "EACCES"
    Path().chmod(0o700)
    eventually(lambda: log.status().writable)
    append(log)
    log.close()


def writes_short(directory: Path) -> None:
    log = writer(directory)
    kept = [append(log)]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(len(read_of(1, ALICE))):
        used = log.status().used_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + room, hard))
        assert refused(log) == "EFBIG"
        assert not log.status().writable
        (path,) = (path for _, path in segments_in(directory) if path.name == log.status().segment)
        assert not any(path.read_bytes()[used:]), "remains of the refused record"
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        kept.append(append(log))
    log.close()
    assert seqs(directory) == kept
    assert list(check(directory)) == []


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        fills_up,
        starts_full,
        restarts_full_on_what_a_killed_run_left,
        is_read_only,
        forbids,
        writes_short,
    )
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
