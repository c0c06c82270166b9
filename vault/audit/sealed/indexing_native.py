"""The compiled indexer; see `indexing` for what it does, `indexing.c` for how.

It is used only where it was built, is of the version and has the layouts that this module is written for, on
little-endian machines of 64 bits.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from cffi import FFI

from vault.audit.records import LOCATOR_BYTES
from vault.audit.sealed.indexing import (
    ENTRY_BYTES,
    MAX_RUNS,
    Content,
    Indexer,
    Mentions,
    PortableIndexer,
    Seen,
    Sight,
)
from vault.errors import IntegrityFailedError
from vault.model import compiled
from vault.tlog.proving import TILE_LEAVES

LIBRARY: Final = Path(__file__).with_name("_indexing.so")
BLOCK_BYTES: Final = ENTRY_BYTES << 15
_VERSION: Final = 2
_GROUP_BYTES: Final = LOCATOR_BYTES + 2
_NUMBERS: Final = 64
_MOST_BITS: Final = 18  # by which entries are sorted first: 1 MiB of counters

_ffi: Final = FFI()
_uncleared: Final = _ffi.new_allocator(should_clear_after_alloc=False)


class NativeIndexer:
    """`Indexer`, compiled."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def mentions(self, bundle: bytes, first: int) -> Mentions:
        """See `Indexer`."""
        room = len(bundle) // _GROUP_BYTES * ENTRY_BYTES
        out: Any = _uncleared("unsigned char[]", room)
        others, count = _others()
        made = self._library.cv_mention(
            _ffi.from_buffer(bundle), len(bundle), first, out, room, others, count
        )
        if made < 0:
            raise IntegrityFailedError(file="entries")
        return Mentions(memoryview(_ffi.buffer(out, made * ENTRY_BYTES)), list(others[0 : count[0]]))

    def sight(self, bundle: bytes) -> Sight:
        """See `Indexer`."""
        found: Any = _ffi.new("cv_seen *")
        others, count = _others()
        if self._library.cv_look(_ffi.from_buffer(bundle), len(bundle), found, others, count) != 0:
            raise IntegrityFailedError(file="entries")
        purposes = {number for number in range(_NUMBERS) if found.purposes >> number & 1}
        seen = Seen(_numbers(found.calls), purposes, _numbers(found.classes), _numbers(found.outcomes))
        return Sight(seen, list(others[0 : count[0]]))

    def ordered(self, parts: Sequence[bytes | memoryview]) -> bytes | memoryview:
        """See `Indexer`."""
        one = len(parts) == 1 and isinstance(parts[0], memoryview) and not parts[0].readonly
        entries = memoryview(parts[0] if one else bytearray().join(parts))
        count = len(entries) // ENTRY_BYTES
        bits = min(max(count.bit_length(), 1), _MOST_BITS)
        with _ffi.from_buffer(entries) as there:
            scratch, starts = _uncleared("unsigned char[]", len(entries)), _uncleared("uint32_t[]", 1 << bits)
            left = self._library.cv_sort(there, count, scratch, starts, bits)
        return entries[: left * ENTRY_BYTES]

    @contextmanager
    def merged(self, runs: Sequence[Content]) -> Iterator[Iterator[bytes]]:
        """See `Indexer`."""
        if len(runs) > MAX_RUNS:
            raise ValueError("too many runs")
        job: Any = _ffi.new("cv_merging *")
        with ExitStack() as held:
            for number, content in enumerate(runs):
                there = held.enter_context(_ffi.from_buffer(content))
                job.at[number], job.end[number] = there, there + len(content)
            out = _uncleared("unsigned char[]", BLOCK_BYTES)
            job.out, job.room, job.runs = out, BLOCK_BYTES, len(runs)
            yield self._blocks(job, out)

    def _blocks(self, job: Any, out: Any) -> Iterator[bytes]:
        while written := self._library.cv_merge(job):
            yield bytes(_ffi.buffer(out, written))


def _others() -> tuple[Any, Any]:
    return _uncleared("uint16_t[]", TILE_LEAVES), _ffi.new("uint32_t *")


def _numbers(flags: Any) -> set[int]:
    return {number for number, flag in enumerate(_ffi.buffer(flags)[:]) if flag}


@cache
def load(library: Path = LIBRARY) -> Any | None:
    """The library, or None where it was not built, or does not fit."""
    _declare()
    sizes = {f"{name}_bytes": _ffi.sizeof(name) for name in ("cv_seen", "cv_merging")}
    return compiled.load(_ffi, library, _VERSION, sizes)


def new_indexer() -> Indexer:
    """The compiled one where it was built, else the one in Python."""
    library = load()
    return PortableIndexer() if library is None else NativeIndexer(library)


@cache
def _declare() -> None:
    _ffi.cdef("""
        typedef struct {
            uint64_t purposes;
            unsigned char calls[256], classes[256], outcomes[256];
        } cv_seen;
        typedef struct {
            const unsigned char *at[8], *end[8];
            unsigned char *out;
            uint64_t room;
            uint32_t runs;
        } cv_merging;
        int cv_version(void);
        size_t cv_seen_bytes(void);
        size_t cv_merging_bytes(void);
        int64_t cv_mention(const unsigned char *, uint64_t, uint64_t, unsigned char *, uint64_t, uint16_t *,
                           uint32_t *);
        int cv_look(const unsigned char *, uint64_t, cv_seen *, uint16_t *, uint32_t *);
        uint64_t cv_sort(unsigned char *, uint64_t, unsigned char *, uint32_t *, int);
        uint64_t cv_merge(cv_merging *);
    """)
