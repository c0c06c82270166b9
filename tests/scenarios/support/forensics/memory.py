"""The memory of running processes, of Linux: what is mapped, and what stands in it.

Guarded memory is told by what libsodium asks of the kernel for it: locked (`lo`), left out of core dumps (`dd`),
and between pages that nobody may touch.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.scenarios.support.forensics.scanning import Needles

_READ_BYTES: Final = 1 << 24
_PR_CAPBSET_DROP, _CAP_SYS_PTRACE = 24, 19


@dataclass(frozen=True, slots=True)
class Mapping:
    """A range of a process's addresses."""

    start: int
    end: int
    permissions: str
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
            found.append(Mapping(int(start, 16), int(end, 16), head[1], name, frozenset(line.split()[1:])))
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
            if not mapping.permissions.startswith("r") or mapping.name in ("[vvar]", "[vsyscall]"):
                continue
            for start in range(mapping.start, mapping.end, _READ_BYTES):
                size = min(_READ_BYTES + keys.width - 1, mapping.end - start)
                for offset, needle in keys.find(_resident(memory.fileno(), pid, start, size)):
                    where = f"{start + offset:x} of {mapping.name or 'no file'} {mapping.permissions}"
                    yield InMemory(needle, pid, mapping in slabs, where)


def _resident(memory: int, pid: int, start: int, size: int) -> bytes:
    """The bytes of part of a mapping; a file's pages beyond its end, and a map far beyond its file, have none."""
    try:
        return os.pread(memory, size, start)
    except OSError:
        return b""


READ_ENVIRONMENTS = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_CAPBSET_DROP}, {_CAP_SYS_PTRACE}, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", '''
import sys
for pid in sys.argv[1:]:
    try:
        print(len(open(f"/proc/{{pid}}/environ", "rb").read()) > 0)
    except PermissionError:
        print(False)
''', *sys.argv[1:]])
"""


def dumpable(pids: Iterable[int]) -> list[bool]:
    """Whether the kernel lets another process of the same user look into each of some processes.

    It asks as somebody without CAP_SYS_PTRACE, for whom it makes the difference, and for something that
    needs no more than the right to read, so that Yama's `ptrace_scope` does not matter.
    """
    command = [sys.executable, "-c", READ_ENVIRONMENTS, *map(str, pids)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line == "True" for line in done.stdout.split()]
