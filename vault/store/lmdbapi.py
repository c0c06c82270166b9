"""The functions of the LMDB inside the Python module `lmdb`, for compiled code that reads beside it."""

import ctypes
from pathlib import Path
from typing import Final

import lmdb
import lmdb.cpython

from vault.store.environment import MAP_BYTES

__all__ = ["KNOWN_VERSIONS", "MAP_BYTES", "functions", "module_file"]

KNOWN_VERSIONS: Final = range(9_033, 10_000)  # 0.9.33 and later of 0.9: whose table the callers declare
_TABLE: Final = "lmdb_api_v09"


def functions() -> int | None:
    """The address of the table of LMDB's functions, `MdbApi` of py-lmdb; None if this build exports none.

    It begins with the version, three ints: compare major * 1,000,000 + minor * 1,000 + patch with
    `KNOWN_VERSIONS` before anything else in it is used.
    """
    try:
        return ctypes.addressof(ctypes.c_char.in_dll(ctypes.CDLL(str(module_file())), _TABLE))
    except (OSError, ValueError):
        return None


def module_file() -> Path:
    """The Python module's shared object."""
    return Path(lmdb.cpython.__file__)
