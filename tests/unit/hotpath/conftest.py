"""The hot path of a real vault in this process."""

import pytest

from tests.scenarios.support.deployment import SMALL, Deployment, found_vault


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return found_vault(tmp_path_factory.mktemp("hotpath"), settings=SMALL)
