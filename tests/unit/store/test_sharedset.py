"""A shared set behaves as a Python set does, for several processes at once, and through kill -9."""

import errno
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import StorageFullError, StorageStoppedError
from vault.store.sharedset import FIRST_FLAG, MAX_MEMBERS, SECOND_FLAG, SetState, SharedSet


def quiet(_: SetState) -> int:
    return 0


def member(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedSet]:
    made = SharedSet(tmp_path / "set")
    yield made
    made.close()


# Few distinct low bits, so that members collide and probes run over the end of a region.
members = st.sets(st.integers(0, 300).map(lambda number: member(number << 32 | number % 5)), max_size=40)
batches = st.lists(st.tuples(members, st.integers(1, 120)), max_size=12)


@given(batches=batches)
def test_it_is_a_set_with_a_limit(batches: list[tuple[set[bytes], int]], tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("set") / "set"
    handles = SharedSet(path), SharedSet(path)
    model: set[bytes] = set()
    for turn, (batch, limit) in enumerate(batches):
        united = {each if any(each) else member(1) for each in batch} | model
        fits = len(united) <= limit
        assert handles[turn % 2].add(batch, limit, quiet) == fits
        model = united if fits else model
        assert handles[(turn + 1) % 2].state() == SetState(len(model))
    for handle in handles:
        handle.close()


def test_a_call_that_goes_beyond_adds_nothing(shared: SharedSet) -> None:
    assert shared.add([member(1), member(2)], 3, quiet)
    assert not shared.add([member(3), member(4)], 3, quiet)
    assert shared.state().count == 2
    assert shared.add([member(1), member(2), member(3)], 3, quiet)


def test_the_reaction_sees_what_it_would_come_to_and_its_flags_stay(shared: SharedSet) -> None:
    seen: list[SetState] = []

    def react(state: SetState) -> int:
        seen.append(state)
        return FIRST_FLAG if state.count >= 2 else 0

    shared.add([member(1)], 2, react)
    shared.add([member(2)], 2, react)
    shared.add([member(3)], 2, lambda state: seen.append(state) or SECOND_FLAG)  # type: ignore[func-returns-value]
    assert seen == [SetState(1), SetState(2), SetState(3, FIRST_FLAG)]
    assert shared.state() == SetState(2, FIRST_FLAG | SECOND_FLAG)


def test_a_reaction_that_fails_leaves_the_set_as_it_was(shared: SharedSet) -> None:
    def fail(_: SetState) -> int:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shared.add([member(1)], 10, fail)
    assert shared.state() == SetState()
    assert shared.add([member(2)], 10, quiet)  # nor is it left locked


def test_a_higher_limit_makes_room_and_another_handle_notices(tmp_path: Path) -> None:
    first, second = SharedSet(tmp_path / "set"), SharedSet(tmp_path / "set")
    few, many = [member(n) for n in range(1, 40)], [member(n) for n in range(20, 3000)]
    assert first.add(few, 40, quiet)
    assert second.add(many, 4000, quiet)
    assert first.add([*few, *many], 4000, quiet)
    assert first.state().count == second.state().count == 2999
    first.close()
    second.close()


def test_limits_may_grow_from_the_least_to_the_most(shared: SharedSet) -> None:
    limit, number = 1, 0
    while limit <= MAX_MEMBERS:
        number += 1
        assert shared.add([member(number)], limit, quiet)
        limit *= 2
    assert shared.add([member(each) for each in range(1, number + 1)], number, quiet)
    assert shared.state().count == number


def test_a_set_outlives_its_processes(tmp_path: Path) -> None:
    for _ in range(2):
        shared = SharedSet(tmp_path / "set")
        assert shared.add([member(1), member(2)], 2, quiet)
        assert shared.state().count == 2
        shared.close()


ADDING = """
import sys
from pathlib import Path
from vault.store.sharedset import SharedSet
shared = SharedSet(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
first, step, limit = map(int, sys.argv[2:])
added = 0
for start in range(first, 3000, step):
    batch = [number.to_bytes(8, "big") for number in range(start, start + 10)]
    added += shared.add(batch, limit, lambda state: 0)
print(added, flush=True)
"""


def adding(path: Path, first: int, step: int, limit: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", ADDING, str(path), str(first), str(step), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(processes: "list[subprocess.Popen[str]]") -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def test_processes_that_add_at_once_never_pass_the_limit_and_lose_nothing(tmp_path: Path) -> None:
    path, limit = tmp_path / "set", 1234
    processes = [adding(path, first, 7, limit) for first in (0, 2, 4)]  # overlapping batches
    go(processes)
    added = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert all(added)
    shared = SharedSet(path)
    count = shared.state().count
    # Every batch that was refused had more new members than there was room for, at most ten of them.
    assert limit - 10 < count <= limit
    held = sum(shared.add([member(number)], count, quiet) for number in range(3010))
    assert held == count + 1  # zeros stand for 1, which is counted once
    shared.close()


def test_a_process_that_is_killed_while_it_adds_loses_no_count(tmp_path: Path) -> None:
    path = tmp_path / "set"
    process = adding(path, 0, 1, 100_000)
    go([process])
    shared = SharedSet(path)
    while not shared.state().count:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    count = shared.state().count
    held = sum(shared.add([member(number)], count, quiet) for number in range(1, 3010))
    assert held == count
    shared.close()


def test_a_change_that_was_interrupted_is_counted_anew(tmp_path: Path, shared: SharedSet) -> None:
    shared.add([member(1), member(2), member(3)], 10, quiet)
    with (tmp_path / "set").open("r+b") as file:
        file.seek(8)
        file.write(struct.pack(">QQ", 1, 1 | FIRST_FLAG))
    assert shared.state() == SetState(3, FIRST_FLAG)


def test_a_full_disk_is_an_error_and_adds_nothing(shared: SharedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shared.add([member(1)], 10, quiet)
    with monkeypatch.context() as patched:
        patched.setattr("os.posix_fallocate", full)
        with pytest.raises(StorageFullError):
            shared.add([member(number) for number in range(500)], 1000, quiet)
    assert shared.state().count == 1


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageStoppedError):
        SharedSet(tmp_path / "gone" / "set")
