"""The keyring and the index of one epoch, opened together and closed when their last user has left.

A rotation gives a vault new ones while reads go on: snapshots of the old epoch keep it open until they end.
"""

import contextlib
import threading
from pathlib import Path

from vault.store.environment import Environment
from vault.store.files import INDEX, KEYRING, make_directory, sync_directory
from vault.store.snapshot import INDEX_TABLES, KEYRING_TABLES


def keyring_path(root: Path, epoch: int) -> Path:
    """Directory of an epoch's keyring."""
    return root / KEYRING / str(epoch)


def index_path(root: Path, epoch: int) -> Path:
    """Directory of an epoch's index."""
    return root / INDEX / str(epoch)


class EpochPlanes:
    """Two open environments, counting who uses them. Made with one user, its opener."""

    def __init__(self, root: Path, epoch: int, *, read_only: bool) -> None:
        """Opens both; raises IntegrityFailedError if one is missing or damaged."""
        self.epoch = epoch
        with contextlib.ExitStack() as opened:
            self.keyring = Environment(
                keyring_path(root, epoch), KEYRING_TABLES, read_only=read_only, readahead=True
            )
            opened.callback(self.keyring.close)
            path = index_path(root, epoch)
            self.index = Environment(path, INDEX_TABLES, read_only=read_only, readahead=False)
            opened.callback(self.index.close)
            self.keyring.open_tables()
            self.index.open_tables()
            opened.pop_all()
        self._users = 1
        self._lock = threading.Lock()
        self.closed = threading.Event()

    def hold(self) -> bool:
        """Adds a user; False if the planes are closed already."""
        with self._lock:
            if self._users:
                self._users += 1
            return self._users > 0

    def release(self) -> None:
        """Takes a user away; the last one closes the environments."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.keyring.close()
                self.index.close()
                self.closed.set()


def create_epoch(root: Path, epoch: int) -> None:
    """Makes the empty keyring and index of an epoch, durably; the epoch is not in use yet."""
    make_directory(root / KEYRING)
    Environment.create(keyring_path(root, epoch), KEYRING_TABLES)
    sync_directory(root / KEYRING)
    create_index(root, epoch)


def create_index(root: Path, epoch: int) -> None:
    """Makes an empty index, durably."""
    make_directory(root / INDEX)
    Environment.create(index_path(root, epoch), INDEX_TABLES)
    sync_directory(root / INDEX)
