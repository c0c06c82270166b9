"""Keys in guarded memory, for the tests of the keyring."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vault.crypto.hazmat import GuardedMemory
from vault.keys.keyring import Keyring
from vault.model.ids import Epoch

VAULT_ID = bytes(range(16))


@pytest.fixture
def guarded() -> Iterator[Callable[[int], GuardedMemory]]:
    """Makes random guarded memory that is freed after the test."""
    made: list[GuardedMemory] = []

    def make(size: int = 32) -> GuardedMemory:
        memory = GuardedMemory(size)
        memory.fill_random(0, size)
        made.append(memory)
        return memory

    yield make
    for memory in made:
        memory.free()


@pytest.fixture
def keyring(guarded) -> Keyring:
    return Keyring(guarded(), VAULT_ID, Epoch(1))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key-file"
    path.write_bytes(bytes(range(64)))
    return path
