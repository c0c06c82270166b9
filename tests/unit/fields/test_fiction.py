import phonenumbers
import pytest

from vault.fields.fiction import FictionUnknownError, country_of, fictional, reserved

CAPACITIES = {
    "US": 35_900,
    "CA": 5_600,
    "GB": 15_000,
    "DE": 5_000,
    "FR": 50_000,
    "AU": 80_000,
    "SE": 495,
    "GU": 100,
}


@pytest.mark.parametrize(("country", "capacity"), CAPACITIES.items())
def test_reserved_numbers_are_valid_in_their_country(country: str, capacity: int) -> None:
    space = reserved(country)
    assert space is not None
    assert space.capacity == capacity
    texts = [space.at(number) for number in {*range(0, capacity, max(1, capacity // 97)), capacity - 1}]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text is not None
        assert phonenumbers.is_valid_number_for_region(phonenumbers.parse(text), country)


def test_known_ends_of_ranges() -> None:
    britain, sweden = reserved("GB"), reserved("SE")
    assert britain is not None
    assert sweden is not None
    assert britain.at(0) == "+441134960000"
    assert sweden.at(494) == "+46701740699"


def test_a_country_without_a_range_has_none_unless_any_number_will_do() -> None:
    with pytest.raises(FictionUnknownError):
        fictional("+34912345678", any_of_plan=False)
    space = fictional("+34912345678", any_of_plan=True)
    texts = [text for text in map(space.at, range(0, space.capacity, 9_973)) if text is not None]
    assert texts
    assert all(country_of(text) == "ES" for text in texts)


@pytest.mark.parametrize("stored", ["", "call me", "+88216000000000"])
def test_what_is_of_no_country_has_none(stored: str) -> None:
    with pytest.raises(FictionUnknownError):
        fictional(stored, any_of_plan=True)
