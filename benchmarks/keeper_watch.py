"""What the keeper of a served vault uses while it rotates: CPU time, and memory of its own.

Memory is what the process has to itself (RssAnon): pages of mapped files are the system's, and it takes
them back. CPU counts in ticks (10 ms as a rule), of all threads of the process.
"""

import bisect
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import cpu_seconds, descendants
from benchmarks.throwaway import ThrowAwayVault, VaultProcessError

_MODULE = b"vault.server.keeper"
_SAMPLE_SECONDS = 0.02


@dataclass(slots=True)
class Usage:
    """Samples: Unix times, and beside each the CPU seconds of the process so far and its memory in bytes."""

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def cpu_between(self, begin: float, end: float) -> float:
        """CPU seconds used between two moments, to a sample."""
        return self._cpu_at(end) - self._cpu_at(begin)

    @property
    def grown(self) -> int:
        """By how many bytes the process was larger than at the beginning, at most."""
        return max(self.memory) - self.memory[0]

    def _cpu_at(self, moment: float) -> float:
        return self.cpu[min(bisect.bisect(self.times, moment), len(self.cpu) - 1)]


def keeper_of(vault: ThrowAwayVault) -> int:
    """Its process id.

    Raises:
        VaultProcessError: It does not run.
    """
    for pid in descendants(vault.ready.pid):
        if _MODULE in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise VaultProcessError("the vault has no keeper")


@contextmanager
def watched(pid: int) -> Iterator[Usage]:
    """Samples until the block ends."""
    usage, ended = Usage(), threading.Event()

    def sample() -> None:
        usage.times.append(time.time())
        usage.cpu.append(cpu_seconds([pid]))
        usage.memory.append(_own_bytes(pid))

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            sample()

    sample()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()
        sample()


def _own_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell RssAnon")
