"""Builds and runs `loop.c`, which says what it measures.

It is compiled with the system's C compiler and nothing else: the LMDB and the libsodium that it calls are
those that the vault itself uses, inside the wheels of `lmdb` and `pynacl`. The first exports a table of
LMDB's functions, the second libsodium's functions by name. A Python module cannot be loaded into a program
that is not Python, so the loop runs within this process: one call reads for seconds, with no interpreter in
between, and takes its times itself.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb
import lmdb.cpython
from nacl import _sodium  # type: ignore[attr-defined]

SOURCE = Path(__file__).with_name("loop.c")
FLAGS = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-fPIC", "-shared")
KEY_BYTES = 9
_SEAL_KEY_BYTES = 32
_TABLE = b"values"
_API = "lmdb_api_v09"
_KNOWN_LMDB = range(9_033, 10_000)  # 0.9.33 and later: what the table in loop.c was compared with
_OPEN = {
    1: ("crypto_aead_xchacha20poly1305_ietf_decrypt", 24, 16),
    3: ("crypto_aead_aegis256_decrypt", 32, 32),
}


class CLoopError(Exception):
    """There is no C compiler, or the loop could not read what it should."""


@dataclass(frozen=True, slots=True)
class Records:
    """What the loop reads: a store, and what opens its records.

    Attributes:
        store: Directory with a copy of the plane `values`.
        vault_id: 16 bytes.
        suite: Number of the AEAD that sealed all records; 1 or 3.
        seal_keys: 32 bytes for each customer number from 0 on.
    """

    store: Path
    vault_id: bytes
    suite: int
    seal_keys: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Values that were read, the seconds that it took, and the number of the value to go on with."""

    values: int
    plain_bytes: int
    next: int
    cpu_seconds: float
    seconds: float


class _Opening(ctypes.Structure):
    _fields_ = (
        ("open", ctypes.c_void_p),
        ("suite", ctypes.c_uint),
        ("nonce_bytes", ctypes.c_size_t),
        ("tag_bytes", ctypes.c_size_t),
        ("vault_id", ctypes.c_char_p),
        ("seal_keys", ctypes.c_char_p),
        ("customers", ctypes.c_uint64),
    )


class _Stretch(ctypes.Structure):
    _fields_ = (
        ("values", ctypes.c_uint64),
        ("plain_bytes", ctypes.c_uint64),
        ("next", ctypes.c_uint64),
        ("cpu_seconds", ctypes.c_double),
        ("seconds", ctypes.c_double),
    )


def build(folder: Path) -> Path:
    """Compiles the loop into `folder`; the shared object.

    Raises:
        CLoopError: There is no compiler, or it refuses.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CLoopError("the C loop needs a C compiler; on Debian and Ubuntu: apt install gcc libc6-dev")
    made = folder / "loop.so"
    done = subprocess.run([compiler, *FLAGS, "-o", made, SOURCE], check=False, capture_output=True, text=True)
    if done.returncode:
        raise CLoopError(f"the C loop does not compile:\n{done.stderr}")
    return made


class CLoop:
    """The loop over one store."""

    def __init__(self, library: ctypes.CDLL, store: ctypes.c_void_p, records: Records) -> None:
        self._library = library
        self._store = store
        self._records = records  # also keeps alive the bytes that the loop points to
        name, nonce_bytes, tag_bytes = _OPEN[records.suite]
        sodium = ctypes.CDLL(_sodium.__file__)
        self._get = _Opening()
        self._open = _Opening(
            ctypes.cast(getattr(sodium, name), ctypes.c_void_p),
            records.suite,
            nonce_bytes,
            tag_bytes,
            records.vault_id,
            records.seal_keys,
            len(records.seal_keys) // _SEAL_KEY_BYTES,
        )

    def read(
        self, keys: bytes, batch: int, seconds: float = 0.0, *, start: int = 0, opened: bool = True
    ) -> Stretch:
        """Reads batches of records, in order, over and over for so many seconds; 0 for each once.

        Args:
            keys: 9 bytes for each record; whole batches of them.
            batch: Records in one transaction.
            seconds: Of wall time.
            start: Number of the value to begin with.
            opened: Opens what was read; else only gets it.

        Raises:
            CLoopError: A customer or record is missing, or does not open.
        """
        took = _Stretch()
        how = self._open if opened else self._get
        failed = self._library.loop_read(
            self._store, ctypes.byref(how), keys, ctypes.c_size_t(len(keys) // KEY_BYTES),
            ctypes.c_size_t(batch), ctypes.c_size_t(start), ctypes.c_double(seconds), ctypes.byref(took),
        )  # fmt: skip
        if failed:
            raise CLoopError("a record is missing or does not open")
        return Stretch(took.values, took.plain_bytes, took.next, took.cpu_seconds, took.seconds)


@contextmanager
def c_loop(library: Path, records: Records) -> Iterator[CLoop]:
    """The loop, built as `library`, over a store.

    Raises:
        CLoopError: The store cannot be opened, or this LMDB is not one that the loop knows.
    """
    loop, python_module = ctypes.CDLL(str(library)), ctypes.CDLL(lmdb.cpython.__file__)
    api = ctypes.byref(ctypes.c_char.in_dll(python_module, _API))
    if loop.loop_version(api) not in _KNOWN_LMDB:
        raise CLoopError(f"the C loop does not know LMDB {lmdb.version()}")
    store = ctypes.c_void_p()
    code = loop.loop_open(api, str(records.store).encode(), _TABLE, ctypes.byref(store))
    if code:
        raise CLoopError(f"the copy of the store cannot be opened (LMDB's code {code})")
    try:
        yield CLoop(loop, store, records)
    finally:
        loop.loop_close(store)
