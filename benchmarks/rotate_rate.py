"""`make bench-rotate`: two epoch rotations, alone and under reads and writes: CPU, pauses, memory.

    python -m benchmarks.rotate_rate --customers 1000000

The vault is open in this process. The first rotation has it to itself, as it has the keeper's process,
and tells what it costs: the CPU of the rotating thread, which does all the work but the swap. During the
second one thread reads and one writes, a little at a time; they share the interpreter's lock with it, so
it takes longer. The longest write stands beside the longest sync of a page, which the writing thread did
after each of its writes to the same disk. Memory is what the process has to itself (RssAnon), sampled:
pages of mapped files are the system's, and it takes them back.
"""

import argparse
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.in_process import CALLER, ENTRIES_A_CALL, PURPOSE, in_process_vault, store
from vault.core.custody import OwnCustodian
from vault.core.epochs import EpochRotation, Progress
from vault.core.vault import Vault
from vault.model.access import Reveal
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret

TARGET_CPU_SECONDS = 60.0  # for 1,000,000 customers
TARGET_PAUSE_SECONDS = 0.1
TARGET_MEMORY_BYTES = 64 << 20
_READ_BATCH = 50
_PACE_SECONDS = 0.02
_WARM_SECONDS = 3.0
_SAMPLE_SECONDS = 0.05


@dataclass(slots=True)
class Load:
    """What the readers and writers saw."""

    reads: int = 0
    failed: int = 0
    writes: list[tuple[float, str]] = field(default_factory=list)  # seconds of each, and when it ended
    syncs: list[float] = field(default_factory=list)
    steps: "Steps | None" = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the rotation; `done` customers."""

    name: str
    done: int
    seconds: float
    cpu_seconds: float


class Steps:
    """Takes the times of a rotation's steps; called in its thread."""

    def __init__(self) -> None:
        self.found: list[Step] = []
        self.name, self._done = "", 0
        self._began = time.perf_counter(), time.thread_time()

    def report(self, progress: Progress) -> None:
        """The rotation's own reports."""
        if progress.step != self.name:
            self.note(progress.step)
        self._done = max(self._done, progress.done)

    def note(self, name: str) -> None:
        """A step begins, and the one before is over."""
        now = time.perf_counter(), time.thread_time()
        if self.name:
            self.found.append(Step(self.name, self._done, now[0] - self._began[0], now[1] - self._began[1]))
        self.name, self._done, self._began = name, 0, now


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rotate_rate", description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    options = parser.parse_args()
    print(machine.line(machine.facts()))
    with in_process_vault() as vault:
        began = time.perf_counter()
        tokens = _fill(vault, options.customers)
        print(f"{options.customers:,} customers stored in {time.perf_counter() - began:,.0f} s")
        _measure(vault, options.customers, tokens)


def _fill(vault: Vault, customers: int) -> list[str]:
    """Stores customers of one value each; the tokens of some of them."""
    kept: list[str] = []
    for first in range(0, customers, ENTRIES_A_CALL):
        names = [f"customer-{n}" for n in range(first, min(first + ENTRIES_A_CALL, customers))]
        stored = store(vault, [_entry(name) for name in names])
        kept += [tokens[0] for tokens in stored[:: max(1, customers // 5_000)]]
    return kept


def _entry(name: str) -> Entry:
    fields = [FieldInput("email", Secret(f"{name}@example.org"), "")]
    return Entry(CustomerRef(external_id=Secret(name)), fields)


def _measure(vault: Vault, customers: int, tokens: list[str]) -> None:
    before, during = Load(), Load(steps=Steps())
    with _memory() as alone_memory:
        steps = _rotate(vault, Steps())
    _print("alone", steps)
    cpu, target = sum(step.cpu_seconds for step in steps), TARGET_CPU_SECONDS * customers / 1_000_000
    print(f"keyring and external-id index   {cpu:.1f} s of CPU (at most {target:.1f})")
    print(f"memory                          {_mib(alone_memory[0])} (at most {_mib(TARGET_MEMORY_BYTES)})")
    with _loaded(vault, tokens, before):
        time.sleep(_WARM_SECONDS)
    with _memory() as loaded_memory, _loaded(vault, tokens, during):
        steps = _rotate(vault, during.steps or Steps())
    _print("under reads and writes", steps)
    (longest, step), sync = max(during.writes), max(during.syncs)
    print(f"longest write                   {_ms(longest)} of {len(during.writes):,}; in step {step}")
    print(f"  longest sync of a page        {_ms(sync)} (at most {_ms(TARGET_PAUSE_SECONDS)} less)")
    print(f"  longest write without it      {_ms(max(before.writes)[0])} of {len(before.writes):,}")
    print(f"reads failed                    {during.failed} of {during.reads:,} (0)")
    print(f"memory                          {_mib(loaded_memory[0])} (at most {_mib(TARGET_MEMORY_BYTES)})")


def _print(title: str, steps: list[Step]) -> None:
    print(f"\n{title:<24}{'seconds':>9}{'CPU':>9}{'customers/s':>14}")
    for step in steps:
        rate = f"{step.done / step.seconds:,.0f}" if step.done else ""
        print(f"  {step.name:<22}{step.seconds:>9.2f}{step.cpu_seconds:>9.2f}{rate:>14}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _rotate(vault: Vault, steps: Steps) -> list[Step]:
    engine = vault.engine
    passphrase = Secret((engine.data_dir / "dev" / "passphrase").read_text())
    custodian = OwnCustodian(engine, engine.settings, passphrase)
    after = {"copied": "index", "followed": "swap", "swapped": "retire"}

    def note(step: str) -> None:
        if step in after:
            steps.note(after[step])

    EpochRotation(engine, custodian, report=steps.report, after_step=note).rotate()
    return steps.found


@contextmanager
def _loaded(vault: Vault, tokens: list[str], load: Load) -> Iterator[None]:
    """Somebody reads and somebody writes meanwhile; an error of theirs is raised at the end."""
    ended, errors = threading.Event(), []
    probe = vault.engine.data_dir / "probe"

    def repeated(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not ended.wait(_PACE_SECONDS):
                    act()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)

        return run

    def read() -> None:
        first = load.reads % max(1, len(tokens) - _READ_BATCH)
        revealed = vault.detokenize(CALLER, tokens[first : first + _READ_BATCH], PURPOSE, Reveal.BEST)
        load.reads += len(revealed.values)
        load.failed += len(revealed.denials)

    def write() -> None:
        began = time.perf_counter()
        store(vault, [_entry(f"meanwhile-{uuid.uuid4()}")])
        seconds = time.perf_counter() - began
        load.writes.append((seconds, load.steps.name if load.steps else ""))
        load.syncs.append(_sync(probe))

    threads = [threading.Thread(target=repeated(act)) for act in (read, write)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        probe.unlink(missing_ok=True)
    for error in errors:
        raise error


def _sync(path: Path) -> float:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        began = time.perf_counter()
        os.pwrite(descriptor, os.urandom(4096), 0)
        os.fdatasync(descriptor)
        return time.perf_counter() - began
    finally:
        os.close(descriptor)


@contextmanager
def _memory() -> Iterator[list[int]]:
    """One number: by how many bytes the process grew at most."""
    start, grown, ended = _own_bytes(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            grown[0] = max(grown[0], _own_bytes() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield grown
    finally:
        ended.set()
        thread.join()


def _own_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell RssAnon")


if __name__ == "__main__":
    main()
