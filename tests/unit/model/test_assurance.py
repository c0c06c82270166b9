from itertools import permutations

import pytest

from vault.model.assurance import Assurance, weakest


@pytest.mark.parametrize("several", list(permutations(Assurance)), ids=" ".join)
def test_the_weakest_counts_in_whatever_order(several: tuple[Assurance, ...]) -> None:
    assert weakest(several) is Assurance.BEST_EFFORT
    assert (
        weakest(each for each in several if each is not Assurance.BEST_EFFORT) is Assurance.SERVICE_ATTESTED
    )


def test_of_none_there_is_none() -> None:
    assert weakest([]) is None
