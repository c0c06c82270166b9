"""What holds for every value: stable forms, silent refusals, agreement with the libraries."""

import string

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from vault.errors import InvalidValueError
from vault.fields import DEFAULT_FIELDS, FieldClass, Prepared, load_field_classes, prepare

LENIENT = load_field_classes(
    {name: {"lenient": True} for name in DEFAULT_FIELDS.names if name != "external_id"}
)
CLASSES = [*DEFAULT_FIELDS, *LENIENT]
CANARY = "Qx7kÆ5zW"

field_classes = st.sampled_from(CLASSES)
digits = st.text("0123456789٠١٢٣٤٥ -+().x;=ext", max_size=24)
addresses = st.builds(
    "{}@{}".format, st.text(min_size=1, max_size=12), st.text(max_size=12).map("{}.com".format)
)
foreign = st.text(st.characters(exclude_characters=string.ascii_letters + string.digits + " ,"), min_size=4)
texts = st.one_of(st.text(st.characters()), digits, addresses, digits.map("+49151{}".format))


def accepted(field_class: FieldClass, text: str, country: str = "") -> Prepared | None:
    try:
        return prepare(field_class, text, country)
    except InvalidValueError:
        return None


@given(field_classes, texts, st.sampled_from(["", "DE", "US", "MX", "IT"]))
@example(DEFAULT_FIELDS.get("email"), "i\u0307@İ.com", "")
def test_preparing_the_stored_form_changes_nothing(field_class: FieldClass, text: str, country: str) -> None:
    first = accepted(field_class, text, country)
    if first is not None:
        assert prepare(field_class, first.stored, country) == first


@given(
    field_classes,
    st.one_of(
        st.builds("{}{}{}".format, foreign, st.just(CANARY), foreign),
        st.builds(
            "{}{}{}".format, st.sampled_from(["+49", "DE89", "1980-", "a@b."]), st.just(CANARY), foreign
        ),
        foreign.map("{}.com".format),
        st.integers(10**11, 10**25).map(str),
    ),
)
def test_a_refusal_repeats_no_part_of_the_value(field_class: FieldClass, text: str) -> None:
    try:
        prepare(field_class, text)
    except InvalidValueError as refusal:
        told = f"{refusal} {dict(refusal.details)}"
        assert not any(text[at : at + 4] in told for at in range(len(text) - 3))


@given(st.one_of(addresses, st.emails(), st.text()))
def test_email_agrees_with_the_library(text: str) -> None:
    prepared = accepted(DEFAULT_FIELDS.get("email"), text)
    try:
        expected = validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        expected = None
    if prepared is None:
        assert expected is None
    elif prepared.stored:
        assert expected is not None
        # The library lowers the mailbox names of RFC 2142; the vault keeps every local part as written.
        assert prepared.stored.casefold() == expected.casefold()


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_s_numbers_are_stable(country: str) -> None:
    phone = DEFAULT_FIELDS.get("phone")
    for number_type in phonenumbers.PhoneNumberType.values():
        number = phonenumbers.example_number_for_type(country, number_type)
        if number is None:
            continue
        international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        prepared = prepare(phone, international)
        assert prepare(phone, prepared.stored) == prepared
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert prepare(phone, national, country) == prepared
