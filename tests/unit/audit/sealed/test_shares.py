"""However many processes look through a log, they say the same, and none of them stays."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path

import pytest

from tests.unit.audit.samples import ALICE, BOB, writer
from tests.unit.audit.samples import read_of as a_read
from tests.unit.audit.sealed.samples import KEY, seal, sign
from vault.audit.sealed import shares
from vault.audit.sealed.checkpoints import TiledLog
from vault.audit.sealed.files import CHECKPOINT, TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.parts import PART_LEAVES, count_parts
from vault.audit.sealed.retention import Truncation, truncate
from vault.audit.sealed.verifying import Report, verify
from vault.errors import AuditUnavailableError
from vault.tlog.merkle import HASH_BYTES, leaf_hash
from vault.tlog.tiles import entries_path, join_entries, split_entries, tile_path, tile_root

SIZE = 2 * PART_LEAVES + 700
LONG = tuple(bytes([n % 256, n // 256, *range(14)]) for n in range(4000))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Three parts; numbers that are missing, a clock that goes back, long records, two workers."""
    directory = tmp_path_factory.mktemp("log")
    logs = [writer(directory, name, segment_bytes=1 << 24) for name in ("w0", "w1")]
    seqs, seq = [0, 0], 0
    leaves = 0
    while leaves < SIZE:
        seq += 1
        who = seq % 300 == 7
        seqs[who] += 1 + (seq % 40_000 == 9)
        customers = LONG if seq % 30_000 == 5 else (ALICE,) if seq % 3 else (BOB,)
        logs[who].append(a_read(seqs[who], *customers, time_ms=10_000_000 + seq - 5000 * (seq % 50_000 == 3)))
        leaves += 3 if customers is LONG else 1
    for log in logs:
        log.close()
    seal(directory)
    assert SealedLog.open(directory).size == leaves
    assert count_parts(leaves) == 3
    return directory / TREE


@pytest.fixture
def tree(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / TREE, copy_function=os.link))


def change(path: Path, at: int) -> None:
    """Flips a bit; the file is a new one, since the copies are links."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    put(path, bytes(content))


def put(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def forge(tree: Path, index: int, entries: list[bytes]) -> None:
    """Puts other entries into a bundle and makes all hashes over it anew, as whoever holds the key can."""
    size, hashes = SealedLog.open(tree.parent).size, b"".join(map(leaf_hash, entries))
    put(tree / entries_path(index), join_entries(entries))
    put(tree / tile_path(0, index), hashes)
    for level, width in ((1, 256), (2, 2)):
        index, at = divmod(index, 256)
        above = bytearray((tree / tile_path(level, index, width)).read_bytes())
        above[at * HASH_BYTES : (at + 1) * HASH_BYTES] = tile_root(hashes)
        hashes = bytes(above)
        put(tree / tile_path(level, index, width), hashes)
    note = TiledLog(TreeFiles(tree), size, KEY.name).checkpoint().signed(KEY, sign)
    put(tree / CHECKPOINT, note.encode())


def entries_in(tree: Path, index: int) -> list[bytes]:
    return split_entries((tree / entries_path(index)).read_bytes())


def alike(tree: Path) -> Report:
    """What one process finds, and so do two, and one for each part."""
    alone = verify(tree, [KEY], processes=1)
    for processes in (2, 5):
        assert astuple(verify(tree, [KEY], processes=processes)) == astuple(alone)
    return alone


def test_a_log_that_holds(tree):
    told: list[tuple[int, int]] = []
    report = alike(tree)
    assert report.errors == []
    assert report.notes == [
        "w0: 4 numbers have no record (refused, or dropped before sealing)",
        "w0: its clock went back by 5.0 s",
    ]
    assert verify(tree, [KEY], processes=2, progress=lambda *at: told.append(at)).records == report.records
    assert told == [(end, report.size) for end in (PART_LEAVES, 2 * PART_LEAVES, report.size)]
    assert _children() == []


@pytest.mark.parametrize("bundle", [0, 255, 256, 400, 511, 512])
def test_a_changed_entry_in_any_part(tree, bundle):
    change(tree / entries_path(bundle), -2)
    (first, *rest) = alike(tree).errors
    assert first == (
        f"an entry is not the one that was sealed: leaves {bundle * 256} to {bundle * 256 + 255}"
    )
    assert rest[-1] == "the root of all entries is not the one that was signed"
    if bundle < 512:
        assert f"a tile is not that of its entries: level 1, number {bundle // 256}" in rest


def test_of_several_damages_the_first_comes_first(tree):
    for index in (513, 300, 3):
        change(tree / entries_path(index), -2)
    changed = [each for each in alike(tree).errors if "sealed" in each]
    assert changed == [
        f"an entry is not the one that was sealed: leaves {index * 256} to {index * 256 + 255}"
        for index in (3, 300, 513)
    ]


@pytest.mark.parametrize(("bundle", "name"), [(2, "entries"), (257, "tile"), (512, "entries")])
def test_what_is_missing_ends_it_there(tree, bundle, name):
    (tree / (entries_path(bundle) if name == "entries" else tile_path(0, bundle))).unlink()
    change(tree / entries_path(1), -2)
    assert alike(tree).errors == [
        "an entry is not the one that was sealed: leaves 256 to 511",
        *(["a tile is not that of its entries: level 1, number 0"] if bundle > 255 else []),
        f"missing or damaged: {name}, leaves {bundle * 256} to {bundle * 256 + 255}",
    ]


def test_more_damage_than_is_told(tree):
    for bundle in range(240, 280):
        change(tree / entries_path(bundle), -2)
    errors = alike(tree).errors
    assert len(errors) == 21
    assert errors[-1] == "and more"


def test_a_record_that_moved_within_the_tree_of_another_checkpoint(tree):
    """Who holds the signing key can make all hashes anew; a record's own place still betrays it."""
    entries = entries_in(tree, 300)
    entries[10], entries[11] = entries[11], entries[10]
    forge(tree, 300, entries)
    (error,) = alike(tree).errors
    assert error == (
        "records do not follow those that stood before them in their segments: "
        f"3 records, the first at leaf {300 * 256 + 10}"
    )


def test_what_is_no_leaf_at_all_is_an_error_not_a_crash(tree):
    entries = entries_in(tree, 40)
    entries[5], entries[6], entries[7] = b"", b"\x00\xff", b"\x09" + entries[7][1:]
    put(tree / entries_path(40), join_entries(entries))
    assert len(alike(tree).errors) == 4
    forge(tree, 40, entries)
    (error,) = alike(tree).errors
    assert error.endswith(f"4 records, the first at leaf {40 * 256 + 5}")


def test_entries_that_were_removed(tree):
    log = SealedLog.open(tree.parent)
    statement = Truncation(KEY.name, 300 * 256, log.size, log.tiles.root(), 5)
    truncate(TreeFiles(tree), statement, KEY, sign)
    report = alike(tree)
    assert (report.errors, report.first) == ([], 300 * 256)
    (tree / entries_path(300)).unlink()
    assert alike(tree).errors == ["missing or damaged: entries, leaves 76800 to 77055"]


def test_a_file_that_cannot_be_read_is_that_error(tree):
    bundle = tree / entries_path(270)
    bundle.unlink()
    bundle.mkdir()
    for processes in (1, 2):
        with pytest.raises(IsADirectoryError) as raised:
            verify(tree, [KEY], processes=processes)
        assert raised.value.filename == str(bundle)
    assert _children() == []


def test_processes_that_are_killed_are_named_as_what_they_are(tree):
    size = SealedLog.open(tree.parent).size
    with shares.sharing(TreeFiles(tree), size, 0, 2) as parts:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(AuditUnavailableError, match="was ended"):
            next(parts)
    with shares.sharing(TreeFiles(tree), size, 0, 2) as parts:
        _, second = _children()
        os.kill(second, signal.SIGSTOP)  # long before it can have imported anything
        assert next(parts).end == PART_LEAVES
        os.kill(second, signal.SIGKILL)
        with pytest.raises(AuditUnavailableError, match="was ended"):
            next(parts)
    assert _children() == []


def test_who_stops_reading_leaves_no_process(tree):
    def stop(_done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(tree, [KEY], processes=3, progress=stop)
    assert _children() == []


def test_processes_end_when_the_one_that_reads_is_killed(tree, tmp_path):
    size = SealedLog.open(tree.parent).size
    program = (
        "import os, signal, sys; from pathlib import Path; from vault.audit.sealed import shares;"
        "from vault.audit.sealed.files import TreeFiles\n"
        f"with shares.sharing(TreeFiles(Path({str(tree)!r})), {size}, 0, 3):\n"
        "    children = Path(f'/proc/self/task/{os.getpid()}/children').read_text()\n"
        "    print(children, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert (done.returncode, len(pids), done.stderr) == (-signal.SIGKILL, 3, "")
    end = time.monotonic() + 60
    while any(_is_share(Path(f"/proc/{pid}")) for pid in pids):
        assert time.monotonic() < end, "a process stays"
        time.sleep(0.02)


def test_one_core_or_a_small_log_starts_no_process(tree, monkeypatch):
    monkeypatch.setattr(shares, "_WORTH_PARTS", 1)
    monkeypatch.setattr(shares, "_cores", lambda: 1)
    children: list[int] = []
    report = verify(tree, [KEY], progress=lambda *_: children.extend(_children()))
    assert (report.errors, children) == ([], [])
    monkeypatch.setattr(shares, "_cores", lambda: 2)
    assert verify(tree, [KEY], progress=lambda *_: children.extend(_children())).errors == []
    assert children
    monkeypatch.setattr(shares, "_WORTH_PARTS", 4)
    children.clear()
    assert verify(tree, [KEY], progress=lambda *_: children.extend(_children())).errors == []
    assert children == []


def _children() -> list[int]:
    """The processes that look through a log for this one, in the order of their start."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(path.joinpath("stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and _is_share(path):
            *_, start, _, _ = path.joinpath("cmdline").read_bytes().split(b"\0")
            found.append((int(start), int(path.name)))
    return [pid for _, pid in sorted(found)]


def _is_share(path: Path) -> bool:
    try:
        return b"vault.audit.sealed.shares" in path.joinpath("cmdline").read_bytes()
    except OSError:
        return False
