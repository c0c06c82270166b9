"""A sealer that is killed at any of its steps loses no record, and seals none twice."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, read_of, writer
from tests.unit.audit.sealed.samples import KEY, seal, sealed_seqs, sign
from vault.audit.reader import AccessFilter, Entry, list_access, records
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.retention import Truncation, truncate
from vault.audit.sealed.state import State
from vault.audit.sealed.upkeep import Upkeep
from vault.audit.sealed.verifying import verify

STEPS = ("fsync", "fdatasync", "replace", "unlink", "mkdir", "rmdir", "ftruncate")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Does the work in a child that kills itself at its system call `step`; says if it came so far."""
    child = os.fork()
    if child == 0:
        left = step

        def counting(call: Callable[..., object]) -> Callable[..., object]:
            def counted(*args: object, **options: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)

            return counted

        for name in STEPS:
            setattr(os, name, counting(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def begun(tmp_path):
    """A log of which 300 records are sealed, and 400 more wait in several segments of two workers."""
    directory = tmp_path / "log"
    directory.mkdir()
    for first, last in ((1, 150), (151, 350)):
        for name in ("w0", "w1"):
            log = writer(directory, name, segment_bytes=16384)
            for seq in range(first, last + 1):
                log.append(read_of(seq, ALICE, time_ms=NOW + seq) if seq % 9 else act_of(seq, BOB))
            log.close()
        if last == 150:
            seal(directory)
    return directory


def found(directory: Path) -> list[tuple[str, int]]:
    return sorted((e.segment, e.offset) for e in records(directory) if isinstance(e, Entry))


def test_sealing_can_be_killed_at_every_step(begun, tmp_path):
    expected, step, come_to = found(begun), 0, 0
    while True:
        step += 1
        copy = tmp_path / str(step)
        shutil.copytree(begun, copy)
        if not killed_at(step, lambda copy=copy: seal(copy)):
            break
        come_to = max(come_to, State.read(copy / TREE).size)
        assert found(copy) == expected
        seal(copy)
        seal(copy)
        assert found(copy) == expected
        report = verify(copy / TREE, [KEY])
        assert (report.errors, report.notes, report.size) == ([], [], 700)
        assert all(sealed_seqs(copy, name) == list(range(1, 351)) for name in ("w0", "w1"))
        shutil.rmtree(copy)
    assert step > 20
    assert come_to == 700  # some were killed after the commit


def test_index_compression_and_removal_can_be_killed_at_every_step(begun, tmp_path):
    seal(begun)
    wanted = frozenset([ALICE])
    expected = [
        each.leaf for each in list_access(begun, AccessFilter(locators=wanted, page_size=1000)).accesses
    ]
    kept = [leaf for leaf in expected if leaf >= 256]
    step = 0
    while True:
        step += 1
        copy = tmp_path / str(step)
        shutil.copytree(begun, copy)
        if not killed_at(step, lambda copy=copy: look_after(copy)):
            break
        for _ in range(2):
            held = list_access(copy, AccessFilter(locators=wanted, page_size=1000)).accesses
            assert [each.leaf for each in held] in (expected, kept)
            assert verify(copy / TREE, [KEY]).errors == []
            look_after(copy)
        assert [each.leaf for each in held] == kept
        assert not (copy / TREE / "tile" / "entries" / "000.gz").exists()
        shutil.rmtree(copy)
    assert step > 8


def look_after(directory: Path) -> None:
    files, state = TreeFiles(directory / TREE), State.read(directory / TREE)
    upkeep = Upkeep(files)
    while upkeep.step(state, eager=True):
        pass
    root = SealedLog.open(directory).tiles.root()
    truncate(files, Truncation(KEY.name, 256, state.size, root, NOW), KEY, sign)
