"""The plaintext of an alias, and what becomes of one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailedError
from vault.store.aliases import Alias, AliasState
from vault.store.entries import TokensEnded, unpack_payload

ALIAS = Alias(
    target=0x010203,
    domain=4,
    created_ms=0x05060708090A0B0C,
    expires_s=0x0D0E0F10,
    max_uses=1,
    principal_id=0x11121314,
    state=AliasState.REVOKED,
    ended_ms=0x15161718191A1B1C,
)


def test_the_layout_is_as_documented() -> None:
    assert ALIAS.pack().hex() == "010304010102031112131405060708090a0b0c0d0e0f1015161718191a1b1c"
    assert len(ALIAS.pack()) == 31


@given(
    st.builds(
        Alias,
        target=st.integers(0, 2**24 - 1),
        domain=st.integers(0, 255),
        created_ms=st.integers(0, 2**64 - 1),
        expires_s=st.integers(0, 2**32 - 1),
        max_uses=st.integers(0, 1),
        principal_id=st.integers(0, 2**32 - 1),
        state=st.sampled_from(AliasState),
        ended_ms=st.integers(0, 2**64 - 1),
    )
)
def test_an_alias_comes_back_as_it_went(alias: Alias) -> None:
    assert Alias.unpack(alias.pack()) == alias


@pytest.mark.parametrize(("at", "byte"), [(0, 0), (0, 2), (1, 0), (1, 6), (1, 255), (3, 2)])
def test_what_pack_cannot_have_made_is_refused(at: int, byte: int) -> None:
    packed = bytearray(ALIAS.pack())
    packed[at] = byte
    with pytest.raises(IntegrityFailedError):
        Alias.unpack(bytes(packed))


@pytest.mark.parametrize("length", [0, 30, 32])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(IntegrityFailedError):
        Alias.unpack((ALIAS.pack() + b"\0")[:length])


def test_the_first_end_counts() -> None:
    live = Alias(1, 1, 1000)
    used = live.ended(AliasState.USED, 2000)
    assert (used.state, used.ended_ms) == (AliasState.USED, 2000)
    assert used.ended(AliasState.REVOKED, 3000) == used


def test_time_is_over_at_the_second_and_not_before() -> None:
    assert not Alias(1, 1, 0).expired(2**63)
    assert not Alias(1, 1, 0, expires_s=10).expired(9_999)
    assert Alias(1, 1, 0, expires_s=10).expired(10_000)


def test_the_ledgers_entry() -> None:
    entry = TokensEnded(1, AliasState.USED, ((2, 3), (2, 4)), bytes(range(32)))
    packed = entry.pack()
    assert packed.hex() == bytes(range(32)).hex() + "0200000002010000000002000003010000000002000004"
    assert unpack_payload(23, packed) == entry
    for broken in (packed[:-1], packed + b"\0", packed[:32], packed[:32] + b"\x09" + packed[33:], b""):
        with pytest.raises(IntegrityFailedError):
            unpack_payload(23, broken)
