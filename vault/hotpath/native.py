"""The compiled loop; see `loop` for what it does, `loop.c` for how.

Rules:
- It is used only where it was built, is of the version and has the layouts that this module is written for,
  on machines whose LMDB files it can read: 64 bits, little-endian.
- It reads beside the caller's own read transaction, which is open meanwhile and keeps the pages.
"""

from collections.abc import Collection
from pathlib import Path
from struct import Struct
from typing import Any, Final

from cffi import FFI

from vault.audit.records import MASKED
from vault.crypto.hazmat import open_function
from vault.crypto.suites import SUITES
from vault.errors import IntegrityFailedError, StorageStoppedError
from vault.hotpath.handover import Decisions, NativeFound
from vault.hotpath.known import Known
from vault.hotpath.loop import (
    BLOCK_BYTES,
    DENIAL_CODES,
    EXPIRED,
    MASK_GROWTH,
    REPLY_FULL,
    TOKEN_UNKNOWN,
    Found,
    Helper,
    ReadLoop,
)
from vault.hotpath.portable import PortableLoop
from vault.model import compiled
from vault.policy.reads import Reads
from vault.store.environment import DATA_FILE, MAP_BYTES
from vault.store.snapshot import Snapshot
from vault.store.store import Store

LIBRARY: Final = Path(__file__).with_name("_loop.so")
_VERSION: Final = 1
_CUSTOMER: Final = Struct("=QQQqIHBB6s16s54s4x")
_LIVE, _TERMS = 1, 2
_ADMIT, _JUDGE, _PLACE, _UNUSUAL, _SETTLE = range(1, 6)
_NO_MEMORY: Final = -2
_KEPT_DECISIONS: Final = 64
_FEW_BLOCKS: Final = 1024

_ffi: Final = FFI()
_ffi.cdef("""
    typedef struct cv_loop cv_loop;
    typedef struct { const unsigned char *data; size_t size; } cv_span;
    typedef struct { unsigned char token_unknown, reply_full, expired, denials[256]; } cv_codes;
    typedef struct {
        const unsigned char *blocks, *domains;
        const uint32_t *places;
        const uint16_t *numbers;
        const unsigned char *verdicts;
        uint64_t serial;
        int64_t now_ms;
        uint64_t room;
        uint32_t count, places_mask, consent_shift, failed;
        uint32_t at, slot, missed, heads, unsettled;
        uint64_t taken, written, grouped;
        const unsigned char *allowed, *whole;
        uint64_t whole_bytes;
        uint16_t run, run_code;
        unsigned char current[6];
    } cv_job;
    typedef struct {
        const unsigned char *texts;
        const uint32_t *ends;
        const unsigned char *outcomes, *classes;
    } cv_found;
    int cv_version(void);
    size_t cv_customer_bytes(void);
    size_t cv_job_bytes(void);
    int cv_open(const char *path, size_t map_bytes, void *open, unsigned suite, size_t nonce_bytes,
        size_t tag_bytes, const char *vault_id, unsigned char region, const cv_codes *codes,
        cv_loop **opened);
    void cv_close(cv_loop *);
    int cv_begin(cv_loop *, uint64_t moment);
    void cv_end(cv_loop *, uint64_t written, uint64_t whole);
    int cv_row(cv_loop *, const char *key, size_t size, cv_span *found);
    int cv_read(cv_loop *, cv_job *);
    int cv_tell(cv_loop *, cv_job *, unsigned char field_class, unsigned char outcome, const char *text,
        size_t size);
    void cv_found_of(const cv_loop *, cv_found *);
    int64_t cv_find(const cv_loop *, const char *id);
    void *cv_customer(const cv_loop *, uint32_t slot);
    int cv_keep(cv_loop *, uint32_t slot, const char *kept);
    int64_t cv_forget(cv_loop *, const char *id);
    int64_t cv_oldest(cv_loop *);
    uint32_t cv_live(const cv_loop *);
    uint64_t cv_lookups(const cv_loop *);
""")

_JOB_BYTES: Final = _ffi.sizeof("cv_job")
_GIVEN: Final = Struct(f"=5QQqQ3I{_JOB_BYTES - 76}x")  # up to `consent_shift`; zero behind it
_TABLES: Final = Struct("=3Q")  # places, numbers, verdicts
_TABLES_AT: Final = _ffi.offsetof("cv_job", "places")
_COME_TO: Final = Struct("=II8xQQQ16xQ")  # missed, heads, taken, written, grouped, whole_bytes
_COME_TO_AT: Final = _ffi.offsetof("cv_job", "missed")
_NO_MOMENT: Final = -1


class NativeCustomers:
    """`Customers` in the compiled loop's memory: 120 bytes for each, and 8 in its index."""

    def __init__(self, library: Any, loop: Any) -> None:
        self._library = library
        self._loop = loop

    def __len__(self) -> int:
        return int(self._library.cv_live(self._loop))

    def find(self, customer: bytes) -> Known | None:
        """As `Customers.find`."""
        slot = self._library.cv_find(self._loop, customer)
        return None if slot < 0 else self.at(slot)[1]

    def keep(self, customer: bytes, known: Known) -> None:
        """As `Customers.keep`."""
        packed = _CUSTOMER.pack(
            known.address, known.consents, known.serial, known.until_ms, known.place, known.generation,
            _LIVE | (_TERMS if known.by_terms else 0), known.uses, customer, known.locator, known.row,
        )  # fmt: skip
        if self._library.cv_keep(self._loop, known.slot, packed) != 0:
            raise MemoryError

    def forget(self, customer: bytes) -> None:
        """As `Customers.forget`."""
        if self._library.cv_forget(self._loop, customer) < 0:
            raise KeyError

    def oldest(self) -> bytes | None:
        """As `Customers.oldest`."""
        slot = self._library.cv_oldest(self._loop)
        return None if slot < 0 else self.at(slot)[0]

    def at(self, slot: int) -> tuple[bytes, Known]:
        """Who is kept in a slot."""
        raw = _ffi.buffer(self._library.cv_customer(self._loop, slot), _CUSTOMER.size)
        address, consents, serial, until_ms, place, generation, flags, uses, customer, locator, row = (
            _CUSTOMER.unpack_from(raw)
        )
        by_terms = bool(flags & _TERMS)
        return customer, Known(
            slot, address, generation, locator, row, place, consents, by_terms, serial, until_ms, uses
        )


class NativeLoop:
    """`ReadLoop`, compiled."""

    def __init__(self, library: Any, suite: int, vault_id: bytes, region: int, plane: Path) -> None:
        """Maps the file of the environment in the directory `plane`.

        Raises:
            StorageStoppedError: it cannot be mapped.
        """
        self._library = library
        self._decisions: dict[int, Decisions] = {}
        self._domains: dict[Collection[int], tuple[Any, int]] = {}
        self._written = self._whole = 0
        codes: Any = _ffi.new("cv_codes *")
        codes.token_unknown, codes.reply_full, codes.expired = TOKEN_UNKNOWN, REPLY_FULL, EXPIRED
        for verdict, code in DENIAL_CODES.items():
            codes.denials[verdict] = code
        known, opened = SUITES[suite], _ffi.new("cv_loop **")
        failed = library.cv_open(
            str(plane / DATA_FILE).encode(), MAP_BYTES, _ffi.cast("void *", open_function(suite)), suite,
            known.nonce_bytes, known.tag_bytes, vault_id, region, codes, opened,
        )  # fmt: skip
        self._loop = opened[0]
        if failed:
            self.close()
            raise StorageStoppedError("the store cannot be mapped for reading")
        self._job: Any = _ffi.new("cv_job *")
        self._job_bytes: Any = _ffi.buffer(self._job)
        self._blocks: Any = _ffi.new("char[]", _FEW_BLOCKS * BLOCK_BYTES)
        self._blocks_at = _address(self._blocks)
        self._moment = _NO_MOMENT
        self._found: Any = _ffi.new("cv_found *")
        self.customers = NativeCustomers(library, self._loop)

    @property
    def lookups(self) -> int:
        """As `ReadLoop.lookups`."""
        return int(self._library.cv_lookups(self._loop))

    def begin(self, snapshot: Snapshot) -> bool:
        """As `ReadLoop.begin`."""
        moment = snapshot.number
        if moment != self._moment:
            self._moment = _NO_MOMENT
            there = self._library.cv_begin(self._loop, moment)
            if there < 0:
                raise IntegrityFailedError
            if not there:
                return False
            self._moment = moment
        return True

    def read(
        self, blocks: bytes, domains: Collection[int], reads: Reads, room: int, now_ms: int, helper: Helper
    ) -> Found:
        """As `ReadLoop.read`."""
        job, size = self._job, len(blocks)
        if size > len(self._blocks):
            self._blocks = _ffi.new("char[]", 2 * size)
            self._blocks_at = _address(self._blocks)
        _ffi.memmove(self._blocks, blocks, size)
        decisions = self._decisions.get(reads.serial)
        if decisions is None or decisions.size != len(reads.numbers):
            decisions = self._renewed(reads)
        places, numbers, verdicts, mask = decisions.given
        _, domains_at = self._domains.get(domains) or self._domain_table(domains)
        _GIVEN.pack_into(
            self._job_bytes, 0,
            self._blocks_at, domains_at, places, numbers, verdicts,
            reads.serial, now_ms, room, size // BLOCK_BYTES, mask, reads.consent_shift,
        )  # fmt: skip
        try:
            if stopped := self._library.cv_read(self._loop, job):
                self._go_on(stopped, blocks, reads, decisions, helper)
        finally:  # whatever came of it, `end` wipes what was written
            missed, heads, taken, written, grouped, whole_bytes = _COME_TO.unpack_from(
                self._job_bytes, _COME_TO_AT
            )
            if written > self._written:
                self._written = written
            if whole_bytes > self._whole:
                self._whole = whole_bytes
        whole = _ffi.buffer(job.whole, whole_bytes)[:]
        return NativeFound(whole, size // BLOCK_BYTES, heads, missed, grouped, taken)

    def _go_on(self, stopped: int, blocks: bytes, reads: Reads, decisions: Decisions, helper: Helper) -> None:
        """Does what the loop has stopped for, and calls it again, until the batch is done."""
        job, last = self._job, None
        while stopped:
            # Pages and LMDB may disagree where a page is damaged: what was answered is not asked again.
            if stopped in (_ADMIT, _JUDGE, _PLACE) and (stopped, job.at) == last:
                raise IntegrityFailedError
            last = stopped, job.at
            if stopped == _ADMIT:
                job.failed = helper.admit(_ffi.buffer(job.current)[:])
            elif stopped == _JUDGE:
                helper.judge(_ffi.buffer(job.current)[:])
            elif stopped == _PLACE:
                known = self._known_at(job)
                known.levels(reads)
                decisions.renew(reads)
                places, numbers, verdicts, job.places_mask = decisions.given
                _TABLES.pack_into(self._job_bytes, _TABLES_AT, places, numbers, verdicts)
            elif stopped == _UNUSUAL:
                self._tell(job, blocks, reads, helper)
            elif stopped == _SETTLE:
                self._settle(job, helper)
            elif stopped == _NO_MEMORY:
                raise MemoryError
            else:
                raise IntegrityFailedError
            stopped = self._library.cv_read(self._loop, job)

    def row(self, key: bytes) -> bytes | None:
        """One row of the table, within a batch; for tests of the reading of pages.

        Raises:
            IntegrityFailedError: a page is damaged.
        """
        found: Any = _ffi.new("cv_span *")
        there = self._library.cv_row(self._loop, key, len(key), found)
        if there < 0:
            raise IntegrityFailedError
        return _ffi.buffer(found.data, found.size)[:] if there else None

    def end(self) -> None:
        """As `ReadLoop.end`."""
        self._library.cv_end(self._loop, self._written, self._whole)
        self._written = self._whole = 0

    def close(self) -> None:
        """As `ReadLoop.close`."""
        if self._loop:
            self._library.cv_close(self._loop)
            self._loop = None

    def _settle(self, job: Any, helper: Helper) -> None:
        """Counts values that are to be masked with what their masks take."""
        found, at = self._found, job.at
        self._library.cv_found_of(self._loop, found)
        while job.unsettled:
            at -= 1
            if found.outcomes[at] == MASKED:
                start, end = found.ends[at - 1] if at else 0, found.ends[at]
                text = _ffi.buffer(found.texts + start, end - start)[:].decode()
                mask = helper.masked(found.classes[at], text)
                job.taken -= (end - start + 1) * MASK_GROWTH - len(mask.encode())
                job.unsettled -= 1

    def _known_at(self, job: Any) -> Known:
        return self.customers.at(job.slot)[1]

    def _tell(self, job: Any, blocks: bytes, reads: Reads, helper: Helper) -> None:
        """Answers for the token where the loop stands."""
        at, known = BLOCK_BYTES * job.at, self._known_at(job)
        key = blocks[at : at + 1] + blocks[at + 2 : at + 10]
        levels = known.levels(reads)
        if job.taken >= job.room:
            self._settle(job, helper)
        field_class, outcome, text = helper.unusual(known, key, levels, full=job.taken >= job.room)
        encoded = text.encode()
        if self._library.cv_tell(self._loop, job, field_class, outcome, encoded, len(encoded)) != 0:
            raise MemoryError

    def _renewed(self, reads: Reads) -> Decisions:
        decisions = self._decisions.get(reads.serial)
        if decisions is None:
            if len(self._decisions) >= _KEPT_DECISIONS:
                self._decisions.clear()
            decisions = self._decisions[reads.serial] = Decisions()
        decisions.renew(reads)
        return decisions

    def _domain_table(self, domains: Collection[int]) -> tuple[Any, int]:
        """Their table and its address."""
        if len(self._domains) >= _KEPT_DECISIONS:
            self._domains.clear()
        table = _ffi.new("char[]", bytes(number in domains for number in range(256)))
        made = self._domains[domains] = table, _address(table)
        return made


def _address(held: Any) -> int:
    return int(_ffi.cast("uintptr_t", held))


def load(library: Path = LIBRARY) -> Any | None:
    """The compiled loop, or None where it was not built, or does not fit."""
    sizes = {"cv_customer_bytes": _CUSTOMER.size, "cv_job_bytes": _JOB_BYTES}
    return compiled.load(_ffi, library, _VERSION, sizes)


def read_loop(store: Store, suite: int, region: int) -> ReadLoop:
    """The compiled loop over a store where it was built, else the one in Python."""
    library = load()
    if library is None:
        return PortableLoop(suite, store.vault_id, region)
    return NativeLoop(library, suite, store.vault_id, region, store.values_path)
