"""Searching bytes at every offset, in C: `scan.c`, compiled when first needed."""

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cffi import FFI

SOURCE = Path(__file__).with_name("scan.c")
KEY_BYTES = 32
SEALED_WINDOW = 24 + KEY_BYTES  # nonce and ciphertext: bytes that one decryption looks at
_OPTIONS = ("-shared", "-fPIC", "-O3", "-march=native", "-std=c11", "-Wall", "-Wextra", "-Werror")
_ROOM = 4096  # findings told of one buffer; more are an error, never silently left out

_ffi = FFI()
_ffi.cdef("""
    struct needles *cv_needles_new(const uint8_t *bytes, size_t count, size_t width);
    void cv_needles_free(struct needles *known);
    size_t cv_find(const struct needles *known, const uint8_t *data, size_t size,
        uint64_t *found, size_t room);
    size_t cv_find_sealed(const struct needles *known, const uint8_t *key, const uint8_t *data, size_t size,
        uint64_t *found, size_t room);
""")


class Hit(NamedTuple):
    """Where something was found, and which it was."""

    offset: int
    needle: int


class Needles:
    """Strings of one length that are looked for together; they are told by their position."""

    def __init__(self, strings: Sequence[bytes]) -> None:
        self.width = len(strings[0]) if strings else KEY_BYTES
        if self.width < 8 or any(len(each) != self.width for each in strings):
            raise ValueError("needles have one length, of 8 bytes or more")
        self._library = _library()
        made = self._library.cv_needles_new(b"".join(strings), len(strings), self.width)
        if made == _ffi.NULL:
            raise MemoryError
        self._known = _ffi.gc(made, self._library.cv_needles_free)
        self._found = _ffi.new("uint64_t[]", 2 * _ROOM)

    def find(self, data: bytes) -> list[Hit]:
        """Every place where one of them stands as it is."""
        buffer = _ffi.from_buffer("uint8_t[]", data)
        return self._hits(self._library.cv_find(self._known, buffer, len(data), self._found, _ROOM))

    def find_sealed(self, key: bytes, data: bytes) -> list[Hit]:
        """Every offset from which `nonce | ciphertext` decrypts under `key` to one of them."""
        if self.width != KEY_BYTES or len(key) != KEY_BYTES:
            raise ValueError("keys have 32 bytes")
        buffer = _ffi.from_buffer("uint8_t[]", data)
        found = self._library.cv_find_sealed(self._known, key, buffer, len(data), self._found, _ROOM)
        return self._hits(found)

    def _hits(self, count: int) -> list[Hit]:
        if count > _ROOM:
            raise OverflowError("more findings in one buffer than there is room for")
        return [Hit(self._found[2 * n], self._found[2 * n + 1]) for n in range(count)]


@functools.cache
def _library() -> Any:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("the search of every offset needs a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "scan.so")
        made = subprocess.run([compiler, *_OPTIONS, "-o", library, SOURCE], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        return _ffi.dlopen(str(library))
