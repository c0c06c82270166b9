"""Reads and writes while an epoch rotates, by clients of a served vault, and what they saw.

Times of writes are Unix times, so that they can be found again in the vault's log.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from customervault import Vault
from customervault.errors import VaultError

from benchmarks.throwaway import ThrowAwayVault

_PURPOSE = "support"
_READ_BATCH = 50
_PACE_SECONDS = 0.02
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Write:
    """One write as its client saw it; Unix times in seconds."""

    began: float
    seconds: float

    @property
    def ended(self) -> float:
        """When the answer was there."""
        return self.began + self.seconds


@dataclass(slots=True)
class Load:
    """What the readers and writers saw."""

    reads: int = 0
    failed: int = 0
    writes: list[Write] = field(default_factory=list)
    sync_seconds: list[float] = field(default_factory=list)  # of one page each, by this process

    @property
    def slowest(self) -> list[Write]:
        """The writes, the longest first."""
        return sorted(self.writes, key=lambda each: each.seconds, reverse=True)


@contextmanager
def loaded(vault: ThrowAwayVault, tokens: Sequence[str], probe: Path) -> Iterator[Load]:
    """Somebody reads, somebody writes and somebody syncs pages of a file `probe`, each a little at a time.

    Reads that fail are counted, and not repeated; a write that fails is raised at the end.
    """
    load, ended, errors = Load(), threading.Event(), []

    def repeated(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not ended.wait(_PACE_SECONDS):
                    act()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)

        return run

    with _client(vault) as reader, _client(vault) as writer, _opened(probe) as descriptor:
        acts = (
            lambda: _read(reader, tokens, load),
            lambda: _write(writer, load),
            lambda: load.sync_seconds.append(_sync(descriptor)),
        )
        threads = [threading.Thread(target=repeated(act)) for act in acts]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    for error in errors:
        raise error


def _client(vault: ThrowAwayVault) -> Vault:
    return vault.connect(purpose=_PURPOSE, max_attempts=1)


def _read(reader: Vault, tokens: Sequence[str], load: Load) -> None:
    first = load.reads % max(1, len(tokens) - _READ_BATCH)
    asked = tokens[first : first + _READ_BATCH]
    load.reads += len(asked)
    try:
        load.failed += len(reader.detokenize(asked).errors)
    except VaultError:
        load.failed += len(asked)


def _write(writer: Vault, load: Load) -> None:
    name = f"meanwhile-{uuid.uuid4()}"
    began, clock = time.time(), time.perf_counter()
    writer.tokenize(name, {"email": f"{name}@example.org"})
    load.writes.append(Write(began, time.perf_counter() - clock))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        path.unlink()


def _sync(descriptor: int) -> float:
    began = time.perf_counter()
    os.pwrite(descriptor, os.urandom(_PAGE_BYTES), 0)
    os.fdatasync(descriptor)
    return time.perf_counter() - began
