"""The memory of running processes, of Linux: what is mapped, and what stands in it.

Guarded memory is told by what libsodium asks of the kernel for it: locked (`lo`), left out of core dumps
(`dd`), and between pages that nobody may touch.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.scenarios.support.forensics.scanning import Needles

_READ_BYTES: Final = 1 << 24
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_NOT_MEMORY: Final = ("[vvar]", "[vvar_vclock]", "[vsyscall]")
_PR_CAPBSET_DROP: Final = 24
_ALL_SEEING: Final = (19, 21, 38)  # CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON


@dataclass(frozen=True, slots=True)
class Mapping:
    """A range of a process's addresses."""

    start: int
    end: int
    permissions: str
    offset: int  # in the file of that name
    name: str
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class InMemory:
    """A key that was found: which one, in which process, in what."""

    needle: int
    pid: int
    guarded: bool
    where: str


def mappings_of(pid: int) -> list[Mapping]:
    """What is mapped, by ascending address."""
    found: list[Mapping] = []
    head: list[str] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split(maxsplit=5)
        if "-" in words[0] and not words[0].endswith(":"):
            head = words
        elif words[0] == "VmFlags:":
            start, _, end = head[0].partition("-")
            name = head[5] if len(head) > 5 else ""
            addresses = int(start, 16), int(end, 16)
            found.append(Mapping(*addresses, head[1], int(head[2], 16), name, frozenset(line.split()[1:])))
    return found


def guarded(mappings: Sequence[Mapping]) -> set[Mapping]:
    """Those that are locked, not dumped, and between pages without access."""
    found = set()
    for before, mapping, after in zip(mappings, mappings[1:], mappings[2:], strict=False):
        fenced = before.end == mapping.start and after.start == mapping.end
        barred = before.permissions.startswith("---") and after.permissions.startswith("---")
        if {"lo", "dd"} <= mapping.flags and fenced and barred:
            found.add(mapping)
    return found


def keys_in_memory(pid: int, keys: Needles) -> Iterator[InMemory]:
    """Every place in the readable memory of a process where one of the keys stands."""
    mappings = mappings_of(pid)
    slabs = guarded(mappings)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for mapping in mappings:
            if not mapping.permissions.startswith("r") or mapping.name in _NOT_MEMORY:
                continue
            end = min(mapping.end, mapping.start + _bytes_behind(mapping))
            for start in range(mapping.start, end, _READ_BYTES):
                data = _read(memory.fileno(), start, min(_READ_BYTES + keys.width - 1, end - start))
                for offset, needle in keys.find(data):
                    where = f"{start + offset:x} of {mapping.name or 'no file'} {mapping.permissions}"
                    yield InMemory(needle, pid, mapping in slabs, where)


def _bytes_behind(mapping: Mapping) -> int:
    """How much of a mapping there is: a map may be far larger than its file, and then ends with it."""
    path = Path(mapping.name)
    if not path.is_absolute() or not path.is_file():
        return mapping.end - mapping.start
    pages = -(-path.stat().st_size // _PAGE_BYTES)
    return max(0, pages * _PAGE_BYTES - mapping.offset)


def _read(memory: int, start: int, size: int) -> bytes:
    parts = []
    while size > 0:
        part = os.pread(memory, size, start)
        if not part:
            raise EOFError(f"memory at {start:x} cannot be read")
        parts.append(part)
        start, size = start + len(part), size - len(part)
    return b"".join(parts)


_PROBE = """
import sys
for pid in sys.argv[1:]:
    try:
        print(len(open(f"/proc/{pid}/environ", "rb").read()) > 0)
    except PermissionError:
        print(False)
"""


def without_all_seeing_capabilities(body: Callable[[], None]) -> None:
    """Calls `body` in a thread whose child processes lack the capabilities for which nothing is hidden.

    Otherwise root would see every process, dumpable or not. Processes started outside it have more
    capabilities than those inside, and are hidden for that.
    """

    def drop() -> None:
        for capability in _ALL_SEEING:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # in vain, unless for root

    with ThreadPoolExecutor(max_workers=1, initializer=drop) as thread:
        thread.submit(body).result()


def dumpable(pids: Iterable[int]) -> list[bool]:
    """Whether the kernel lets another process of the same user look into each of some processes.

    It asks for something that needs no more than the right to read, so that Yama's `ptrace_scope` does not
    matter.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *map(str, pids)], capture_output=True, text=True, check=True
    )
    return [line == "True" for line in done.stdout.split()]
