import pytest

from vault.consent.signals import opts_out, sells_or_shares
from vault.policy.rules import Purpose


@pytest.mark.parametrize("value", [" 1", "1 ", "1,1", "01", "1.0", "true", "0", "", "１", None])
def test_anything_but_exactly_1_is_no_signal(value: str | None) -> None:
    assert not opts_out(value)
    assert opts_out("1")


def test_the_policy_says_what_sells_or_shares() -> None:
    assert sells_or_shares(Purpose("Resale", sale_or_sharing=True))
    assert not sells_or_shares(Purpose("Offers", direct_marketing=True))
