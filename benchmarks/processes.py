"""What the kernel says of processes: the CPU they used, their cores, the connections they hold.

Linux only. CPU times are those of each process's CPU clock (`clock_getcpuclockid`, POSIX), which counts
nanoseconds; /proc/<pid>/stat would round them to hundredths of a second.
"""

import ctypes
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_ESTABLISHED = "01"
_SOCKET = re.compile(r"socket:\[(\d+)\]\Z")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used so far, all their threads together.

    Raises:
        OSError: One of them has ended.
    """
    return sum(time.clock_gettime(_clock_of(pid)) for pid in pids)


def resident_bytes(pid: int) -> int:
    """Memory that a process has to itself: resident and anonymous, without the pages of files.

    Raises:
        OSError: It has ended.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    [kibibytes] = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(kibibytes) * 1024


def descendants(pid: int) -> list[int]:
    """`pid` and all processes that it started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except OSError:  # it ended meanwhile
                continue
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def pin(pid: int, cores: set[int]) -> None:
    """Confines every thread of a process, and those that it starts later, to `cores`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def connections(pid: int, port: int) -> frozenset[str]:
    """The established TCP connections to local `port` that a process holds, as socket inodes.

    Raises:
        OSError: The process has ended, or is somebody else's.
    """
    on_port = _established(port)
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            match = _SOCKET.match(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
        if match and match[1] in on_port:
            held.add(match[1])
    return frozenset(held)


def _established(port: int) -> set[str]:
    # gRPC serves IPv4 from IPv6 sockets where there is IPv6.
    tables = [path.read_text() for path in Path("/proc/net").glob("tcp*")]
    lines = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {
        fields[9]
        for fields in lines
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _ESTABLISHED
    }


def _clock_of(pid: int) -> int:
    clock = ctypes.c_int()
    error = _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return clock.value


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name, which may itself hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
