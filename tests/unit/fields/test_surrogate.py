"""What surrogates look like. Check digits are judged by the validators that real values pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import InvalidValueError
from vault.fields.card import prepare_card
from vault.fields.email import prepare_email
from vault.fields.iban import prepare_iban
from vault.fields.surrogate import Check, SurrogateFormat, SurrogateRule
from vault.fields.template import Template
from vault.fields.text import UnfitError

VISA, IBAN = "4111111111111111", "GB33BUKB20201555555555"
numbers = st.integers(0, 2**128)


def text_at(rule: SurrogateRule, stored: str, number: int) -> str:
    space = rule.space("some_class", stored)
    text = space.at(number % space.capacity)
    assert text is not None
    return text


def fits(prepare: object, text: str) -> bool:
    try:
        prepare(text)  # type: ignore[operator]
    except UnfitError:
        return False
    return True


@given(numbers, st.sampled_from(Check), st.sampled_from((6, 8)), st.sampled_from((VISA, "378282246310005")))
def test_cards(number: int, check: Check, bin_digits: int, stored: str) -> None:
    text = text_at(SurrogateRule(SurrogateFormat.CARD, check=check, bin_digits=bin_digits), stored, number)
    assert (text[:bin_digits], text[-4:], len(text)) == (stored[:bin_digits], stored[-4:], len(stored))
    assert fits(prepare_card, text) == (check is Check.VALID)


@pytest.mark.parametrize(("check", "capacity"), [(Check.VALID, 1_000), (Check.INVALID, 9_000)])
def test_every_number_of_a_space_has_a_text_of_its_own(check: Check, capacity: int) -> None:
    space = SurrogateRule(SurrogateFormat.CARD, check=check, bin_digits=8).space("card", VISA)
    assert space.capacity == capacity
    assert len({space.at(number) for number in range(capacity)}) == capacity


@given(numbers, st.sampled_from(Check))
def test_ibans(number: int, check: Check) -> None:
    text = text_at(SurrogateRule(SurrogateFormat.IBAN, check=check), IBAN, number)
    assert (text[:2], len(text), text[4:8].isalpha(), text[8:].isdigit()) == ("GB", len(IBAN), True, True)
    assert fits(prepare_iban, text) == (check is Check.VALID)


@given(numbers, st.sampled_from(("keep", "example.com", "crm.example.org")))
def test_email_addresses(number: int, domain: str) -> None:
    text = text_at(SurrogateRule(SurrogateFormat.EMAIL, domain=domain), "ann@lee.org", number)
    assert text.partition("@")[2] == ("lee.org" if domain == "keep" else domain)
    assert fits(prepare_email, text)


def test_a_long_domain_leaves_less_before_it() -> None:
    domain = ".".join(["d" * 60] * 4)
    text = text_at(SurrogateRule(SurrogateFormat.EMAIL, domain="keep"), f"a@{domain}", 1)
    assert len(text) == 243 + 1 + 10


def test_digits_are_as_many_as_the_value_has_or_the_class_says() -> None:
    assert len(text_at(SurrogateRule(SurrogateFormat.DIGITS), "AB 12-345", 7)) == 5
    assert len(text_at(SurrogateRule(SurrogateFormat.DIGITS, length=12), "x", 7)) == 12


@pytest.mark.parametrize(
    ("rule", "stored"),
    [
        (SurrogateRule(SurrogateFormat.EMAIL), "not an address"),
        (SurrogateRule(SurrogateFormat.CARD), "4111"),
        (SurrogateRule(SurrogateFormat.CARD, bin_digits=8), "4222222222222"),
        (SurrogateRule(SurrogateFormat.IBAN), "unknown"),
        (SurrogateRule(SurrogateFormat.PHONE), "call me"),
        (SurrogateRule(SurrogateFormat.PHONE), "+34912345678"),
        (SurrogateRule(SurrogateFormat.DIGITS), "none"),
        (SurrogateRule(SurrogateFormat.EMAIL, domain="keep"), "a@" + "d" * 250),
    ],
)
def test_a_value_without_surrogates_is_refused_without_being_shown(rule: SurrogateRule, stored: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        rule.space("some_class", stored)
    assert "no surrogate" in str(caught.value)
    assert stored not in str(caught.value)


def test_patterns_are_those_of_the_template() -> None:
    rule = SurrogateRule(SurrogateFormat.PATTERN, template=Template.parse("K-##"))
    assert rule.space("x", "any").capacity == 100
    assert text_at(rule, "any", 42) == "K-24"
