"""What the write sessions of one process share: the planes, the ledger, and the turn at the write lock."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import lmdb

from vault.errors import StorageStoppedError, WitnessUnavailableError
from vault.store.environment import Environment, translate
from vault.store.epochs import EpochPlanes
from vault.store.files import CURRENT_FILE, RUN, read_current
from vault.store.following import Followers
from vault.store.ledger import Ledger, Sign
from vault.store.meta import VerifiedMeta
from vault.store.runfiles import STOPPED_FILE, HolderFile, require_writes, stop_writes
from vault.store.snapshot import Snapshot
from vault.store.witnessing import Cosigned


class Shared:
    """State of one open vault in one process."""

    ledger: Ledger
    planes: EpochPlanes

    def __init__(
        self,
        root: Path,
        vault_id: bytes,
        region: int,
        values: Environment,
        holder: HolderFile | None,
        *,
        sign: Sign | None,
        clock_ms: Callable[[], int],
        block_numbers: int,
        low_water_bytes: int,
        after_step: Callable[[str], None],
    ) -> None:
        self.root = root
        self.vault_id = vault_id
        self.metas = VerifiedMeta(vault_id)
        self.region = region
        self.values = values
        self.sign = sign
        self.clock_ms = clock_ms
        self.block_numbers = block_numbers
        self.low_water_bytes = low_water_bytes
        self.after_step = after_step
        self.followers: Followers | None = None
        self._holder = holder
        self._turn = threading.Lock()
        self._owner = 0
        self._stopped = False
        self._current_made = (0, 0)
        self._former: list[EpochPlanes] = []
        self._stopped_file = str(root / RUN / STOPPED_FILE)
        self._tail_doubtful = (
            True  # until a session of this process has looked behind the ledger's last entry
        )

    def acquire(self) -> "lmdb.Transaction[bytes]":
        """Waits for the write lock; returns its transaction, to be ended before `release`."""
        me = threading.get_ident()
        if self._holder is None:
            raise RuntimeError("the store was opened for reading only")
        if self._owner == me:
            raise RuntimeError("this thread holds the write lock already")
        self._turn.acquire()
        try:
            transaction = self.values.write()
        except lmdb.Error as error:
            self._turn.release()
            raise translate(error, self.root) from error
        self._owner = me
        try:
            self._tail_doubtful |= self._holder.take()
        except OSError as error:
            transaction.abort()
            self.release()
            raise translate(error, self.root) from error
        return transaction

    def release(self) -> None:
        """Lets the next session begin."""
        self._owner = 0
        try:
            if self._holder is not None:
                self._holder.clear()
        finally:
            self._turn.release()

    def close(self) -> None:
        """Closes everything; snapshots that are still open keep their epoch's planes until they end."""
        if self._holder is not None:
            self._holder.close()
        if self.followers is not None:
            self.followers.close()
        self.ledger.close()
        self.planes.release()
        self.values.close()

    def require_writes(self) -> None:
        """Raises StorageStoppedError while writes are stopped, here or by any process."""
        if os.path.exists(self._stopped_file):
            require_writes(self.root)
        if self._stopped:
            raise StorageStoppedError("a commit failed in this process; it must open the stores anew")

    def stop(self, reason: str) -> None:
        """Stops writing in every process, and in this one until it opens the stores anew."""
        self._stopped = True
        # If even the flag cannot be written, the others meet the same disk; the caller raises in any case.
        with contextlib.suppress(OSError):
            stop_writes(self.root, reason, self.clock_ms())

    def follow_epoch(self) -> EpochPlanes:
        """The planes of the epoch in use, opened anew if a rotation has changed it; for the lock's holder."""
        epoch = read_current(self.root)
        if epoch != self.planes.epoch:
            old = self.planes
            self.planes = EpochPlanes(self.root, epoch, read_only=False)
            self._former = [each for each in self._former if not each.closed.is_set()] + [old]
            old.release()
        return self.planes

    def follow_for_reading(self) -> None:
        """Opens the planes of the epoch in use if a rotation has changed it since; costs a stat otherwise."""
        made = _made(self.root)
        if made == self._current_made:
            return
        if read_current(self.root) != self.planes.epoch:
            transaction = self.acquire()
            try:
                self.follow_epoch()
            finally:
                transaction.abort()
                self.release()
        self._current_made = made

    def wait_for_former(self, seconds: float) -> bool:
        """Whether every snapshot and session of former epochs ended in time."""
        give_up = time.monotonic() + seconds
        return all(each.closed.wait(max(0.0, give_up - time.monotonic())) for each in self._former)

    def hold_planes(self) -> EpochPlanes:
        """The planes of the epoch in use, held until the caller releases them."""
        planes = self.planes
        while not planes.hold():
            planes = self.planes  # replaced meanwhile
        return planes

    def follow(self, followers: Followers) -> None:
        """Takes `followers`, and has them hold the ledger up to its last entry."""
        self.followers = followers
        self._hold()

    def unfollow(self) -> None:
        """Closes the followers, if there are any."""
        if self.followers is not None:
            self.followers.close()
            self.followers = None

    def cosigned(self, seq: int) -> Cosigned | None:
        """A cosigned checkpoint that comprises an entry; None without a witness that answers."""
        followers = self.followers
        if followers is None or not followers.witnessed:
            return None
        if followers.newest is None or followers.newest.size < seq:
            try:
                self._hold()
            except WitnessUnavailableError:
                return None
        return followers.newest

    def _hold(self) -> None:
        transaction = self.acquire()
        try:
            self.follow_epoch()  # so that whoever signs reads secrets without waiting for this very lock
            with Snapshot(self.values, self.metas) as snapshot:
                self.catch_up(snapshot.meta.applied)
            if self.followers is not None:
                self.followers.hold(self.ledger)
        finally:
            transaction.abort()
            self.release()

    def catch_up(self, applied: int) -> None:
        """Reads the ledger to its end, and cuts what a dead writer left unfinished; for the lock's holder."""
        clean = self.ledger.refresh(applied)
        if self._tail_doubtful or not clean:
            self.ledger.recover()
            self._tail_doubtful = False


def _made(root: Path) -> tuple[int, int]:
    """Tells one `CURRENT` from the next: each is a new file, renamed into place."""
    found = os.stat(root / CURRENT_FILE)
    return found.st_ino, found.st_mtime_ns
