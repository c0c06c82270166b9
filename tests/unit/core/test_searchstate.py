"""Which look-ups are complete."""

from vault.core.searchstate import SearchState

PHONE, EMAIL = {"phone": "1/phone"}, {"email": "1/email"}


def test_without_customers_everything_is_ready_at_once() -> None:
    assert SearchState().declared(PHONE, empty=True) == SearchState(PHONE)


def test_what_is_new_is_built_from_the_first_customer_and_what_was_ready_stays() -> None:
    state = SearchState(PHONE).declared(PHONE | EMAIL, empty=False)
    assert state == SearchState(PHONE, EMAIL)
    state = state.advanced(64, 1, done=False)
    assert (state.after, state.left) == (64, 1)
    assert state.declared(PHONE | EMAIL, empty=False) == state  # opened again
    assert state.advanced(70, 0, done=True) == SearchState(PHONE | EMAIL, left=1)


def test_another_description_is_another_index() -> None:
    state = SearchState(PHONE | EMAIL).declared(EMAIL | {"phone": "2/phone"}, empty=False)
    assert state == SearchState(EMAIL, {"phone": "2/phone"})
    further = state.advanced(64, 0, done=False).declared(PHONE | {"email": "2/email"}, empty=False)
    assert (further.building, further.after) == (PHONE | {"email": "2/email"}, 0)


def test_what_is_not_declared_is_forgotten() -> None:
    assert SearchState(PHONE | EMAIL).declared(EMAIL, empty=False) == SearchState(EMAIL)
    assert SearchState(PHONE).declared({}, empty=False) == SearchState()


def test_the_row_says_it_all() -> None:
    state = SearchState(PHONE, EMAIL, 3, 4)
    assert state.pack() == (
        b'{"after":3,"building":{"email":"1/email"},"left":4,"ready":{"phone":"1/phone"}}'
    )
