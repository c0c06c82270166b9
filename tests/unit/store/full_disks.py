"""Full disks: scenarios on a small file system of their own; a failed assertion is the answer.

Run as `python -m tests.unit.store.full_disks <scenario> <directory>`; `test_space.py` starts them.
"""

import sys
from io import RawIOBase
from pathlib import Path

import pytest

from tests.unit.store.samples import add_customer, make_vault, recover, shred_customer, sign, verify
from vault.errors import StorageFullError
from vault.store.inspection import inspect
from vault.store.space import free_bytes
from vault.store.store import Store

CUSTOMERS = 300


def open_vault(path: Path, low_water_bytes: int) -> Store:
    return Store.open(path, sign=sign, verify=verify, low_water_bytes=low_water_bytes, reserve_bytes=1 << 20)


def write_forever(file: RawIOBase, content: bytes) -> None:
    while True:
        file.write(content)


def fill(path: Path) -> Path:
    """Takes every byte that is left; returns the file that holds them."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with pytest.raises(OSError, match="No space left"):
                write_forever(file, bytes(size))
    assert free_bytes(path) == 0
    return ballast


def prepare(directory: Path) -> tuple[Path, list[int]]:
    path = directory / "vault"
    make_vault(path)
    with open_vault(path, 0) as store:
        with store.write() as session:
            numbers = [add_customer(session) for _ in range(CUSTOMERS)]
            session.commit()
        assert store.preallocate()
    fill(directory)
    return path, numbers


def shreds_go_on(directory: Path) -> None:
    """Every customer can be shredded, one by one, after the last free byte is gone; data is refused."""
    path, numbers = prepare(directory)
    with open_vault(path, 1 << 16) as store:
        with pytest.raises(StorageFullError) as refusal, store.write():
            pass
        assert refusal.value.details == {"free_bytes": "0", "low_water_bytes": "65536"}
        for number in numbers:
            with store.write("erase") as session:
                shred_customer(session, number)
                session.commit()
        assert store.stopped_reason() is None
        with store.keyring() as keys:
            assert keys.count_deks() == 0
        assert not list(inspect(store))


def commits_fail_whole(directory: Path) -> None:
    """Without a low-water mark the disk itself says no: nothing breaks, and space heals it."""
    path, numbers = prepare(directory)
    with open_vault(path, 0) as store:
        acknowledged = list(numbers)
        with pytest.raises(StorageFullError):
            write_until_full(store, acknowledged)
        assert store.stopped_reason() is None
        with store.snapshot() as snapshot:
            assert len(list(snapshot.customers())) == len(acknowledged)
        assert not [finding for finding in inspect(store) if finding.severity == "error"]
        (directory / "ballast").unlink()
        recover(store)
        with store.write() as session:
            number = add_customer(session)
            session.commit()
        assert number not in acknowledged
        leftovers = {finding.code for finding in inspect(store)}
        assert leftovers <= {"INDEX_ORPHAN"}


def write_until_full(store: Store, acknowledged: list[int]) -> None:
    while True:
        with store.write() as session:
            numbers = [add_customer(session) for _ in range(400)]
            session.commit()
        acknowledged += numbers


if __name__ == "__main__":
    {"shreds_go_on": shreds_go_on, "commits_fail_whole": commits_fail_whole}[sys.argv[1]](Path(sys.argv[2]))
