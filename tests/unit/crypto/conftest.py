"""Shared by the crypto tests: random bytes in guarded memory."""

from collections.abc import Iterator

import pytest

from vault.crypto.hazmat import GuardedMemory


@pytest.fixture(scope="module")
def memory() -> Iterator[GuardedMemory]:
    guarded = GuardedMemory(128)
    guarded.fill_random(0, 128)
    yield guarded
    guarded.free()
