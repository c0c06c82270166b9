"""The storage of one vault, opened by one process: snapshots to read, sessions to write.

    with store.snapshot() as snapshot:      one moment of `values`
    with store.keyring() as keys:           one moment of the keyring and index of the epoch in use
    with store.write() as session:          the write lock; `session.commit()` makes it durable

It knows bytes and layouts, no keys: what signs and verifies the ledger is given to it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vault.errors import InvalidRequestError
from vault.store import copying, epochs, files, space
from vault.store.entries import EntryType
from vault.store.environment import Environment, ReaderSlot, translated
from vault.store.epochs import EpochPlanes
from vault.store.files import Format
from vault.store.following import Followers
from vault.store.ledger import LEDGER_FILE, Ledger, LedgerEntry, Sign, Verify
from vault.store.meta import META_KEY, Meta
from vault.store.proofs import LedgerProof, prove
from vault.store.runfiles import HolderFile, resume_writes, stopped_reason
from vault.store.session import Purpose, WriteSession
from vault.store.shared import Shared
from vault.store.signers import Announcement
from vault.store.snapshot import VALUES_TABLES, KeyringSnapshot, Snapshot
from vault.tlog.notes import VerifierKey

LOW_WATER_BYTES: Final = 64 << 20
RESERVE_BYTES: Final = 16 << 20
BLOCK_NUMBERS: Final = 65_536


@dataclass(frozen=True, slots=True)
class PlaneSize:
    """Bytes in use, and rows by table."""

    used_bytes: int
    entries: dict[str, int]


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def _nothing(step: str) -> None:
    """The default of `after_step`."""


class Store:
    """One open vault. One instance a process and vault; safe to use from several threads."""

    def __init__(self, shared: Shared, *, reserve_bytes: int, read_only: bool = False) -> None:
        """For `open` and `create`."""
        self._read_only = read_only
        self._shared = shared
        self._reserve_bytes = reserve_bytes
        self._reading = shared.ledger.twin()
        self._reading_turn = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        sign: Sign | None = None,
        verify: Verify | None = None,
        read_only: bool = False,
        low_water_bytes: int = LOW_WATER_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        block_numbers: int = BLOCK_NUMBERS,
        clock_ms: Callable[[], int] = now_ms,
        after_step: Callable[[str], None] = _nothing,
    ) -> Self:
        """Opens the vault in `path`.

        Args:
            path: the vault's directory.
            sign: signs ledger entries; may be set later, as `sign`.
            verify: verifies the ledger's last signature; may be set later, as `verify`.
            read_only: open without taking the write lock, and without the right to write.
            low_water_bytes: data writes are refused when less is left on the disk.
            reserve_bytes: what `preallocate` keeps free inside each environment's file.
            block_numbers: how many customer numbers are reserved at a time.
            clock_ms: Unix time in milliseconds.
            after_step: called in a commit after "ledger", "keyring", "index" and "values" are durable.

        Raises:
            StorageFormatError: there is no vault, or one of an unknown format.
            IntegrityFailedError: a file is missing or damaged.
        """
        found = Format.read(path)
        if not read_only:
            files.remove_durably(path / files.INCOMPLETE_FILE)
        shared = _open_shared(
            path,
            found,
            verify=verify,
            read_only=read_only,
            sign=sign,
            clock_ms=clock_ms,
            block_numbers=block_numbers,
            low_water_bytes=low_water_bytes,
            after_step=after_step,
        )
        return cls(shared, reserve_bytes=reserve_bytes, read_only=read_only)

    @classmethod
    def create(
        cls,
        path: Path,
        vault_id: bytes,
        region: int,
        *,
        epoch: int = 1,
        sign: Sign | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> Self:
        """Makes the empty stores of a new vault and opens them; it is no vault before `finish_creation`.

        Leftovers of a creation that did not finish are removed first.

        Raises:
            InvalidRequestError: there is a vault in `path`.
            StorageFormatError: there are stores in `path` that are no unfinished creation.
        """
        if (path / files.FORMAT_FILE).exists():
            raise InvalidRequestError("there is a vault in this directory already")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.clear_leftovers(path)
        with translated(path):
            meta = Meta(region=region, epoch=epoch).pack(vault_id)
            Environment.create(path / files.VALUES, VALUES_TABLES, {"meta": {META_KEY: meta}})
            epochs.create_epoch(path, epoch)
            for name in (files.LEDGER, files.RUN):
                files.make_directory(path / name)
            Ledger.create(path / files.LEDGER / LEDGER_FILE)
            files.write_current(path, epoch)
        shared = _open_shared(
            path,
            Format(vault_id, region),
            verify=None,
            read_only=False,
            sign=sign,
            clock_ms=clock_ms,
            block_numbers=BLOCK_NUMBERS,
            low_water_bytes=0,
            after_step=_nothing,
        )
        return cls(shared, reserve_bytes=RESERVE_BYTES)

    def finish_creation(self) -> None:
        """Makes what `create` began a vault: writes `FORMAT`, durably and last."""
        self.preallocate()
        Format(self.vault_id, self.region).write(self._shared.root)
        files.remove_durably(self._shared.root / files.INCOMPLETE_FILE)

    @property
    def path(self) -> Path:
        """The vault's directory."""
        return self._shared.root

    @property
    def vault_id(self) -> bytes:
        """16 bytes."""
        return self._shared.vault_id

    @property
    def region(self) -> int:
        """The region that stands in this vault's keys."""
        return self._shared.region

    @property
    def epoch(self) -> int:
        """The epoch whose keyring is open; a write session follows a rotation."""
        return self._shared.planes.epoch

    @property
    def sign(self) -> Sign | None:
        """Signs ledger entries."""
        return self._shared.sign

    @sign.setter
    def sign(self, sign: Sign | None) -> None:
        self._shared.sign = sign

    @property
    def verify(self) -> Verify | None:
        """Verifies signatures of the ledger."""
        return self._shared.ledger.verify

    @verify.setter
    def verify(self, verify: Verify | None) -> None:
        self._shared.ledger.verify = self._reading.verify = verify

    def trust(self, public_keys: Collection[bytes]) -> None:
        """Says which keys are the ledger's; by default, those that it names itself."""
        self._shared.ledger.trust(public_keys)
        self._reading.trust(public_keys)

    def signers(self) -> list[Announcement]:
        """What names each key that signed or signs the ledger, up to its last entry now.

        Raises:
            IntegrityFailedError: the ledger is damaged, or an entry's key does not follow from a trusted one.
        """
        with self._reading_turn:
            self._refresh_reading()
            return list(self._reading.signers)

    def require_witness(self, public_key: bytes) -> None:
        """Makes sure that the witness, if there is one, will go over to a key with the ledger.

        For the holder of the write lock. Raises WitnessUnavailableError if it will not.
        """
        if self._shared.followers is not None:
            self._shared.followers.require_going_over(self._shared.ledger, public_key)

    @property
    def values_path(self) -> Path:
        """The directory of the plane `values`."""
        return self._shared.values.path

    def snapshot(self) -> Snapshot:
        """A read transaction of `values`, begun on entering its context."""
        return Snapshot(self._shared.values, self._shared.metas)

    def keyring(self) -> KeyringSnapshot:
        """Read transactions of keyring and index, begun on entering the context.

        A miss may be a matter of the moment: only a write session can tell.
        """
        if not self._read_only:
            self._shared.follow_for_reading()
        return KeyringSnapshot(self._shared.hold_planes)

    def leave_former_epochs(self, seconds: float) -> bool:
        """Turns to the epoch in use; whether nothing in this process reads a former one any more, in time."""
        self._shared.follow_for_reading()
        return self._shared.wait_for_former(seconds)

    def write(self, purpose: Purpose = "data") -> WriteSession:
        """A write session; entering its context takes the vault's write lock.

        Args:
            purpose: "data" stops at the low-water mark of the disk; "erase" may use what is left.

        Raises, on entering:
            StorageFullError: the disk is nearly full, and `purpose` is "data".
            StorageStoppedError: writes are stopped.
            IntegrityFailedError: meta row, ledger and keyring contradict each other.
        """
        return WriteSession(self._shared, purpose)

    def ledger(self, after_seq: int = 0, types: Collection[EntryType] | None = None) -> Iterator[LedgerEntry]:
        """Entries after a number, of some types or of all; those after `meta.applied` are not done yet."""
        with self._reading_turn:
            self._refresh_reading()
            return self._reading.entries(after_seq, types)

    def ledger_entries(self) -> int:
        """How many entries the ledger has."""
        with self._reading_turn:
            self._refresh_reading()
            return self._reading.last.seq

    def verify_ledger(self) -> None:
        """Verifies every signature of the ledger; needs `verify`. Raises IntegrityFailedError."""
        with self._reading_turn:
            self._refresh_reading()
            self._reading.verify_signatures()

    def follow(self, followers: Followers) -> None:
        """From now on acknowledges no ledger entry that `followers` do not hold; closes them in the end.

        They are asked at once, and brought to the ledger's last entry.

        Raises:
            WitnessUnavailableError: one of them cannot be used, so nobody knows whether the ledger is whole.
            LedgerBehindError: one of them has seen more of this ledger, or another.
        """
        self._shared.follow(followers)

    def unfollow(self) -> None:
        """Closes mirror and witness; what is appended from here on they get when the vault is opened next."""
        self._shared.unfollow()

    @property
    def followed(self) -> bool:
        """Whether a mirror or witness holds every entry that was acknowledged."""
        return self._shared.followers is not None

    def prove(
        self, seqs: Sequence[int], key: VerifierKey, sign: Callable[[bytes], bytes]
    ) -> list[LedgerProof]:
        """Proofs that entries are in the ledger, all with one checkpoint, cosigned where a witness answers.

        Args:
            seqs: of entries that were acknowledged, at least one.
            key: the ledger's verifier key, see `ledger_key`.
            sign: signs a checkpoint with its private key, where no witness answers.

        Raises:
            ValueError: the ledger has no such entry.
            LedgerBehindError: the witness has seen more of this ledger, or another.
        """
        cosigned = self._shared.cosigned(max(seqs))
        with self._reading_turn:
            size = self._refresh_reading()
            if cosigned is not None:
                return prove(self._reading, seqs, cosigned.size, cosigned.note)
            note = self._reading.checkpoint(size).signed(key, sign)
            return prove(self._reading, seqs, size, note)

    def copy_values(self, target: Path) -> Meta:
        """Copies one moment of `values` into the new directory `target`; returns the copy's meta row."""
        return copying.copy_values(self.path, target, self.vault_id, self._shared.values)

    def copy_keyring(self, target: Path) -> int:
        """Copies the keyring of the epoch in use into the new directory `target`; returns the epoch."""
        planes = self._shared.hold_planes()
        try:
            planes.keyring.copy(target)
            return planes.epoch
        finally:
            planes.release()

    def reader_check(self) -> int:
        """Frees the slots of readers that died, in every plane; returns how many."""
        with self._environments() as environments:
            return sum([each.reader_check() for each in environments])

    def readers(self) -> list[ReaderSlot]:
        """Read transactions of all processes, in every plane."""
        with self._environments() as environments:
            return [slot for each in environments for slot in each.readers()]

    def sizes(self) -> dict[str, PlaneSize]:
        """Bytes and rows of `values`, `keyring` and `index`; bytes and entries of `ledger`."""
        names = (files.VALUES, files.KEYRING, files.INDEX)
        with self._environments() as environments:
            sizes = {
                name: PlaneSize(each.used_bytes(), each.entries())
                for name, each in zip(names, environments, strict=True)
            }
        with self._reading_turn:
            self._refresh_reading()
            last = self._reading.last
        return sizes | {files.LEDGER: PlaneSize(last.offset, {LEDGER_FILE: last.seq})}

    def preallocate(self) -> bool:
        """Keeps room for erasures inside every environment's file; False if the disk has none to give."""
        with self._environments() as environments:
            extended = [space.preallocate(each, self._reserve_bytes) for each in environments]
        return all(extended)

    def stopped_reason(self) -> str | None:
        """Why writes are stopped in all processes, or None."""
        return stopped_reason(self._shared.root)

    def resume_writes(self) -> None:
        """Lets processes that open the vault from now on write again; for whoever has checked the stores."""
        resume_writes(self._shared.root)

    def close(self) -> None:
        """Closes every file, once. No snapshot or session of this store may be in use."""
        if not self._closed:
            self._closed = True
            self._reading.close()
            self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refresh_reading(self) -> int:
        """Reads on; returns the last entry whose effect is done: later ones may yet be voided, or cut."""
        with self.snapshot() as snapshot:
            applied = snapshot.meta.applied
        self._reading.refresh(applied)
        return applied

    @contextlib.contextmanager
    def _environments(self) -> Iterator[tuple[Environment, Environment, Environment]]:
        planes = self._shared.hold_planes()
        try:
            yield self._shared.values, planes.keyring, planes.index
        finally:
            planes.release()


def _open_shared(
    root: Path,
    found: Format,
    *,
    verify: Verify | None,
    read_only: bool,
    sign: Sign | None,
    clock_ms: Callable[[], int],
    block_numbers: int,
    low_water_bytes: int,
    after_step: Callable[[str], None],
) -> Shared:
    with contextlib.ExitStack() as opened, translated(root):
        values = Environment(root / files.VALUES, VALUES_TABLES, read_only=read_only, readahead=False)
        opened.callback(values.close)
        holder = None
        if not read_only:
            holder = HolderFile(root)
            opened.callback(holder.close)
        shared = Shared(
            root,
            found.vault_id,
            found.region,
            values,
            holder,
            sign=sign,
            clock_ms=clock_ms,
            block_numbers=block_numbers,
            low_water_bytes=low_water_bytes,
            after_step=after_step,
        )
        _open_planes(shared, read_only=read_only)
        opened.callback(shared.planes.release)
        with Snapshot(values, shared.metas) as snapshot:
            applied = snapshot.meta.applied
        path = root / files.LEDGER / LEDGER_FILE
        shared.ledger = Ledger.open(path, found.vault_id, verify, durable_seq=applied, read_only=read_only)
        opened.pop_all()
    return shared


def _open_planes(shared: Shared, *, read_only: bool) -> None:
    if read_only:
        shared.values.open_tables()
        shared.planes = EpochPlanes(shared.root, files.read_current(shared.root), read_only=True)
        return
    # Opening a table takes its environment's write lock, which no one takes without that of `values`.
    transaction = shared.acquire()
    try:
        shared.values.open_tables(transaction)
        shared.planes = EpochPlanes(shared.root, files.read_current(shared.root), read_only=False)
        transaction.commit()
    finally:
        transaction.abort()
        shared.release()
