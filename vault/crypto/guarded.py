"""Memory for keys, from libsodium's guarded allocator. Use it through `hazmat`."""

import ctypes
from typing import Any, Final, NoReturn

from nacl import _sodium  # type: ignore[attr-defined]

from vault.errors import KeyUnavailableError

KeyPointer = Any
"""A cffi `unsigned char *` to a key's first byte, 32 bytes long unless a function says otherwise."""

_lib: Final = _sodium.lib
_ffi: Final = _sodium.ffi

if _lib.sodium_init() < 0:
    raise KeyUnavailableError("libsodium could not be initialised")


def _exported(name: str, kind: str) -> Any:
    """A function of the same shared object that PyNaCl does not declare, as a pointer of that C type."""
    address = ctypes.cast(getattr(_shared_object, name), ctypes.c_void_p).value
    return _ffi.cast(kind, address)


_shared_object: Final = ctypes.CDLL(_sodium.__file__)
_malloc: Final = _exported("sodium_malloc", "void *(*)(size_t)")
_free: Final = _exported("sodium_free", "void (*)(void *)")


class GuardedMemory:
    """Memory for keys: locked in RAM, out of core dumps, between guard pages, zeroed when freed.

    The garbage collector does not free it, because pointers into it outlive this object unseen;
    its owner calls `free`, after which every pointer and view into it is invalid.

    Raises:
        KeyUnavailableError: the kernel does not give or lock that much (RLIMIT_MEMLOCK).
    """

    __slots__ = ("_address", "_base", "_size")

    def __init__(self, size: int) -> None:
        if size <= 0:
            raise ValueError("guarded memory needs a size")
        self._size = size
        self._address = _malloc(size)
        if self._address == _ffi.NULL:
            raise KeyUnavailableError("no guarded memory left", bytes=str(size))
        self._base = _ffi.cast("unsigned char *", int(_ffi.cast("uintptr_t", self._address)))
        # sodium_malloc locks too, but keeps silent when it cannot.
        if _lib.sodium_mlock(self._base, size) != 0:
            self.free()
            raise KeyUnavailableError("key memory cannot be locked; raise RLIMIT_MEMLOCK", bytes=str(size))
        _lib.sodium_memzero(self._base, size)

    @property
    def size(self) -> int:
        """Bytes asked for."""
        return self._size

    def pointer(self, offset: int = 0) -> KeyPointer:
        """The address of one byte, for the functions of this module. Valid until `free`."""
        return self._at(offset, 1)

    def view(self, offset: int, size: int) -> memoryview:
        """A writable buffer of part of it, for `os.readv` and `os.writev`. Valid until `free`."""
        return memoryview(_ffi.buffer(self._at(offset, size), size)).cast("B")

    def fill_random(self, offset: int, size: int) -> None:
        """Writes fresh random bytes."""
        _lib.randombytes(self._at(offset, size), size)

    def zero(self, offset: int, size: int) -> None:
        """Overwrites with zeros; the compiler cannot drop it."""
        _lib.sodium_memzero(self._at(offset, size), size)

    def free(self) -> None:
        """Zeroes and returns the memory. May be called again."""
        address, self._address = self._address, None
        if address is not None:
            _free(address)

    def _at(self, offset: int, size: int) -> KeyPointer:
        if self._address is None:
            raise KeyUnavailableError("the key memory was freed")
        if offset < 0 or size < 0 or offset + size > self._size:
            raise IndexError("outside the guarded memory")
        return self._base + offset

    def __repr__(self) -> str:
        return "<guarded memory>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("guarded memory is not pickled")


def load_key(destination: KeyPointer, data: bytes) -> None:
    """Copies `data` into guarded memory. Its caller wipes or drops the original."""
    _ffi.memmove(destination, data, len(data))


def copy_key(destination: KeyPointer, source: KeyPointer, size: int = 32) -> None:
    """Copies key material from pointer to pointer; the two must not overlap."""
    _ffi.memmove(destination, source, size)
