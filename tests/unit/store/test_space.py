"""Room on the disk: the low-water mark, the reserve, and real full file systems."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from tests.unit.store.samples import add_customer, sign, verify
from vault.errors import StorageFullError
from vault.store.inspection import inspect
from vault.store.space import free_bytes, require_room
from vault.store.store import Store

ROOT = Path(__file__).parents[3]


def can_mount() -> bool:
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs unprivileged mounts, to fill a file system of its own")
@pytest.mark.parametrize("scenario", ["shreds_go_on", "commits_fail_whole"])
def test_on_a_full_disk(scenario: str, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"'
    python = [sys.executable, "-m", "tests.unit.store.full_disks", scenario, str(tmp_path)]
    command = ["unshare", "-Urm", "sh", "-c", script, str(tmp_path), *python]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_data_writes_stop_at_the_low_water_mark_and_erasures_do_not(root: Path) -> None:
    with Store.open(root, sign=sign, low_water_bytes=1 << 60) as store:
        with pytest.raises(StorageFullError), store.write("data"):
            pass
        with store.write("erase") as session:
            add_customer(session)
            session.commit()


def test_the_refusal_names_the_sizes(tmp_path: Path) -> None:
    require_room(tmp_path, 0)
    with pytest.raises(StorageFullError) as refusal:
        require_room(tmp_path, 1 << 60)
    assert refusal.value.details["low_water_bytes"] == str(1 << 60)
    assert abs(int(refusal.value.details["free_bytes"]) - free_bytes(tmp_path)) < 1 << 30


def test_lmdb_minds_no_surplus_in_its_file(root: Path, tmp_path: Path) -> None:
    reserve = 4 << 20
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0, reserve_bytes=reserve) as store:
        for _ in range(3):
            with store.write() as session:
                for _ in range(200):
                    add_customer(session)
                session.commit()
            assert store.preallocate()
            for plane, path in (("values", "values"), ("keyring", "keyring/1"), ("index", "index/1")):
                data = os.stat(root / path / "data.mdb")
                assert data.st_size >= store.sizes()[plane].used_bytes + reserve
                assert data.st_blocks * 512 >= data.st_size
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0) as store:
        assert store.sizes()["values"].entries["values"] == 600 * 3
        assert not list(inspect(store))
        used = store.sizes()["values"].used_bytes
    for compact in (False, True):
        copy = tmp_path / f"copy-{compact}"
        copy.mkdir()
        with lmdb.open(str(root / "values"), readonly=True, map_size=1 << 40) as environment:
            environment.copy(str(copy), compact=compact)
        assert (copy / "data.mdb").stat().st_size <= used
        with lmdb.open(str(copy), max_dbs=8) as environment:
            table = environment.open_db(b"values", create=False)
            with environment.begin() as transaction:
                assert transaction.stat(table)["entries"] == 600 * 3
