"""Which issued tokens a batch follows."""

import pytest

from vault.errors import Reason
from vault.hotpath.issued import Follower, UnusedError
from vault.store.aliases import Alias, AliasState

KEY, OTHER = b"\1\0\0\0\0\1\1\0\1", b"\1\0\0\0\0\1\1\0\2"
NOW_MS = 10_000
LIVE = Alias(target=1, domain=1, created_ms=0)
ONCE = Alias(target=1, domain=1, created_ms=0, max_uses=1)


def follower(*used: bytes, principal_id: int = 7) -> Follower:
    return Follower(principal_id, frozenset({1}), NOW_MS, frozenset(used))


@pytest.mark.parametrize(
    ("alias", "reason"),
    [
        (LIVE, None),
        (Alias(1, 1, 0, expires_s=11), None),
        (Alias(1, 1, 0, expires_s=10), Reason.EXPIRED),
        (Alias(1, 1, 0, principal_id=7), None),
        (Alias(1, 1, 0, principal_id=8), Reason.TOKEN_BOUND),
        (Alias(1, 1, 0, principal_id=8, expires_s=1), Reason.TOKEN_BOUND),
        (Alias(1, 1, 0, principal_id=8, state=AliasState.USED), Reason.TOKEN_BOUND),
        (Alias(1, 2, 0), Reason.TOKEN_BOUND),
        (Alias(1, 1, 0, expires_s=1, state=AliasState.USED), Reason.TOKEN_USED),
        (Alias(1, 1, 0, state=AliasState.REVOKED), Reason.TOKEN_REVOKED),
        (Alias(1, 1, 0, state=AliasState.EXPIRED), Reason.EXPIRED),
        (Alias(1, 1, 0, state=AliasState.TARGET_DELETED), Reason.VALUE_DELETED),
    ],
)
def test_why_an_alias_is_not_followed(alias: Alias, reason: Reason | None) -> None:
    assert follower().refusal(KEY, alias, removed=False) is reason


def test_a_single_use_has_to_be_written_first_and_is_then_followed_once() -> None:
    before = follower()
    assert before.refusal(KEY, ONCE, removed=False) is None
    before.followed(KEY, ONCE)
    before.followed(OTHER, LIVE)
    with pytest.raises(UnusedError) as unused:
        before.require_used()
    assert unused.value.keys == {KEY}

    after, used = follower(KEY), ONCE.ended(AliasState.USED, 1)
    assert after.refusal(KEY, used, removed=False) is None
    after.followed(KEY, used)
    assert after.refusal(KEY, used, removed=False) is Reason.TOKEN_USED
    after.require_used()


@pytest.mark.parametrize(
    ("alias", "reason"),
    [
        (LIVE, None),
        (ONCE, Reason.QUESTION_UNFIT),
        (Alias(1, 1, 0, max_uses=1, principal_id=8), Reason.TOKEN_BOUND),
        (Alias(1, 1, 0, max_uses=1, expires_s=10), Reason.EXPIRED),
        (ONCE.ended(AliasState.USED, 1), Reason.TOKEN_USED),
    ],
)
def test_a_batch_that_uses_nothing_up_follows_no_single_use(alias: Alias, reason: Reason | None) -> None:
    asking = Follower(7, frozenset({1}), NOW_MS, None)
    for _ in range(2):
        assert asking.refusal(KEY, alias, removed=False) is reason


def test_a_use_of_somebody_else_is_none_of_this_batch() -> None:
    used = ONCE.ended(AliasState.USED, 1)
    assert follower(OTHER).refusal(KEY, used, removed=False) is Reason.TOKEN_USED
    assert follower(KEY).refusal(KEY, used, removed=True) is Reason.TOKEN_USED
    assert (
        follower(KEY, principal_id=7).refusal(
            KEY, Alias(1, 1, 0, principal_id=8, state=AliasState.USED, max_uses=1), removed=False
        )
        is Reason.TOKEN_BOUND
    )
