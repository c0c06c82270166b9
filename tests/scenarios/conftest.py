"""A founded vault, and the same vault open in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, copy_vault, found_vault


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A vault that is only ever copied: founding one takes longer than most tests."""
    return found_vault(tmp_path_factory.mktemp("template"))


@pytest.fixture
def deployment(template: Deployment, tmp_path: Path) -> Deployment:
    """A vault on disk that nobody has opened."""
    return copy_vault(template, tmp_path)


@pytest.fixture
def desks(deployment: Deployment) -> Iterator[Desks]:
    """That vault, open."""
    with deployment.opened() as desks:
        yield desks
