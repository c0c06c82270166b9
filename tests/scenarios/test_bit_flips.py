import os

import pytest

from tests.scenarios.support.deployment import copy_vault
from tests.scenarios.support.flipping import plan, populate, run

FLIPS = int(os.environ.get("CVAULT_FLIPS", "150"))
SEED = int(os.environ.get("CVAULT_SEED", "1"))


@pytest.mark.slow
def test_one_flipped_bit_anywhere_never_yields_a_wrong_value_or_a_permission(template, tmp_path, capsys):
    """`CVAULT_FLIPS=10000` runs the long campaign; `CVAULT_SEED` another one."""
    deployment = copy_vault(template, tmp_path)
    populate(deployment)
    tally = run(tmp_path, plan(deployment, FLIPS, SEED))
    with capsys.disabled():
        print(f"\n{FLIPS} flips: {dict(tally.outcomes)}; unexpected: {dict(tally.unexpected)}")  # noqa: T201
    assert tally.wrong == []
    assert dict(tally.unexpected) == {}
    assert sum(tally.outcomes.values()) == FLIPS
    assert tally.outcomes["withheld"] + tally.outcomes["did not open"] > 0  # so flips do hit something
