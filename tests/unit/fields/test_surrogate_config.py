import pytest

from vault.errors import InvalidRequestError
from vault.fields import load_field_classes
from vault.fields.surrogate import Check, SurrogateFormat, SurrogateRule, Unreserved


def rule(name: str, options: dict[str, object]) -> SurrogateRule | None:
    return load_field_classes({name: options}).get(name).surrogate


def test_classes_have_none_unless_they_say_so() -> None:
    assert all(each.surrogate is None for each in load_field_classes({}))


def test_a_format_alone_is_enough() -> None:
    assert rule("email", {"surrogate": "email"}) == SurrogateRule(SurrogateFormat.EMAIL)


def test_options_are_read() -> None:
    assert rule(
        "card", {"surrogate": {"format": "card", "check": "invalid", "bin_digits": 8, "always": False}}
    ) == SurrogateRule(SurrogateFormat.CARD, always=False, check=Check.INVALID, bin_digits=8)
    phone = rule("phone", {"surrogate": {"format": "phone", "unreserved": "plan"}})
    assert phone is not None
    assert phone.unreserved is Unreserved.PLAN
    number = rule("no", {"kind": "note", "surrogate": {"format": "pattern", "template": "K-##"}})
    assert number is not None
    assert number.space("no", "any").capacity == 100


@pytest.mark.parametrize(
    "surrogate",
    [
        7,
        "fax",
        "email",  # the class is a note
        {"format": "digits", "length": 0},
        {"format": "digits", "length": True},
        {"format": "digits", "check": "valid"},
        {"format": "digits", "always": "yes"},
        {"format": "pattern"},
        {"format": "pattern", "template": "FIXED"},
        {"format": "pattern", "template": 7},
    ],
)
def test_what_is_wrong_is_said(surrogate: object) -> None:
    with pytest.raises(InvalidRequestError, match="no surrogate "):
        load_field_classes({"no": {"kind": "note", "surrogate": surrogate}})


@pytest.mark.parametrize("domain", ["gmail.com", "example.de", "a b.example", "x" * 101 + ".test", 7])
def test_only_reserved_domains_will_do(domain: object) -> None:
    with pytest.raises(InvalidRequestError, match="reserved"):
        load_field_classes({"email": {"surrogate": {"format": "email", "domain": domain}}})


@pytest.mark.parametrize("domain", ["keep", "example.net", "crm.example.org", "shop.invalid", "a.b.test"])
def test_reserved_domains(domain: str) -> None:
    made = rule("email", {"surrogate": {"format": "email", "domain": domain}})
    assert made is not None
    assert made.domain == domain
