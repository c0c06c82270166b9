"""`SegmentWriter`: appends access records, so that no value leaves before its record is written.

Rules:
- Written means accepted by the kernel into preallocated space: a killed process loses nothing. On
  the disk it is within `sync_interval_ms` (a background thread), or before `append` returns with
  `sync="always"`.
- A record that cannot be written refuses its read: `append` raises `AuditUnavailableError`, whose
  details name the cause. It heals by itself.
- One spare segment is always preallocated ahead. On a full disk, reads go on until the current and
  the spare segment end.
- A failed sync is never repeated: the kernel may have dropped the pages and would report success.
  The segment is given up, and appends fail until a new one was created and synced; it begins with
  a gap act.
- A removed file is noticed by the first append after a sync, so one interval later at the latest.
- Every run of a process begins a new file; two processes of one worker name never share one. After
  a fork the child's copy of a writer only refuses.

Locks, in this order: `_sync_lock` (syncing and finishing; held while the disk works), `_lock` (what
an append sees; held for one write), then the supply's or `_digest_lock`.
"""

import contextlib
import errno
import itertools
import json
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vault.audit.layout import HEADER_BYTES, NO_DIGEST, FixedPart, State, Sync, is_worker_name
from vault.audit.records import gap_act
from vault.audit.recovery import boot_id
from vault.audit.segment_file import SegmentFile
from vault.audit.supply import RETRY_SECONDS, SegmentSupply
from vault.errors import AuditUnavailableError

DEFAULT_SEGMENT_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """What one writer does now. `cause` says why appends fail; empty while they do not."""

    cause: str
    segment: str
    segment_bytes: int
    used_bytes: int
    has_spare: bool
    records: int  # appended by this writer, its gap acts not counted
    unsynced_records: int
    sync_interval_ms: int  # 0: synced before append returns
    gaps: int  # gap acts written by this writer

    @property
    def writable(self) -> bool:
        """Whether the next append should succeed, as far as is known."""
        return not self.cause


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class SegmentWriter:
    """Appends framed records to the segments of one worker. Thread-safe.

    Args:
        directory: holds the segments; must exist, is not created.
        worker_name: of this process among those that share the directory.
        vault_id: 16 bytes, for the headers.
        segment_bytes: size of a segment.
        sync: `"interval"`, or `"always"`: before `append` returns.
        sync_interval_ms: how long a record may stay unsynced.
        clock: milliseconds since 1970.

    The constructor does not fail because of the disk: a worker whose audit disk is full must start
    all the same, to refuse reads with the reason and to shred.
    """

    def __init__(
        self,
        directory: Path,
        worker_name: str,
        *,
        vault_id: bytes,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync: Literal["interval", "always"] = "interval",
        sync_interval_ms: int = 50,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        if not is_worker_name(worker_name) or len(vault_id) != 16 or segment_bytes <= HEADER_BYTES:
            raise ValueError("worker name, vault id or segment size out of range")
        self._worker = worker_name
        self._vault_id = vault_id
        self._segment_bytes = segment_bytes
        self._sync = Sync.ALWAYS if sync == "always" else Sync.INTERVAL
        self._interval_ms = sync_interval_ms
        self._clock = clock
        self._boot_id = boot_id()
        self._supply = SegmentSupply(directory, worker_name, segment_bytes, clock)

        self._sync_lock = threading.Lock()
        self._lock = threading.Lock()
        self._digest_lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._running = True
        self._write_cause = ""
        self._supply_cause = ""
        self._seq: itertools.count[int] | None = None  # None until the last run's segments were seen to
        self._last_seq = 0
        self._previous_digest = NO_DIGEST
        self._current: SegmentFile | None = None
        self._ended: list[SegmentFile] = []
        self._gap_details: list[str] = []
        self._gaps = 0
        self._dirty = False  # whether a sync is on its way
        self._appended = 0
        self._synced = 0

        self._get_ready()
        self._thread = threading.Thread(target=self._run, name=f"audit-{worker_name}", daemon=True)
        self._thread.start()
        _writers.add(self)

    def next_seq(self) -> int:
        """The number of the next record of this worker; never the same twice, across runs too.

        Raises:
            AuditUnavailableError: the segments of the last run cannot be read.
        """
        if self._seq is None:
            raise AuditUnavailableError("the access log cannot be opened", cause=self._supply_cause)
        return next(self._seq)

    def append(self, frame: bytes) -> None:
        """Writes one framed record (see `records`). Only when this returned may the values leave.

        Raises:
            AuditUnavailableError: it could not be written.
        """
        with self._lock:
            segment = self._current
            if segment is None or not self._dirty or segment.used + len(frame) > segment.size:
                segment = self._segment_for(len(frame))
            try:
                segment.write(frame)
            except OSError as error:
                self._write_cause = _name_of(error)
                raise _unavailable("the record cannot be written", self._write_cause) from error
            self._write_cause = ""
            self._appended = ticket = self._appended + 1
        if self._sync is Sync.ALWAYS:
            self._sync_through(ticket, segment)

    def status(self) -> WriterStatus:
        """What this writer does now; takes no lock, so the figures may be of different moments."""
        segment = self._current
        return WriterStatus(
            cause="closed" if self._closed else self._write_cause or self._supply_cause,
            segment=segment.path.name if segment else "",
            segment_bytes=self._segment_bytes,
            used_bytes=segment.used if segment else 0,
            has_spare=self._supply.has_spare,
            records=self._appended,
            unsynced_records=self._appended - self._synced,
            sync_interval_ms=self._interval_ms if self._sync is Sync.INTERVAL else 0,
            gaps=self._gaps,
        )

    def close(self) -> None:
        """Syncs and cuts the current segment and gives back the spare. Later appends are refused.

        Raises:
            AuditUnavailableError: the last records could not be synced.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._current is not None:
                self._ended.append(self._current)
                self._current = None
        self._wake.set()
        self._thread.join()
        try:
            with self._sync_lock:
                self._sync_all()
        finally:
            self._supply.discard()

    # Appending: everything here holds `_lock`.

    def _segment_for(self, size: int) -> SegmentFile:
        """The segment that takes a frame of `size` bytes; the slow path of `append`."""
        if self._closed or not self._running:
            raise _unavailable("the access log is closed", "closed")
        if HEADER_BYTES + size > self._segment_bytes:
            raise _unavailable("the record is larger than a segment", "TOO_LARGE")
        try:
            if self._current is not None and self._current.is_removed:
                self._give_up([self._current], "removed", errno.errorcode[errno.ENOENT])
            segment = self._current
            if segment is None or segment.used + size > segment.size:
                segment = self._begin_next()
            self._write_gaps(segment, size)
        except OSError as error:
            self._supply_cause = _name_of(error)
            self._wake.set()
            raise _unavailable("the record has no segment to go to", self._supply_cause) from error
        if not self._dirty:
            self._dirty = True
            self._wake.set()
        return segment

    def _begin_next(self) -> SegmentFile:
        if self._seq is None:
            left = self._supply.open(self._boot_id)
            self._last_seq, self._previous_digest = left.last_seq, left.previous_digest
            self._gap_details += left.gaps
            self._seq = itertools.count(left.last_seq + 1)
        segment = self._supply.take()
        if self._current is not None:
            self._link_to(self._current)
        try:
            segment.begin(self._fixed_part(segment))
        except OSError:
            self._supply.put_back(segment)
            raise
        if self._current is not None:
            self._ended.append(self._current)
        self._current = segment
        self._write_cause = self._supply_cause = ""
        self._dirty = True
        self._wake.set()
        return segment

    def _fixed_part(self, segment: SegmentFile) -> FixedPart:
        return FixedPart(
            self._sync,
            self._vault_id,
            self._boot_id,
            self._clock(),
            self._last_seq + 1,
            segment.name.number,
            self._previous_digest,
            self._worker,
        )

    def _link_to(self, segment: SegmentFile) -> None:
        """Lets the next segment follow this one."""
        with self._digest_lock:
            segment.digest_pending()
        self._previous_digest = segment.digest
        self._last_seq = max(self._last_seq, segment.last_seq)

    def _write_gaps(self, segment: SegmentFile, reserved: int) -> None:
        while self._gap_details:
            frame = gap_act(self.next_seq(), self._clock(), self._gap_details[0])
            if segment.used + len(frame) + reserved > segment.size:
                return
            segment.write(frame)
            segment.gaps += 1
            self._gaps += 1
            del self._gap_details[0]

    def _give_up(self, segments: list[SegmentFile], cause: str, error: str) -> None:
        """Ends segments whose records may be lost; the next segment says so."""
        for segment in segments:
            segment.given_up_for = error
            self._link_to(segment)
            self._gap_details.append(json.dumps({"segment": segment.path.name, "cause": cause}))
            if segment is self._current:
                self._ended.append(segment)
                self._current = None

    # Syncing.

    def _sync_through(self, ticket: int, segment: SegmentFile) -> None:
        """Returns when the record is on the disk; one sync serves all who wait."""
        with self._sync_lock:
            if self._synced < ticket and not segment.is_given_up:
                self._sync_all()
            if segment.is_given_up:
                raise _unavailable("the record cannot be synced", segment.given_up_for)

    def _sync_all(self) -> None:
        """Syncs what was appended and finishes the segments that ended; holds `_sync_lock`."""
        with self._lock:
            upto = self._appended
            ended, self._ended = self._ended, []
            current = self._current
            self._dirty = False
        try:
            for segment in [*ended, *([current] if current else [])]:
                if not segment.is_given_up:
                    segment.sync()
        except OSError as error:
            with self._lock:
                self._write_cause = _name_of(error)
                self._give_up([*ended, *([current] if current else [])], "sync failed", self._write_cause)
                self._ended += ended
                self._supply.discard()
            raise _unavailable("records cannot be synced", self._write_cause) from error
        self._synced = upto
        for segment in ended:
            # Its records are synced or given up already; unfinished, it is recovered by the next run.
            with contextlib.suppress(OSError):
                if segment.is_empty:
                    segment.discard()
                else:
                    segment.finish(State.CLOSED)

    # The background thread.

    def _run(self) -> None:
        # Half an interval gathers records, the other half is the disk's.
        gather_seconds = self._interval_ms / 2000
        try:
            while not self._closed:
                lacking = self._current is None or not self._supply.has_spare or self._gap_details
                self._wake.wait(RETRY_SECONDS if lacking else None)
                self._wake.clear()
                if not self._closed:
                    time.sleep(gather_seconds)
                    self._work()
        finally:
            with self._lock:  # after an unforeseen error appends must not go on unsynced
                self._running = self._dirty = False

    def _work(self) -> None:
        if self._dirty or self._ended:
            # The failure is remembered in `_write_cause`, and as a gap.
            with self._sync_lock, contextlib.suppress(AuditUnavailableError):
                self._sync_all()
        self._get_ready()
        with self._digest_lock:
            current = self._current
            if current is not None:
                current.digest_pending()

    def _get_ready(self) -> None:
        """Sees that there is a segment to append to and one in reserve; a failure is tried again."""
        try:
            with self._lock:
                if self._closed:
                    return
                segment = self._current or self._begin_next()
                self._write_gaps(segment, 0)
            self._supply.refill()
            self._supply_cause = ""
        except OSError as error:
            if self._current is None:
                self._supply_cause = _name_of(error)

    def let_go(self) -> None:
        """Ends this copy of the writer in the child of a fork: the segments are the parent's."""
        self._closed = True
        self._running = False
        self._lock, self._sync_lock, self._digest_lock = threading.Lock(), threading.Lock(), threading.Lock()
        for segment in [*self._ended, *([self._current] if self._current else [])]:
            segment.release()
        self._current, self._ended = None, []
        self._supply.let_go()


def _name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "EIO")


def _unavailable(message: str, cause: str) -> AuditUnavailableError:
    return AuditUnavailableError(f"{message}: {cause}", cause=cause)


def _let_go_in_child() -> None:
    for writer in _writers:
        writer.let_go()


_writers: "weakref.WeakSet[SegmentWriter]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_let_go_in_child)
