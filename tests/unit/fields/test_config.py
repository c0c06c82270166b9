"""Field classes as declared in the configuration."""

import tomllib

import pytest

from vault.errors import InvalidRequestError
from vault.fields import DEFAULT_FIELDS, Kind, MaskStyle, Sensitivity, load_field_classes, mask, prepare


def test_what_is_always_there() -> None:
    assert set(DEFAULT_FIELDS.names) == {
        "external_id", "name", "email", "phone", "address", "birth_date", "national_id", "iban", "card",
        "note",
    }  # fmt: skip
    assert "email" in DEFAULT_FIELDS
    assert len(DEFAULT_FIELDS) == len(list(DEFAULT_FIELDS)) == 10
    assert DEFAULT_FIELDS.get("external_id").max_bytes == 256


def test_declaring_nothing_gives_the_defaults() -> None:
    assert list(load_field_classes({})) == list(DEFAULT_FIELDS)


def test_classes_are_changed_and_added() -> None:
    table = tomllib.loads(
        """
        [fields.email]
        lenient = true
        [fields.work_phone]
        kind = "phone"
        default_country = "DE"
        max_bytes = 64
        mask = "hidden"
        sensitivity = "sensitive"
        """
    )
    catalog = load_field_classes(table["fields"])
    assert catalog.names == (*DEFAULT_FIELDS.names, "work_phone")
    email = catalog.get("email")
    assert (email.kind, email.lenient, email.mask) == (Kind.EMAIL, True, MaskStyle.EMAIL)
    work_phone = catalog.get("work_phone")
    assert (work_phone.default_country, work_phone.max_bytes) == ("DE", 64)
    assert work_phone.sensitivity is Sensitivity.SENSITIVE
    assert prepare(work_phone, "030 123456").stored == "+4930123456"
    assert mask(work_phone, "+4930123456") == "•••"


def test_another_kind_brings_its_own_usual_mask_and_limit() -> None:
    name = load_field_classes({"name": {"kind": "note"}}).get("name")
    assert (name.kind, name.mask, name.max_bytes) == (Kind.NOTE, MaskStyle.HIDDEN, 65536)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"Work Phone": {"kind": "phone"}}, "a class's name is snake case"),
        ({"external_id": {"lenient": True}}, "external_id is reserved"),
        ({"email": True}, "email is not a table"),
        ({"vip": {}}, "vip needs a kind"),
        ({"vip": {"kind": "shoe_size"}}, "vip kind is not one of name, email"),
        ({"vip": {"kind": "identifier"}}, "vip kind identifier is reserved"),
        ({"vip": {"kind": ["note"]}}, "vip kind is not one of"),
        ({"email": {"regex": ".*"}}, "email has an unknown key"),
        ({"email": {"lenient": "yes"}}, "email lenient is neither true nor false"),
        ({"email": {"max_bytes": 0}}, "email max_bytes is not a number of bytes from 1 to 65536"),
        ({"email": {"max_bytes": True}}, "email max_bytes is not a number"),
        ({"email": {"max_bytes": 65537}}, "email max_bytes is not a number"),
        ({"email": {"mask": "rot13"}}, "email mask is not one of hidden"),
        ({"email": {"default_country": "DE"}}, "email default_country belongs to phones only"),
        ({"phone": {"default_country": "Germany"}}, "phone default_country is not an ISO 3166-1"),
        ({"phone": {"default_country": 49}}, "phone default_country is not an ISO 3166-1"),
        ({f"f{n}": {"kind": "note"} for n in range(246)}, "256 classes, at most 255"),
    ],
)
def test_problems_are_named(table: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^fields: ") as refusal:
        load_field_classes(table)
    assert problem in str(refusal.value)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        load_field_classes({"email": {"lenient": 1, "mask": "x"}, "vip": {}})
    assert str(refusal.value).count(";") == 2


def test_an_unknown_class_is_named_only_if_it_could_be_one() -> None:
    with pytest.raises(InvalidRequestError, match="no field class shoe_size"):
        DEFAULT_FIELDS.get("shoe_size")
    with pytest.raises(InvalidRequestError) as refusal:
        DEFAULT_FIELDS.get("anna@example.com")
    assert "anna" not in str(refusal.value)
