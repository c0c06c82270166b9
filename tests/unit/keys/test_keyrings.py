"""Who holds which epoch's key, within a process and between processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.crypto import hazmat
from vault.errors import KeyUnavailableError
from vault.keys.keyrings import Keyrings, held_alone, hold_epoch
from vault.model.ids import Epoch

VAULT_ID = bytes(16)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for epoch in (1, 2):
        (tmp_path / "keyring" / str(epoch)).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def keyrings(data_dir: Path) -> Iterator[Keyrings]:
    keyrings = Keyrings(data_dir, VAULT_ID)
    yield keyrings
    keyrings.close()


def edk() -> hazmat.GuardedMemory:
    memory = hazmat.GuardedMemory(32)
    memory.fill_random(0, 32)
    return memory


def test_each_epoch_has_its_own_keyring(keyrings: Keyrings) -> None:
    keyrings.add(Epoch(1), edk())
    keyrings.add(Epoch(2), edk())
    assert keyrings.epochs == [1, 2]
    assert (keyrings.at(1).epoch, keyrings.at(2).epoch) == (1, 2)
    row = keyrings.at(1).wrap_secret("name", b"s" * 32)
    assert keyrings.at(1).unwrap_secret("name", row) == b"s" * 32
    with pytest.raises(Exception, match="integrity"):
        keyrings.at(2).unwrap_secret("name", row)


def test_an_epoch_that_is_not_held_or_was_dropped_opens_nothing(keyrings: Keyrings) -> None:
    with pytest.raises(KeyUnavailableError, match="epoch 1"):
        keyrings.at(1)
    keyrings.add(Epoch(1), edk())
    keyrings.drop(1)
    keyrings.drop(1)
    with pytest.raises(KeyUnavailableError, match="epoch 1"):
        keyrings.at(1)


def test_a_second_key_of_an_epoch_is_freed(keyrings: Keyrings) -> None:
    first, second = edk(), edk()
    keyrings.add(Epoch(1), first)
    keyrings.add(Epoch(1), second)
    assert keyrings.at(1).edk is first
    with pytest.raises(KeyUnavailableError, match="freed"):
        second.view(0, 32)


def test_an_epoch_is_destroyed_by_nobody_while_it_is_held(keyrings: Keyrings, data_dir: Path) -> None:
    keyrings.add(Epoch(1), edk())
    with pytest.raises(KeyUnavailableError, match="still in use"):
        hold_epoch(data_dir, Epoch(1), alone=True)
    keyrings.drop(1)
    with held_alone(data_dir, Epoch(1)):
        refused = edk()
        with pytest.raises(KeyUnavailableError, match="being destroyed"):
            keyrings.add(Epoch(1), refused)
        with pytest.raises(KeyUnavailableError, match="freed"):
            refused.view(0, 32)
    keyrings.add(Epoch(1), edk())


def test_an_epoch_without_a_keyring_cannot_be_held(keyrings: Keyrings) -> None:
    with pytest.raises(KeyUnavailableError, match="epoch 9"):
        keyrings.add(Epoch(9), edk())
