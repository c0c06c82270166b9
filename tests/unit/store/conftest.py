from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.store.samples import make_vault, sign, verify
from vault.store.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "vault"
    make_vault(path)
    return path


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with Store.open(root, sign=sign, verify=verify, low_water_bytes=0) as store:
        yield store
