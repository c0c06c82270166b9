"""What processes tell each other in `run/`: who holds the lock, and that writes are stopped."""

import os
import struct
import time
from pathlib import Path

import pytest

from vault.errors import StorageStoppedError
from vault.store.runfiles import (
    HolderFile,
    lock_holder,
    require_writes,
    resume_writes,
    stop_writes,
    stopped_reason,
)

SLOT = struct.Struct(">IQQ")
NOBODY = 2**22 + 1  # above the kernel's largest process id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def slots(root: Path) -> list[tuple[int, int, int]]:
    content = (root / "run" / "lock-holder").read_bytes().rstrip(b"\0")
    content += bytes(-len(content) % SLOT.size)
    return list(SLOT.iter_unpack(content))


def test_nobody_holds_the_lock_of_a_vault_that_never_ran(root: Path) -> None:
    assert lock_holder(root) is None


def test_the_holder_is_named_from_take_to_clear(root: Path) -> None:
    mine = HolderFile(root)
    assert lock_holder(root) is None
    before = time.monotonic_ns()
    assert not mine.take()
    holder = lock_holder(root)
    assert holder is not None
    assert holder.pid == os.getpid()
    assert before <= holder.since_ns <= time.monotonic_ns()
    mine.clear()
    assert lock_holder(root) is None
    mine.close()
    assert slots(root) == []


def test_striking_oneself_out_leaves_the_next_holder_in(root: Path) -> None:
    first, second = HolderFile(root), HolderFile(root)
    first.take()
    second.take()  # the first has committed, and not yet struck itself out
    overlapping = lock_holder(root)
    first.clear()
    after = lock_holder(root)
    assert overlapping is not None
    assert after is not None
    assert overlapping.since_ns < after.since_ns
    second.close()
    first.close()


def test_a_dead_holder_is_told_to_the_next_and_to_nobody_else(root: Path) -> None:
    (root / "run" / "lock-holder").write_bytes(SLOT.pack(NOBODY, 5, 7))
    assert lock_holder(root) is None
    mine = HolderFile(root)
    assert slots(root)[0] == (NOBODY, 5, 7)  # kept for the next holder to find
    assert mine.take()
    mine.clear()
    assert not mine.take()
    mine.close()


def test_a_later_process_with_the_same_id_is_not_the_holder(root: Path) -> None:
    (root / "run" / "lock-holder").write_bytes(SLOT.pack(os.getpid(), 1, 7))
    assert lock_holder(root) is None


def test_slots_of_the_dead_are_used_again(root: Path) -> None:
    (root / "run" / "lock-holder").write_bytes(SLOT.pack(NOBODY, 5, 0) * 3)
    held = [HolderFile(root) for _ in range(5)]
    assert [pid for pid, _, _ in slots(root)] == [os.getpid()] * 5
    for each in held:
        each.close()


def test_stopped_writes_say_why(root: Path) -> None:
    require_writes(root)
    assert stopped_reason(root) is None
    stop_writes(root, "commit-failed", 1_000)
    stop_writes(root, "a later reason", 2_000)
    assert stopped_reason(root) == "commit-failed"
    with pytest.raises(StorageStoppedError) as stopped:
        require_writes(root)
    assert stopped.value.details == {"cause": "commit-failed"}
    resume_writes(root)
    resume_writes(root)
    require_writes(root)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_mark_without_its_reason_still_stops(root: Path, content: str) -> None:
    (root / "run" / "writes-stopped").write_text(content)
    assert stopped_reason(root) == "unknown"
    with pytest.raises(StorageStoppedError):
        require_writes(root)
