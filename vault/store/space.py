"""Room on the disk: where data writes stop, and what is kept so that a shred always finds some.

LMDB writes every changed page to a new place, so deleting needs room too. Each environment's data file is
therefore preallocated beyond what LMDB uses; LMDB neither minds nor copies the surplus. Data writes stop at a
low-water mark of what the file system says is left; erasures go on.

`lock.mdb` is never opened here: closing any descriptor of it would drop the process's LMDB locks.
"""

import errno
import os
from pathlib import Path

from vault.errors import StorageFullError, StorageStoppedError
from vault.store.environment import DATA_FILE, Environment


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write to the file system of `path`."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def require_room(path: Path, low_water_bytes: int) -> None:
    """Raises StorageFullError if less than `low_water_bytes` is left."""
    free = free_bytes(path)
    if free < low_water_bytes:
        raise StorageFullError(
            "the disk is nearly full; what is left is kept for erasure",
            free_bytes=str(free),
            low_water_bytes=str(low_water_bytes),
        )


def preallocate(environment: Environment, reserve_bytes: int) -> bool:
    """Extends the data file to `reserve_bytes` beyond what is used; False if the disk has no room for it."""
    wanted = environment.used_bytes() + reserve_bytes
    descriptor = os.open(environment.path / DATA_FILE, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(descriptor, 0, wanted)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return False
        raise StorageStoppedError("space could not be reserved") from error
    finally:
        os.close(descriptor)
    return True
