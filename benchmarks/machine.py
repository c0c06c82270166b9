"""What a figure depends on besides the code."""

import os
import platform
import resource
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import lmdb

_PACKAGES = ("grpcio", "protobuf", "lmdb", "pynacl", "cryptography")


def facts() -> dict[str, object]:
    """Processor, cores, memory, system and versions."""
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "memlock_bytes": None if locked == resource.RLIM_INFINITY else locked,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "lmdb": ".".join(map(str, lmdb.version())),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def line(found: Mapping[str, object]) -> str:
    """The facts that a reader of a table needs."""
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB; "
        f"Python {found['python']}, LMDB {found['lmdb']}"
    )


def _cpu_model() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()
