"""What cached data keys take: ordinary and guarded memory a customer, time of admission, longest pauses.

    python -m benchmarks.dek_memory [--customers 1000000]

Rules:
- The real cache of a vault opened in this process, filled with as many customers as fit; then as many again,
  so that each has to push one out. Rows are as long as stored ones; keys come from rows of the keyring.
- Memory is the process's own (VmRSS), before and after.
- Pauses are single admissions, making room and garbage collection included.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.in_process import in_process_vault
from benchmarks.machine import facts, line
from vault.crypto.hazmat import GuardedMemory, load_key
from vault.hotpath.dekcache import SLOT_BYTES, DekCache
from vault.hotpath.native import read_loop
from vault.keys.keyring import Keyring
from vault.model.ids import CustomerNo, Generation, Region

_ROW_BYTES = 54
_REGION = Region(1)


def rss_bytes() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def fill(cache: DekCache, keyring: Keyring, numbers: range) -> tuple[float, list[float]]:
    """Admits these customers; seconds of it all, and of each admission, the longest last."""
    dek = GuardedMemory(32)
    load_key(dek.pointer(), os.urandom(32))
    took, begun = [], time.perf_counter()
    for number in numbers:
        row = keyring.wrap_dek(dek.pointer(), _REGION, CustomerNo(number), Generation(1))
        customer = bytes((_REGION,)) + number.to_bytes(5, "big")
        start = time.perf_counter()
        known = cache.admit(customer, 1, row, keyring.epoch)
        took.append(time.perf_counter() - start)
        known.row = os.urandom(_ROW_BYTES)
        cache.keep(customer, known)
    seconds = time.perf_counter() - begun
    dek.free()
    return seconds, sorted(took)


def _print(name: str, count: int, seconds: float, took: list[float]) -> None:
    print(
        f"{name}: {count:,} customers in {seconds:.0f} s; an admission takes {took[count // 2] * 1e6:.0f} us,"
        f" p99.99 {took[int(count * 0.9999)] * 1e6:.0f} us, at most {took[-1] * 1e3:.1f} ms"
    )


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description="Memory of cached data keys.")
    parser.add_argument("--customers", type=int, default=1_000_000)
    count = parser.parse_args().customers
    print(line(facts()))
    with in_process_vault() as vault:
        engine = vault.engine
        keyring = engine.keyrings.at(engine.store.epoch)
        loop = read_loop(engine.store, engine.suite, engine.region)
        cache = DekCache(engine.keyrings, (count + 8) * SLOT_BYTES, engine.suite, loop.customers)
        before = rss_bytes()
        _print("empty", count, *fill(cache, keyring, range(1, count + 1)))
        each = (rss_bytes() - before) / len(cache)
        print(f"  {each:.0f} bytes a customer, {SLOT_BYTES} of them guarded: {each * count / 2**20:,.0f} MiB")
        full = rss_bytes()
        _print("full", count, *fill(cache, keyring, range(count + 1, 2 * count + 1)))
        print(f"  {len(cache):,} held of {2 * count:,}, {(rss_bytes() - full) / 2**20:+,.0f} MiB")
        cache.close()
        loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
