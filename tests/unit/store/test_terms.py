"""Terms: what is packed comes back, and what they say of a purpose at a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailedError
from vault.model.consent import ConsentState
from vault.store.terms import NO_TERMS, Expiry, Hold, Restriction, Terms, TimedConsent

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
CLASS = st.integers(0, 255)


def tuples(of: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=5).map(tuple)


TERMS = st.builds(
    Terms,
    events=U32,
    head=st.binary(min_size=32, max_size=32),
    shred_id=st.binary(min_size=16, max_size=16),
    consents=tuples(st.builds(TimedConsent, U32, st.sampled_from(ConsentState), U64)),
    restrictions=tuples(st.builds(Restriction, U32, U32, CLASS, U64)),
    holds=tuples(st.builds(Hold, U32, CLASS, U64, st.text(max_size=60))),
    expiries=tuples(st.builds(Expiry, U32, U32, CLASS, U64)),
)


@given(TERMS)
def test_packed_terms_come_back(terms: Terms) -> None:
    assert Terms.unpack(terms.pack()) == terms


@given(TERMS, st.data())
def test_a_missing_or_further_byte_is_an_integrity_failure(terms: Terms, data: st.DataObject) -> None:
    packed = terms.pack()
    if packed:
        with pytest.raises(IntegrityFailedError):
            Terms.unpack(packed[: data.draw(st.integers(1, len(packed) - 1))])
        with pytest.raises(IntegrityFailedError):
            Terms.unpack(packed + b"\0")


def test_nothing_to_say_takes_no_bytes() -> None:
    assert not NO_TERMS
    assert NO_TERMS.pack() == Terms().pack() == b""
    assert Terms.unpack(b"") is NO_TERMS
    assert Terms(events=1)


def test_a_given_consent_ends_with_its_time() -> None:
    terms = Terms(consents=(TimedConsent(7, ConsentState.GIVEN, expires_ms=1000),))
    before, until = terms.situation(7, 999, ConsentState.NONE, "DE", restricted=False)
    after, end = terms.situation(7, 1000, ConsentState.NONE, "DE", restricted=False)
    assert (before.consent, until) == (ConsentState.GIVEN, 1000)
    assert (after.consent, end) == (ConsentState.WITHDRAWN, 0)
    other, _ = terms.situation(8, 999, ConsentState.OBJECTED, "DE", restricted=False)
    assert other.consent is ConsentState.OBJECTED


def test_limits_hold_for_their_purpose_class_and_time() -> None:
    terms = Terms(
        restrictions=(Restriction(1, purpose=7, field_class=3, until_ms=500), Restriction(2, purpose=8)),
        holds=(Hold(3, field_class=4), Hold(4, until_ms=200)),
        expiries=(Expiry(5, 0, 9, 300), Expiry(6, 7, 0, 400)),
    )
    early, until = terms.situation(7, 100, ConsentState.NONE, "", restricted=False)
    assert (early.restricted, early.restricted_classes) == (False, frozenset({3}))
    assert (early.held, early.held_classes) == (True, frozenset({4}))
    assert (early.expired, early.expired_classes, until) == (False, frozenset(), 200)
    late, end = terms.situation(7, 500, ConsentState.NONE, "", restricted=False)
    assert (late.restricted_classes, late.held, late.expired, late.expired_classes) == (
        frozenset(),
        False,
        True,
        frozenset({9}),
    )
    assert end == 0
    other, _ = terms.situation(8, 100, ConsentState.NONE, "", restricted=False)
    assert other.restricted


def test_a_pending_erasure_restricts_the_customer() -> None:
    terms = Terms(shred_id=b"s" * 16)
    found, _ = terms.situation(1, 0, ConsentState.GIVEN, "", restricted=False)
    assert found.restricted
    assert terms.bears_on_reads
