"""`make bench-audit`: what the sealed access log costs, and how fast it is checked and searched.

    python -m benchmarks.audit_tree --leaves 10000000 --pairs 5 --values 1000000

- Rate: the same vault serves batches of 1,000, sealing as it does in production and not sealing at all, in
  turns. Each is started anew, warmed, and measured over several rounds of sealing, all of its processes
  counted.
- Verify and search: a log of so many reads, ten a customer, indexed and compressed. A search is the whole
  listing of one customer's accesses, from the file system to decoded records.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import audit_log, machine
from benchmarks.audit_rate import measure_pairs
from benchmarks.throwaway import ending_on_sigterm
from vault.audit.reader import AccessFilter, list_access
from vault.audit.sealed.files import TREE
from vault.audit.sealed.space import bytes_on_disk
from vault.audit.sealed.verifying import verify

TARGET_RATIO = 0.95
TARGET_VERIFY_SECONDS = 60.0  # for 10,000,000
TARGET_SEARCH_MS = 10.0
_FULL = 10_000_000
_SEARCHES = 300


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_tree", description=__doc__)
    parser.add_argument("--leaves", type=int, default=_FULL, help="of the log to verify and search; 0: none")
    parser.add_argument("--pairs", type=int, default=5, help="runs with and without sealing; 0: none")
    parser.add_argument("--values", type=int, default=1_000_000, help="in the vault of these runs")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each run")
    options = parser.parse_args()
    print(machine.line(machine.facts()))
    with ending_on_sigterm():
        if options.pairs:
            _measure_rates(options.pairs, options.seconds, options.values)
        if options.leaves:
            with tempfile.TemporaryDirectory(prefix="customer-vault-") as name:
                _measure_log(Path(name), options.leaves)


def _measure_rates(pairs: int, seconds: float, values: int) -> None:
    found = measure_pairs(pairs, seconds, values, lambda what: print(f"  {what}", flush=True))
    for shape, (tree, plain) in found.items():
        rates = f"{median(tree.rates):,.0f} values/s with the tree, {median(plain.rates):,.0f} without"
        ratios = [one / other for one, other in zip(tree.rates, plain.rates, strict=True)]
        cpu = [(1 - one) / (1 - other) for one, other in zip(tree.beside, plain.beside, strict=True)]
        print(f"{shape:<10}{rates}: ratio {_spread(ratios)} (at least {TARGET_RATIO})", flush=True)
        print(
            f"{'':<10}by CPU, which the speed of the machine does not touch: {_spread(cpu)}; "
            f"sealing takes {median(tree.beside):.1%} of the server's core",
            flush=True,
        )


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}"


def _measure_log(directory: Path, leaves: int) -> None:
    sealed = audit_log.make_log(directory, leaves)
    print(f"sealed    {leaves:,} records in {sealed:.1f} s: {sealed / leaves * 1e6:.2f} µs each", flush=True)
    before = bytes_on_disk(directory)
    deferred = audit_log.look_after(directory)
    after = bytes_on_disk(directory)
    print(
        f"deferred  index and compression: {deferred:.1f} s, {deferred / leaves * 1e6:.2f} µs each; "
        f"{before / leaves:.0f} bytes a record before, {after / leaves:.0f} after",
        flush=True,
    )
    began = time.perf_counter()
    report = verify(directory / TREE, [audit_log.KEY])
    seconds = time.perf_counter() - began
    assert not report.errors, report.errors
    assert report.records == leaves
    target = TARGET_VERIFY_SECONDS * leaves / _FULL
    print(f"verify    {seconds:.1f} s (at most {target:.1f})", flush=True)
    _search(directory, leaves)


def _search(directory: Path, leaves: int) -> None:
    customers, rng, times = leaves // audit_log.READS_A_CUSTOMER, random.Random(1), []
    for _ in range(_SEARCHES):
        wanted = frozenset([audit_log.locator(rng.randrange(customers))])
        began = time.perf_counter()
        page = list_access(directory, AccessFilter(locators=wanted))
        times.append((time.perf_counter() - began) * 1e3)
        assert len(page.accesses) >= audit_log.READS_A_CUSTOMER - 1
    times.sort()
    at = f"median {median(times):.1f} ms, 99 of 100 within {times[len(times) * 99 // 100]:.1f} ms"
    print(f"search    by customer: {at} (at most {TARGET_SEARCH_MS:.0f})")


if __name__ == "__main__":
    main()
