import pytest

from vault.config import Limits
from vault.core.fieldinput import check_batch, check_limit, fingerprint_content, prepare_entry, prepare_value
from vault.errors import LimitExceededError, Reason
from vault.fields.config import load_field_classes
from vault.model.requests import CustomerRef, Entry, FieldInput
from vault.model.secret import Secret

CATALOG = load_field_classes({"loose_phone": {"kind": "phone", "lenient": True}})
LIMITS = Limits(batch_entries=2, batch_fields=3, value_bytes=100)
REF = CustomerRef(external_id=Secret("crm-1"))


def prepared(*fields: tuple[str, str] | tuple[str, str, str], ref: CustomerRef = REF, jurisdiction: str = ""):
    inputs = [FieldInput(given[0], Secret(given[1]), *given[2:]) for given in fields]
    return prepare_entry(Entry(ref, inputs, jurisdiction), CATALOG, LIMITS)


def reasons(*fields, **options) -> list[Reason | None]:
    return [made.error.reason if made.error else None for made in prepared(*fields, **options).fields]


def test_a_limit_is_named_with_its_size_and_the_requests():
    with pytest.raises(LimitExceededError) as caught:
        check_limit("batch_tokens", 11, 10)
    assert dict(caught.value.details) == {"limit": "batch_tokens", "allowed": "10", "size": "11"}
    check_limit("batch_tokens", 10, 10)


def test_a_batch_is_bounded_in_entries_and_in_fields():
    entry = Entry(REF, [FieldInput("name", Secret("x"))] * 2)
    with pytest.raises(LimitExceededError, match="batch_entries"):
        check_batch([entry] * 3, LIMITS)
    with pytest.raises(LimitExceededError, match="batch_fields"):
        check_batch([entry] * 2, LIMITS)
    check_batch([entry], LIMITS)


def test_a_bad_field_is_refused_alone():
    assert reasons(("email", "nonsense"), ("name", "Zoë")) == [Reason.INVALID_VALUE, None]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (("no_such_class", "x"), Reason.INVALID_REQUEST),
        (("external_id", "x"), Reason.INVALID_REQUEST),
        (("name", "x", "Not A Label"), Reason.INVALID_REQUEST),
        (("note", "x" * 101), Reason.LIMIT_EXCEEDED),
        (("note", "\ud800"), Reason.INVALID_REQUEST),
        (("iban", "DE00 0000"), Reason.INVALID_VALUE),
    ],
)
def test_why_a_field_is_refused(field, reason):
    made = prepared(field).fields[0]
    assert made.error is not None
    assert made.error.reason is reason
    assert len(field[1]) < 2 or field[1] not in str(made.error) + str(dict(made.error.details))


@pytest.mark.parametrize("value", ["", "  ", "\t\n"])
def test_an_empty_value_is_skipped_whatever_its_class(value):
    assert [made.empty for made in prepared(("email", value), ("name", value)).fields] == [True, True]


def test_the_same_class_and_label_twice_is_ambiguous():
    assert reasons(("phone", "+4930123456", "work"), ("phone", "+4930123457", "work")) == [
        None,
        Reason.INVALID_REQUEST,
    ]
    assert reasons(("phone", "+4930123456", "work"), ("phone", "+4930123457", "home")) == [None, None]
    assert reasons(("phone", "", "work"), ("phone", "+4930123457", "work")) == [None, None]


def test_the_jurisdiction_reads_national_numbers():
    made = prepared(("phone", "030 123456"), jurisdiction="DE").fields[0]
    assert made.stored == b"+4930123456"


@pytest.mark.parametrize("jurisdiction", ["de", "Germany", "D1"])
def test_a_wrong_jurisdiction_refuses_the_entry(jurisdiction):
    entry = prepared(("name", "x"), jurisdiction=jurisdiction)
    assert entry.error is not None
    assert entry.error.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize(
    ("external_id", "reason"),
    [
        ("", Reason.INVALID_REQUEST),
        ("   ", Reason.INVALID_REQUEST),
        ("a\nb", Reason.INVALID_REQUEST),
        ("a\x00", Reason.INVALID_REQUEST),
        ("\x7f", Reason.INVALID_REQUEST),
        ("\ud800", Reason.INVALID_REQUEST),
        ("x" * 257, Reason.LIMIT_EXCEEDED),
        ("é" * 129, Reason.LIMIT_EXCEEDED),
    ],
)
def test_external_ids_that_are_none(external_id, reason):
    entry = prepared(("name", "x"), ref=CustomerRef(external_id=Secret(external_id)))
    assert entry.error is not None
    assert entry.error.reason is reason


def test_external_ids_are_kept_as_given():
    for external_id in ("x" * 256, "Ünïcode 客户", " padded "):
        entry = prepared(ref=CustomerRef(external_id=Secret(external_id)))
        assert entry.external_id == external_id.encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "Jane.Doe@EXAMPLE.com"),
        ("name", "Zoë  de la Cruz"),
        ("phone", "+49 30 123456"),
        ("iban", "de89 3704 0044 0532 0130 00"),
        ("card", "4111 1111 1111 1111"),
        ("birth_date", "1990-02-28"),
        ("loose_phone", "ask at reception"),
        ("note", "  as is  "),
    ],
)
def test_a_stored_value_has_the_fingerprint_that_it_was_stored_under(name, value):
    """Re-sealing makes fingerprints from stored values; equal values must still be found after it."""
    field_class = CATALOG.get(name)
    made = prepare_value(field_class, Secret(value), "", LIMITS)
    assert fingerprint_content(field_class, made.stored) == name.encode() + b"\0" + made.normalized


def test_a_value_whose_class_is_gone_or_refuses_it_stands_for_itself():
    assert fingerprint_content(None, b"x").endswith(b"x")
    assert fingerprint_content(CATALOG.get("email"), b"not an address").endswith(b"not an address")
