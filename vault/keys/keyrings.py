"""The epochs whose keys this process holds.

Usually one; two while a rotation hands over. Rows of the keyring and of the index are only of use with the
key of the epoch that they were read from, so whoever reads one says which epoch that was.

Rules:
- Holding an epoch's key means holding a shared lock on `keyring/<epoch>/LOCK`. Whoever destroys an epoch
  takes it exclusively, and so waits for every process that could still open its rows.
- `drop` zeroes the key. Its caller has seen to it that no thread still uses it.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.crypto import hazmat
from vault.errors import KeyUnavailableError
from vault.keys.keyring import Keyring
from vault.model.ids import Epoch


@dataclass(slots=True)
class _Held:
    keyring: Keyring
    memory: hazmat.GuardedMemory
    lock: int


class Keyrings:
    """Keyrings by epoch. Any thread may call every method."""

    def __init__(self, data_dir: Path, vault_id: bytes) -> None:
        self._data_dir = data_dir
        self._vault_id = vault_id
        self._held: dict[int, _Held] = {}
        self._turn = threading.Lock()

    def add(self, epoch: Epoch, edk: hazmat.GuardedMemory) -> None:
        """Takes the key of an epoch, which `drop` and `close` free; a second one is freed at once.

        Raises:
            KeyUnavailableError: the epoch is being destroyed.
        """
        with self._turn:
            if epoch in self._held:
                edk.free()
                return
            try:
                lock = hold_epoch(self._data_dir, epoch)
            except BaseException:
                edk.free()
                raise
            self._held[epoch] = _Held(Keyring(edk, self._vault_id, epoch), edk, lock)

    def at(self, epoch: int) -> Keyring:
        """The keyring of an epoch.

        Raises:
            KeyUnavailableError: this process does not hold its key.
        """
        held = self._held.get(epoch)
        if held is None:
            raise KeyUnavailableError(f"this process does not hold the key of epoch {epoch}")
        return held.keyring

    @property
    def epochs(self) -> list[int]:
        """The epochs held, ascending."""
        return sorted(self._held)

    def drop(self, epoch: int) -> None:
        """Zeroes the key of an epoch and gives up its lock, if it is held."""
        with self._turn:
            held = self._held.pop(epoch, None)
        if held is not None:
            held.memory.free()
            os.close(held.lock)

    def close(self) -> None:
        """Drops every epoch."""
        for epoch in self.epochs:
            self.drop(epoch)


@contextmanager
def held_alone(data_dir: Path, epoch: Epoch) -> Iterator[None]:
    """Nobody holds the epoch's key meanwhile.

    Raises:
        KeyUnavailableError: somebody does.
    """
    descriptor = hold_epoch(data_dir, epoch, alone=True)
    try:
        yield
    finally:
        os.close(descriptor)


def hold_epoch(data_dir: Path, epoch: Epoch, *, alone: bool = False) -> int:
    """Takes the lock of an epoch: shared, by whoever holds its key; alone, by whoever destroys it.

    Returns its descriptor, to be closed.

    Raises:
        KeyUnavailableError: others hold it in a way that excludes this one.
    """
    path = data_dir / "keyring" / str(epoch) / "LOCK"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise KeyUnavailableError(f"the keyring of epoch {epoch} is not there") from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        state = "still in use" if alone else "being destroyed"
        raise KeyUnavailableError(f"epoch {epoch} is {state}") from None
    return descriptor
