"""The compiled cutter; see `cutting` for what it does, `cutting.c` for how.

It is used only where it was built, is of the version and has the layouts that this module is written for, on
little-endian machines of 64 bits.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

from cffi import FFI

from vault.audit.records import FRAME, MIN_BODY_BYTES
from vault.audit.sealed.cutting import Cut, Cutter, Found, PortableCutter, Stretch, count_gaps
from vault.model import compiled

LIBRARY: Final = Path(__file__).with_name("_cutting.so")
_VERSION: Final = 1
_LEAST_FRAME: Final = FRAME.size + MIN_BODY_BYTES

_ffi: Final = FFI()


class NativeCutter:
    """`Cutter`, compiled. For one thread."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._found: Any = _ffi.new("cv_found *")
        self._job: Any = _ffi.new("cv_cutting *")

    def find(self, data: bytes | memoryview) -> Found:
        """See `Cutter`."""
        found = self._found
        self._library.cv_find(_ffi.from_buffer(data), len(data), found)
        gaps = count_gaps(data[: found.used]) if found.suspects else 0
        return Found(found.used, found.records, gaps)

    def cut(self, head: bytes, stretch: Stretch, at: int, out: bytearray, start: int, limit: int) -> Cut:
        """See `Cutter`."""
        left, job = len(stretch.frames) - at, self._job
        most = start + left + min(limit, left // _LEAST_FRAME) * len(head)
        if len(out) < most:
            out.extend(bytes(most - len(out)))
        job.frames_size, job.out_size = left, most - start
        job.head_size, job.offset, job.limit = len(head), stretch.offset + at, limit
        with _ffi.from_buffer(head) as of_head, _ffi.from_buffer(stretch.frames) as frames:
            job.head, job.frames = of_head, frames + at
            with _ffi.from_buffer(out) as room:
                job.out = room + start
                self._library.cv_cut(job)
        return Cut(job.used, job.written, job.leaves, job.first_ms, job.last_ms, job.principals)


@cache
def load(library: Path = LIBRARY) -> Any | None:
    """The library, or None where it was not built, or does not fit."""
    _declare()
    sizes = {f"{name}_bytes": _ffi.sizeof(name) for name in ("cv_cutting", "cv_found")}
    return compiled.load(_ffi, library, _VERSION, sizes)


def new_cutter() -> Cutter:
    """The compiled one where it was built, else the one in Python."""
    library = load()
    return PortableCutter() if library is None else NativeCutter(library)


@cache
def _declare() -> None:
    _ffi.cdef("""
        typedef struct {
            const unsigned char *frames, *head;
            unsigned char *out;
            uint64_t frames_size, out_size, used, written, first_ms, last_ms, principals;
            uint32_t head_size, offset, limit, leaves;
        } cv_cutting;
        typedef struct { uint64_t used; uint32_t records, suspects; } cv_found;
        int cv_version(void);
        size_t cv_cutting_bytes(void);
        size_t cv_found_bytes(void);
        void cv_find(const unsigned char *, uint64_t, cv_found *);
        void cv_cut(cv_cutting *);
    """)
