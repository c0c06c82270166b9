import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.core.holding import (
    changed_terms,
    held_by_ledger,
    held_classes,
    is_held,
    kept_until_ms,
    require_not_held,
    require_open,
)
from vault.errors import HeldError
from vault.store.entries import TermsKind, TermsNarrowed
from vault.store.ledger import LedgerEntry
from vault.store.sheet import SheetField
from vault.store.terms import Expiry, Hold, Restriction, Terms

NOW = 1_000
EMAIL, PHONE = 4, 5


def entry(kind: TermsKind, number: int, *scopes: tuple[int, int], until_ms: int = 0) -> TermsNarrowed:
    return TermsNarrowed(1, 7, kind, number, scopes, until_ms, "case 7" if kind is TermsKind.HELD else "")


ENTRIES = st.builds(
    entry,
    st.sampled_from(TermsKind),
    st.integers(1, 5),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    until_ms=st.sampled_from([0, NOW - 1, NOW + 1]),
)


def test_each_kind_goes_where_it_belongs_and_its_id_ends_it() -> None:
    terms = changed_terms(
        Terms(), entry(TermsKind.RESTRICTED, 1, (2, EMAIL), (3, EMAIL), until_ms=NOW + 1), NOW
    )
    terms = changed_terms(terms, entry(TermsKind.HELD, 2, (0, EMAIL), (0, PHONE)), NOW)
    terms = changed_terms(terms, entry(TermsKind.EXPIRING, 3, (0, 0), until_ms=NOW - 1), NOW)
    assert terms == Terms(
        restrictions=(Restriction(1, 2, EMAIL, NOW + 1), Restriction(1, 3, EMAIL, NOW + 1)),
        holds=(Hold(2, EMAIL, 0, "case 7"), Hold(2, PHONE, 0, "case 7")),
        expiries=(Expiry(3, 0, 0, NOW - 1),),
    )
    for number in (1, 2, 3):
        terms = changed_terms(terms, entry(TermsKind.ENDED, number), NOW)
    assert terms == Terms()


@given(st.lists(ENTRIES, max_size=6), ENTRIES)
def test_done_again_an_entry_changes_nothing_more(before: list[TermsNarrowed], last: TermsNarrowed) -> None:
    terms = Terms()
    for each in before:
        terms = changed_terms(terms, each, NOW)
    once = changed_terms(terms, last, NOW)
    assert changed_terms(once, last, NOW) == once


def test_what_has_ended_leaves_the_terms_but_an_expiry_stays() -> None:
    terms = Terms(
        restrictions=(Restriction(1, until_ms=NOW),),
        holds=(Hold(2, until_ms=NOW), Hold(3, until_ms=NOW + 1)),
        expiries=(Expiry(4, 0, 0, NOW),),
    )
    after = changed_terms(terms, entry(TermsKind.ENDED, 9), NOW)
    assert after == Terms(holds=(Hold(3, until_ms=NOW + 1),), expiries=(Expiry(4, 0, 0, NOW),))


@pytest.mark.parametrize(
    ("holds", "field_class", "held"),
    [
        ((), EMAIL, False),
        ((Hold(1, PHONE),), EMAIL, False),
        ((Hold(1, EMAIL),), EMAIL, True),
        ((Hold(1),), EMAIL, True),
        ((Hold(1, until_ms=NOW),), EMAIL, False),
        ((Hold(1, until_ms=NOW + 1),), EMAIL, True),
        ((Hold(1, EMAIL, NOW), Hold(2, EMAIL, NOW + 1)), EMAIL, True),
    ],
)
def test_a_class_is_held_by_its_own_hold_or_one_on_all_while_it_lasts(
    holds: tuple[Hold, ...], field_class: int, held: bool
) -> None:
    terms, line = Terms(holds=holds), SheetField(1, field_class, bytes(16))
    assert is_held(terms, field_class, NOW) is held
    if held:
        with pytest.raises(HeldError):
            require_not_held(terms, line, NOW)
    else:
        require_not_held(terms, line, NOW)


@pytest.mark.parametrize(
    ("ends", "until_ms"),
    [
        ((), 0),
        ((0,), 0),
        ((NOW + 5,), NOW + 5),
        ((NOW + 5, NOW + 9), NOW + 9),
        ((NOW + 5, 0), 0),
        ((NOW, NOW + 9), NOW + 9),
    ],
)
def test_the_last_end_counts_and_one_without_end_is_none(ends: tuple[int, ...], until_ms: int) -> None:
    holds = tuple(Hold(number, EMAIL, end) for number, end in enumerate(ends))
    assert kept_until_ms(Terms(holds=holds), NOW) == until_ms


def test_a_customer_whose_erasure_waits_takes_no_write() -> None:
    require_open(Terms(holds=(Hold(1),)))
    with pytest.raises(HeldError):
        require_open(Terms(shred_id=bytes([1]) * 16))


def test_the_ledger_tells_of_holds_on_one_customer() -> None:
    other = TermsNarrowed(1, 8, TermsKind.HELD, 2, ((0, 0),))
    held = entry(TermsKind.HELD, 1, (0, EMAIL), until_ms=NOW + 1)

    def by_ledger(*payloads: TermsNarrowed, now_ms: int = NOW) -> bool:
        entries = [LedgerEntry(at, 0, each, b"", b"", b"") for at, each in enumerate(payloads, 1)]
        return held_by_ledger(entries, 1, 7, now_ms)

    assert not by_ledger(other)
    assert by_ledger(other, held)
    assert not by_ledger(held, now_ms=NOW + 1)
    assert not by_ledger(held, entry(TermsKind.ENDED, 1))
    assert held_classes(Terms(holds=(Hold(1, EMAIL, NOW),)), NOW) == frozenset()
