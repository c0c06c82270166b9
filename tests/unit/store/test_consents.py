import pytest

from vault.errors import IntegrityFailedError, LimitExceededError
from vault.model.consent import ConsentState
from vault.store.consents import SealedEvent, consent_key, seq_of
from vault.store.entries import ConsentEnded, Ending, unpack_payload
from vault.store.terms import (
    MAX_OF_A_KIND,
    NO_TERMS,
    ROW_PURPOSES,
    TimedConsent,
    row_consent,
    with_row_consent,
)

EVENT = SealedEvent(258, bytes(range(24)), bytes(20))
ENDED = ConsentEnded(1, 7, Ending.OBJECTED, 40, 1_767_229_200_000)


def test_a_key_names_region_customer_and_number() -> None:
    assert consent_key(1, 7, 258).hex() == "01000000000700000102"
    assert seq_of(consent_key(1, 7, 258)) == 258
    with pytest.raises(IntegrityFailedError):
        seq_of(b"short")


def test_a_row_is_split_as_it_was_packed() -> None:
    assert EVENT.pack()[:3].hex() == "010102"
    assert SealedEvent.unpack(EVENT.pack()) == EVENT


@pytest.mark.parametrize("row", [b"", EVENT.pack()[:42], b"\2" + EVENT.pack()[1:]])
def test_other_rows_are_refused(row: bytes) -> None:
    with pytest.raises(IntegrityFailedError):
        SealedEvent.unpack(row)


def test_the_end_of_a_consent_in_the_ledger() -> None:
    assert ENDED.pack().hex() == "010000000007" + "03" + "00000028" + "0000019b77119680"
    assert unpack_payload(20, ENDED.pack()) == ENDED
    for wrong in (ENDED.pack()[:-1], ENDED.pack() + b"\0", ENDED.pack()[:6] + b"\4" + ENDED.pack()[7:]):
        with pytest.raises(IntegrityFailedError):
            unpack_payload(20, wrong)


def test_every_purpose_of_the_row_has_two_bits_of_its_own() -> None:
    consents, expected = 0, {}
    for purpose in range(1, ROW_PURPOSES + 1):
        expected[purpose] = ConsentState(purpose % 4)
        consents = with_row_consent(consents, purpose, expected[purpose])
    assert consents < 2**64
    assert {purpose: row_consent(consents, purpose) for purpose in expected} == expected
    assert with_row_consent(consents, 3, ConsentState.NONE) == consents & ~(3 << 4)
    assert row_consent(2**64 - 1, ROW_PURPOSES + 1) is ConsentState.NONE


def test_terms_take_one_consent_a_purpose_and_no_more_than_they_can_hold() -> None:
    terms = NO_TERMS.with_consent(2, ConsentState.GIVEN, 5).with_consent(1, ConsentState.OBJECTED, 0)
    terms = terms.with_consent(2, ConsentState.GIVEN, 9)
    assert terms.consents == (TimedConsent(1, ConsentState.OBJECTED), TimedConsent(2, ConsentState.GIVEN, 9))
    assert terms.with_consent(2, ConsentState.NONE, 0).consents == terms.consents[:1]
    for purpose in range(3, MAX_OF_A_KIND + 1):
        terms = terms.with_consent(purpose, ConsentState.GIVEN, 5)
    with pytest.raises(LimitExceededError):
        terms.with_consent(MAX_OF_A_KIND + 1, ConsentState.GIVEN, 5)
