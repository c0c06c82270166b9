import copy
import pickle

import pytest
from customervault import CustomerRef, Entry, Field, Value, Values
from customervault.errors import PurposeDeniedError
from customervault.results import Shredded

SECRET = "ada@example.org"


@pytest.fixture
def values() -> Values:
    denied = PurposeDeniedError("nothing is granted")
    return Values(
        [SECRET, "", f"{SECRET}2", f"{SECRET}3", f"{SECRET}4"],
        ["plain", None, "plain", "masked", "plain"],
        {1: denied},
    )


def test_no_text_form_shows_a_value(values: Values) -> None:
    assert repr(values) == str(values) == f"{values}" == "<5 values, 1 failed>"
    assert repr(values[2:3]) == "<1 value>"
    assert repr(values[0]) == str(values[0]) == f"{values[0]}" == "<plain value>"
    assert repr(values[3]) == "<masked value>"
    assert repr(values[1]) == "<failed value, PURPOSE_DENIED>"
    assert SECRET not in repr(list(values))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_neither_container_nor_value_is_pickled(values: Values, protocol: int) -> None:
    for guarded in (values, values[0]):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(guarded, protocol)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_neither_container_nor_value_is_copied(values: Values, copier: object) -> None:
    assert callable(copier)
    for guarded in (values, values[0]):
        with pytest.raises(TypeError, match="copied"):
            copier(guarded)


def test_a_value_hides_nothing_in_a_dictionary_of_its_own(values: Values) -> None:
    assert not hasattr(values, "__dict__")
    assert not hasattr(values[0], "__dict__")


def test_opening_a_failed_item_raises_its_error(values: Values) -> None:
    assert values[0].get() == SECRET
    assert not values[1].ok
    assert values[1].reveal_level is None
    with pytest.raises(PurposeDeniedError) as caught:
        values[1].get()
    assert caught.value is values[1].error is values.errors[1]


def test_the_whole_list_raises_the_first_error_or_takes_a_default(values: Values) -> None:
    with pytest.raises(PurposeDeniedError):
        values.plain_list()
    assert values.plain_list(default="?")[:2] == [SECRET, "?"]
    assert values.plain_list(default="")[1] == ""
    assert values[2:].plain_list() == [f"{SECRET}2", f"{SECRET}3", f"{SECRET}4"]


def test_it_is_a_sequence(values: Values) -> None:
    assert len(values) == 5
    assert values[-1].get() == f"{SECRET}4"
    assert [value.ok for value in reversed(values)] == [True, True, True, False, True]
    with pytest.raises(IndexError):
        values[5]


def test_a_slice_keeps_errors_in_their_places(values: Values) -> None:
    part = values[::-1]
    assert isinstance(part, Values)
    assert set(part.errors) == {3}
    assert part[4].get() == SECRET
    assert not values.ok
    assert values[2:].ok


def test_a_lone_value_can_be_told_from_an_empty_one() -> None:
    assert Value("", "plain", None).ok
    assert Value("", "plain", None).get() == ""


@pytest.mark.parametrize(
    "given",
    [
        Field("email", SECRET),
        CustomerRef(external_id=SECRET),
        Entry(SECRET, {"email": SECRET}),
        Shredded("shredded", salt=SECRET.encode()),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_handed_in_or_out_shows_no_secret(given: object) -> None:
    assert SECRET not in repr(given)


def test_a_customer_is_named_exactly_once() -> None:
    for wrong in ({}, {"external_id": "a", "token": "b"}):
        with pytest.raises(ValueError, match="exactly one"):
            CustomerRef(**wrong)
