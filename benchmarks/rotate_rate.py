"""`make bench-rotate`: epoch rotations of a served vault under reads and writes: CPU, pauses, memory.

    python -m benchmarks.rotate_rate --customers 1000000

The vault is served as it is in production: the keeper rotates in its own process, workers answer clients
over mutual TLS, all on this machine's cores. One client reads and one writes, a little at a time, and a
page is synced again and again on the same disk: how long that takes at worst is the run's own sync time.
The longest writes stand with their parts, from the vault's own log: waiting for the write lock, working
under it, syncing; the rest is the client, TLS, gRPC and the queue of the commit thread. CPU and memory are
those of the keeper's whole process.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.in_process import ENTRIES_A_CALL, opened, store
from benchmarks.keeper_watch import Usage, keeper_of, watched
from benchmarks.rotation_load import Load, Write, loaded
from benchmarks.throwaway import ThrowAwayVault, ending_on_sigterm
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret

TARGET_CPU_SECONDS = 60.0  # for 1,000,000 customers
TARGET_PAUSE_SECONDS = 0.1
TARGET_MEMORY_BYTES = 64 << 20
_KEPT_TOKENS = 5_000
_SHOWN_WRITES = 5
_WARM_SECONDS = 5.0
_POLL_SECONDS = 0.2
_SWITCH_SECONDS = 0.0005  # so that threads of this program do not wait for each other and call it a pause


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rotation; Unix times."""

    name: str
    began: float
    ended: float


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rotate_rate", description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rotations", type=int, default=1, help="how many in a row; 0 only stores customers")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the vault, kept and used again; grows a little"
    )
    options = parser.parse_args()
    sys.setswitchinterval(_SWITCH_SECONDS)
    print(machine.line(machine.facts()))
    with ending_on_sigterm(), _folder(options.keep) as folder:
        tokens = _filled(folder, options.customers)
        for _ in range(options.rotations):
            _measure(folder, options.customers, tokens)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="customer-vault-") as name:
        yield Path(name)


def _filled(folder: Path, customers: int) -> list[str]:
    """Stores customers of one value each, unless `folder` has them; the tokens of some of them."""
    kept = folder / "tokens"
    if not kept.exists():
        began, tokens = time.perf_counter(), []
        (folder / "vault").mkdir(mode=0o700)
        with opened(folder / "vault") as vault:
            for first in range(0, customers, ENTRIES_A_CALL):
                names = [f"customer-{n}" for n in range(first, min(first + ENTRIES_A_CALL, customers))]
                stored = store(vault, [_entry(name) for name in names])
                tokens += [each[0] for each in stored[:: max(1, customers // _KEPT_TOKENS)]]
        kept.write_text("\n".join(tokens))
        print(f"{customers:,} customers stored in {time.perf_counter() - began:,.0f} s", flush=True)
    return kept.read_text().split()


def _entry(name: str) -> Entry:
    fields = [FieldInput("email", Secret(f"{name}@example.org"), "")]
    return Entry(CustomerRef(external_id=Secret(name)), fields)


def _measure(folder: Path, customers: int, tokens: list[str]) -> None:
    vault, probe = ThrowAwayVault(folder), folder / "probe"
    vault.start(log_level="debug")
    try:
        with loaded(vault, tokens, probe) as before:
            time.sleep(_WARM_SECONDS)
        with watched(keeper_of(vault)) as usage, loaded(vault, tokens, probe) as during:
            _rotate(vault)
        steps, commits = _steps(vault), vault.logged("commit")
    finally:
        vault.stop()
    _print_steps(steps, usage, customers)
    _print_writes(steps, commits, during)
    _print_targets(usage.cpu_between(steps[0].began, steps[-1].ended), customers, usage, before, during)


def _rotate(vault: ThrowAwayVault) -> None:
    with vault.connect("admin") as admin:
        rotation = admin.rotate_epoch()
        while not rotation.finished:
            time.sleep(_POLL_SECONDS)
            rotation = admin.epoch_rotation(rotation.name)
    if rotation.error is not None:
        raise rotation.error


def _steps(vault: ThrowAwayVault) -> list[Step]:
    """From the log; the last two lines of which are the last step and the end."""
    begun = [(entry["step"], _moment(entry)) for entry in vault.logged("rotation step")]
    pairs = itertools.pairwise(begun)
    return [Step(name, began, ended) for (name, began), (_, ended) in pairs]


def _moment(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["timestamp"]).timestamp()


def _print_steps(steps: list[Step], usage: Usage, customers: int) -> None:
    print(f"\n{'step':<12}{'seconds':>10}{'CPU':>8}{'customers/s':>14}")
    for step in steps:
        seconds = step.ended - step.began
        rate = f"{customers / seconds:,.0f}" if step.name in ("copy", "index", "verify") else ""
        print(f"{step.name:<12}{seconds:>10.2f}{usage.cpu_between(step.began, step.ended):>8.2f}{rate:>14}")


def _print_writes(steps: list[Step], commits: list[dict[str, Any]], during: Load) -> None:
    print(f"\n{'longest writes':<16}{'ms':>8}{'lock':>8}{'work':>8}{'sync':>8}{'rest':>8}  in step")
    for write in during.slowest[:_SHOWN_WRITES]:
        parts = _parts(write, commits)
        rest = write.seconds * 1e3 - sum(parts)
        name = next((step.name for step in reversed(steps) if step.began <= write.ended), "")
        cells = "".join(f"{each:>8.1f}" for each in (write.seconds * 1e3, *parts, rest))
        print(f"{'':<16}{cells}  {name}")


def _parts(write: Write, commits: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Milliseconds of waiting, working, syncing: of the worker's commit that ended within the write."""
    for entry in commits:
        if entry["process"] != "keeper" and write.began <= _moment(entry) <= write.ended:
            return entry["waited_ms"], entry["worked_ms"], entry["synced_ms"]
    return 0.0, 0.0, 0.0


def _print_targets(cpu: float, customers: int, usage: Usage, before: Load, during: Load) -> None:
    longest, sync = during.slowest[0].seconds, max(during.sync_seconds)
    target = TARGET_CPU_SECONDS * customers / 1_000_000
    print(f"\nreads failed                 {during.failed} of {during.reads:,} (0)")
    print(f"keyring and external index   {cpu:.1f} s of CPU (at most {target:.1f})")
    print(f"longest write                {_ms(longest)} of {len(during.writes):,}")
    print(f"  longest sync of a page     {_ms(sync)} of {len(during.sync_seconds):,}")
    print(
        f"  beyond it                  {_ms(max(0.0, longest - sync))} (at most {_ms(TARGET_PAUSE_SECONDS)})"
    )
    print(f"  without a rotation         {_ms(before.slowest[0].seconds)} of {len(before.writes):,}")
    print(f"  sync without a rotation    {_ms(max(before.sync_seconds))} of {len(before.sync_seconds):,}")
    print(f"memory                       {_mib(usage.grown)} (at most {_mib(TARGET_MEMORY_BYTES)})")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


if __name__ == "__main__":
    main()
