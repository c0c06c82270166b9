"""The compiled parts of the vault, which are there where a C compiler was found at installation."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(ffi: Any, library: Path, version: int, sizes: Mapping[str, int] | None = None) -> Any | None:
    """A compiled part, or None where it was not built, or does not fit.

    Args:
        ffi: cffi's, with the part's declarations.
        library: its file.
        version: that `cv_version` has to say.
        sizes: of structures that both sides lay out, in bytes, by the function that says them. Such a part
            fits only little-endian machines of 64 bits.
    """
    try:
        loaded: Any = ffi.dlopen(str(library))
    except OSError:  # not built, or built for another machine
        return None
    if sizes and (sys.maxsize < 2**32 or sys.byteorder != "little"):
        return None
    if loaded.cv_version() != version:
        return None
    alike = all(getattr(loaded, function)() == size for function, size in (sizes or {}).items())
    return loaded if alike else None
