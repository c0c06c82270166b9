"""Concurrent reads of single tokens: sharing requests, beside the same reads one a request.

    python -m benchmarks.coalescing [--reads 2000] [--at-once 200] [--threads 100] [--runs 3]

Rules:
- Same vault, same tokens, same process, by turns. Each read is one `detokenize` call for one token;
  "one by one" is the client with `coalesce=False`, so every read is a request of its own.
- asyncio, all at once: every read begins at the same time. The vault refuses a client that has more
  than some hundred requests waiting, so one by one only `--at-once` of them are under way.
- asyncio, some at once: `--at-once` tasks, each reading one token after another. Threads: the same.
- The latency of a read runs from its beginning to its answer. Figures are medians over the runs.
- A lone reader, one read after another, shows what coalescing costs where there is nothing to share.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from customervault import AsyncVault, Entry, Vault

from benchmarks.machine import facts, line
from benchmarks.throwaway import ThrowAwayVault, ending_on_sigterm, throwaway_vault

_CUSTOMERS = 1000
_LONE_READS = 500
_PURPOSE = "support"


@dataclass(frozen=True, slots=True)
class Measured:
    """Reads and how long they took."""

    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Reads a second."""
        return len(self.latencies) / self.seconds

    @property
    def median_ms(self) -> float:
        """Of the latency of a read."""
        return statistics.median(self.latencies) * 1000


def stored(vault: Vault, count: int) -> list[tuple[str, str]]:
    """Tokens of `count` customers and the values that they stand for."""
    entries = [Entry(f"crm-{n}", {"email": f"person{n}@example.org"}) for n in range(count)]
    answers = vault.tokenize_many(entries)
    return [(each.token("email"), f"person{n}@example.org") for n, each in enumerate(answers)]


async def all_at_once(vault: AsyncVault, wanted: Sequence[tuple[str, str]], room: int) -> Measured:
    """All reads at once, of which `room` are under way."""
    free = asyncio.Semaphore(room)

    async def read(token: str, value: str) -> float:
        asked = time.perf_counter()
        async with free:
            values = await vault.detokenize(token, purpose=_PURPOSE)
        took = time.perf_counter() - asked
        assert values[0].get() == value
        return took

    begun = time.perf_counter()
    latencies = await asyncio.gather(*(read(token, value) for token, value in wanted))
    return Measured(time.perf_counter() - begun, latencies)


async def in_turn(vault: AsyncVault, wanted: Sequence[tuple[str, str]], tasks: int) -> Measured:
    """So many tasks, each one read after another."""
    left, latencies = iter(wanted), []

    async def read_on() -> None:
        for token, value in left:
            asked = time.perf_counter()
            values = await vault.detokenize(token, purpose=_PURPOSE)
            latencies.append(time.perf_counter() - asked)
            assert values[0].get() == value

    begun = time.perf_counter()
    await asyncio.gather(*(read_on() for _ in range(tasks)))
    return Measured(time.perf_counter() - begun, latencies)


def by_threads(vault: Vault, wanted: Sequence[tuple[str, str]], threads: int) -> Measured:
    """So many threads, each one read after another."""

    def read(pair: tuple[str, str]) -> float:
        asked = time.perf_counter()
        values = vault.detokenize(pair[0], purpose=_PURPOSE)
        took = time.perf_counter() - asked
        assert values[0].get() == pair[1]
        return took

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: time.sleep(0.01), range(threads)))
        begun = time.perf_counter()
        latencies = list(pool.map(read, wanted))
    return Measured(time.perf_counter() - begun, latencies)


def _connection(vault: ThrowAwayVault, coalesce: bool) -> dict[str, object]:
    ready = vault.ready
    files = ready.certificates["dev"]
    own = {"certificate": files["certificate"], "key": files["key"]}
    return {"address": ready.address, "ca": ready.ca, **own, "coalesce": coalesce, "timeout": 60.0}


Reads = Callable[[AsyncVault, Sequence[tuple[str, str]], int], Awaitable[Measured]]


async def _tasks_once(
    vault: ThrowAwayVault, wanted: Sequence[tuple[str, str]], reads: Reads, tasks: int, coalesce: bool
) -> Measured:
    async with AsyncVault(**_connection(vault, coalesce)) as client:  # type: ignore[arg-type]
        await in_turn(client, wanted[:50], 1)
        return await reads(client, wanted, tasks)


def _threads_once(
    vault: ThrowAwayVault, wanted: Sequence[tuple[str, str]], threads: int, coalesce: bool
) -> Measured:
    with Vault(**_connection(vault, coalesce)) as client:  # type: ignore[arg-type]
        by_threads(client, wanted[:50], 1)
        return by_threads(client, wanted, threads)


def _compare(name: str, runs: int, measure: Callable[[bool], Measured]) -> float:
    """Prints both by turns; returns the ratio of their rates."""
    pairs = [(measure(False), measure(True)) for _ in range(runs)]
    alone, shared = ([pair[side] for pair in pairs] for side in (0, 1))
    rates = [statistics.median(each.rate for each in side) for side in (alone, shared)]
    medians = [statistics.median(each.median_ms for each in side) for side in (alone, shared)]
    print(f"{name:24}{rates[0]:>14,.0f}{rates[1]:>14,.0f}{rates[1] / rates[0]:>8.1f}x", end="")
    print(f"{medians[0]:>14.2f}{medians[1]:>14.2f}")
    return rates[1] / rates[0]


def main() -> int:
    """Runs it; 1 when coalescing under asyncio is not five times as fast."""
    parser = argparse.ArgumentParser(description="Concurrent single reads, coalesced and not.")
    parser.add_argument("--reads", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with ending_on_sigterm(), throwaway_vault() as (vault, _folder):
        with vault.connect(timeout=60.0) as client:
            pairs = stored(client, min(_CUSTOMERS, chosen.reads))
        wanted = [pairs[n % len(pairs)] for n in range(chosen.reads)]
        print(f"{chosen.reads:,} single reads; {line(facts())}\n")
        print(f"{'':24}{'one by one/s':>14}{'coalesced/s':>14}{'':9}{'median ms':>14}{'median ms':>14}")
        some = chosen.at_once
        ratio = _compare(
            "asyncio, all at once",
            chosen.runs,
            lambda on: asyncio.run(_tasks_once(vault, wanted, all_at_once, chosen.reads if on else some, on)),
        )
        _compare(
            f"asyncio, {some} at once",
            chosen.runs,
            lambda on: asyncio.run(_tasks_once(vault, wanted, in_turn, some, on)),
        )
        _compare(
            f"{chosen.threads} threads",
            chosen.runs,
            lambda on: _threads_once(vault, wanted, chosen.threads, on),
        )
        _compare("a lone thread", chosen.runs, lambda on: _threads_once(vault, wanted[:_LONE_READS], 1, on))
    return 0 if ratio >= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
