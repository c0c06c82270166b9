"""Real processes: ended in the middle of a commit, and writing at the same time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.store.crashing import EXIT
from tests.unit.store.samples import REGION, add_customer, recover, sign, verify
from vault.store.inspection import inspect
from vault.store.layout import CustomerRow, value_key
from vault.store.runfiles import lock_holder
from vault.store.store import Store

ROOT = Path(__file__).parents[3]


def start(module: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", f"tests.unit.store.{module}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def crash(root: Path, work: str, step: str) -> int:
    """The customer whose creation was acknowledged before the crash."""
    process = start("crashing", root, work, step)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == EXIT, complaint
    return int(said)


@pytest.fixture
def opened(root: Path) -> Iterator[Store]:
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0, block_numbers=4) as store:
        yield store


@pytest.mark.parametrize("step", ["lock", "ledger", "keyring", "index", "values"])
def test_a_shred_cut_off_at_any_step_is_finished_or_never_began(root: Path, opened: Store, step: str) -> None:
    number = crash(root, "shred", step)
    assert lock_holder(root) is None
    assert recover(opened) == (1 if step in ("ledger", "keyring", "index") else 0)
    with opened.snapshot() as snapshot, opened.keyring() as keys:
        row = snapshot.get(value_key(REGION, number))
        assert row is not None
        assert CustomerRow.unpack(row).shredded == (step != "lock")
        assert keys.count_deks() == (1 if step == "lock" else 0)
    assert not list(inspect(opened))


@pytest.mark.parametrize("step", ["lock", "ledger", "keyring", "index", "values"])
def test_creations_cut_off_at_any_step_leave_no_key_and_use_no_number_twice(
    root: Path, opened: Store, step: str
) -> None:
    last = crash(root, "create", step)
    whole = 6 if step == "values" else 1
    orphans = 5 if step in ("keyring", "index") else 0
    assert [finding.code for finding in inspect(opened)].count("DEK_ORPHAN") == orphans
    used = set(range(1, last + 6)) if step not in ("lock", "ledger") else {last}
    with opened.write() as session:
        number = add_customer(session)
        assert session.dek(REGION, number, 1) is not None
        session.commit()
    assert number not in used
    with opened.snapshot() as snapshot, opened.keyring() as keys:
        assert len(list(snapshot.customers())) == whole + 1
        assert keys.count_deks() == whole + 1
        assert snapshot.meta.next_customer_no > number
    leftover = [finding.code for finding in inspect(opened)]
    # Index rows without a customer stay until they are adopted; none of them is an error.
    assert leftover == ["INDEX_ORPHAN"] * (5 if step == "index" else 0)


def test_orphans_stay_skipped_when_their_removal_is_cut_off_too(root: Path) -> None:
    last = crash(root, "create", "keyring")
    process = subprocess.run(
        [sys.executable, "-c", _REMOVE_AND_DIE, str(root)], cwd=ROOT, capture_output=True, timeout=60
    )
    assert process.returncode == EXIT, process.stderr
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0) as store, store.write() as session:
        assert session.generations(REGION, last + 1) == []  # the orphans are gone
        assert session.next_customer_no() > last + 5  # and their numbers with them


_REMOVE_AND_DIE = """
import os, sys
from pathlib import Path
from tests.unit.store.samples import sign
from vault.store.store import Store
die = lambda step: os._exit(9) if step == "keyring" else None
store = Store.open(Path(sys.argv[1]), sign=sign, after_step=die, low_water_bytes=0)
with store.write() as session:
    session.commit()
"""


def test_two_processes_never_get_the_same_number(root: Path, opened: Store) -> None:
    turns = 40
    processes = [start("writing", root, str(turns)) for _ in range(2)]
    mine = []
    for _ in range(turns):
        with opened.write() as session:
            mine.append(add_customer(session))
            session.commit()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    numbers = [int(number) for output, _ in said for number in output.split()] + mine
    assert len(numbers) == 2 * 3 * turns + turns
    assert len(set(numbers)) == len(numbers)
    assert not list(inspect(opened))
    opened.verify_ledger()


def test_a_killed_holder_gives_way_to_the_next(root: Path, opened: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    holder = lock_holder(root)
    assert holder is not None
    assert holder.pid == process.pid
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.05)
    assert holder.held_seconds > 0.05
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert lock_holder(root) is None
    with opened.write() as session:
        assert session.row("names", b"a") is None  # nothing uncommitted is seen
        assert add_customer(session) == 1
        session.commit()
    assert opened.reader_check() >= 0
    assert not list(inspect(opened))


_HOLD = """
import sys, time
from pathlib import Path
from tests.unit.store.samples import sign
from vault.store.store import Store
store = Store.open(Path(sys.argv[1]), sign=sign, low_water_bytes=0)
with store.write() as session:
    session.put_row("names", b"a", b"b")
    print("holding", flush=True)
    time.sleep(60)
"""


def test_slots_of_killed_readers_are_freed(root: Path, opened: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _READ, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    with opened.write() as session:
        add_customer(session)
        session.commit()
    reading = [slot for slot in opened.readers() if slot.pid == process.pid and slot.behind]
    assert [(slot.plane, slot.behind) for slot in reading] == [("values", 1)]
    process.kill()
    process.communicate()
    assert opened.reader_check() > 0
    assert process.pid not in {slot.pid for slot in opened.readers()}


_READ = """
import sys, time
from pathlib import Path
from vault.store.store import Store
store = Store.open(Path(sys.argv[1]), low_water_bytes=0)
with store.snapshot() as snapshot:
    print("reading", flush=True)
    time.sleep(60)
"""
