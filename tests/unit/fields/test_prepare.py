"""What each kind accepts, in which form it is stored, and what it refuses."""

import pytest

from vault.errors import InvalidValueError
from vault.fields import DEFAULT_FIELDS, FieldCatalog, Prepared, load_field_classes, prepare

STORED = [
    # names keep their writing; only the ends are trimmed
    ("name", "  Anna Berg\u00a0", "Anna Berg"),
    ("name", "Zoe\u0308", "Zoë"),
    ("name", "\ufeff王芳", "王芳"),
    ("name", "김민수", "김민수"),
    ("name", "محمد بن سلمان", "محمد بن سلمان"),
    ("name", "प्रिया शर्मा", "प्रिया शर्मा"),
    ("name", "می‌خواهم", "می‌خواهم"),  # the zero-width non-joiner inside belongs to the word
    ("name", "O'Connor-Śmigły", "O'Connor-Śmigły"),
    ("email", "Anna.Berg@Example.COM", "Anna.Berg@example.com"),
    ("email", " anna+crm@mail.example.co.uk ", "anna+crm@mail.example.co.uk"),
    ("email", "jörg@bücher.example.de", "jörg@bücher.example.de"),
    ("email", "jorg@xn--bcher-kva.example.de", "jorg@bücher.example.de"),
    ("email", "用户@例子.中国", "用户@例子.中国"),
    ("email", "иван@почта.рф", "иван@почта.рф"),
    ("phone", "+49 (0)151 23456789", "+4915123456789"),
    ("phone", "＋４９ １５１ ２３４５６７８９", "+4915123456789"),
    ("phone", "+٩٦٦ ٥١ ٢٣٤ ٥٦٧٨", "+966512345678"),
    ("phone", "\u202a+44 7400 123456\u202c", "+447400123456"),
    ("phone", "tel:+1-415-555-0132", "+14155550132"),
    ("phone", "+49 30 123456 ext. 12", "+4930123456;ext=12"),
    ("phone", "+39 06 1234 5678", "+390612345678"),  # Italy keeps its leading zero
    ("birth_date", "1980-05-01", "1980-05-01"),
    ("birth_date", "1980-05-01T00:00:00Z", "1980-05-01"),
    ("birth_date", "1980-05-01T00:00:00.000+0000", "1980-05-01"),
    ("birth_date", "1980-05-01 00:00:00", "1980-05-01"),
    ("birth_date", "２０００-０２-２９", "2000-02-29"),
    ("birth_date", "٢٠٠٠-٠٢-٢٩", "2000-02-29"),
    ("birth_date", "1870-01-01", "1870-01-01"),
    ("national_id", "AB 12.34-56/7", "AB 12.34-56/7"),
    ("national_id", "１９８００１０１－１２３４", "１９８００１０１－１２３４"),
    ("iban", "de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
    ("iban", "GB29-NWBK-6016-1331-9268-19", "GB29NWBK60161331926819"),
    ("iban", "\u200eIL62 0108 0000 0009 9999 999", "IL620108000000099999999"),
    ("card", "4111 1111 1111 1111", "4111111111111111"),
    ("card", "3782-822463-10005", "378282246310005"),
    ("card", "٤١١١ ١١١١ ١١١١ ١١١١", "4111111111111111"),
    ("address", "Hauptstr. 5\r\n10115 Berlin\rGermany", "Hauptstr. 5\n10115 Berlin\nGermany"),
    ("note", "called\tTuesday\nwill come back", "called\tTuesday\nwill come back"),
    ("external_id", " 0031t00000AbCdEAAX", "0031t00000AbCdEAAX"),
]

REFUSED = [
    ("name", "Anna\nBerg", "holds a control character"),
    ("name", "Anna\x00", "holds a control character"),
    ("name", "Anna\x9fBerg", "holds a control character"),
    ("name", "\ud800nna", "holds a lone surrogate"),
    ("name", "ä" * 513, "1026 bytes, at most 1024"),
    ("note", "a\x0bb", "holds a control character"),
    ("note", "a\x00b", "holds a control character"),
    ("note", "x" * 65537, "65537 bytes, at most 65536"),
    ("email", "anna", "has no @"),
    ("email", "@example.com", "has nothing before the @"),
    ("email", "anna@", "has nothing after the @"),
    ("email", "anna@example", "the domain has no dot"),
    ("email", "anna@exa_mple.com", "the domain is not one that mail can reach"),
    ("email", "anna@mail..com", "the domain is not one that mail can reach"),
    ("email", "anna@printer.local", "the domain is not one that mail can reach"),
    ("email", "anna@[127.0.0.1]", "the domain is not one that mail can reach"),
    ("email", "Anna Berg <anna@example.com>", "the domain is not one that mail can reach"),
    ("email", "an na@example.com", "the part before the @ is not valid"),
    ("email", "anna..b@example.com", "the part before the @ is not valid"),
    ("email", '"anna b"@example.com', "the part before the @ is not valid"),
    ("email", "anna@b@example.com", "the part before the @ is not valid"),
    ("email", "a" * 250 + "@example.com", "is longer than 254 characters"),
    ("email", "a" * 200 + "@" + "ö" * 24 + ".example.com", "is longer than 254 bytes"),
    ("phone", "030 123456", "no country code, and no country to assume"),
    ("phone", "+49 1", "too short for the country"),
    ("phone", "+1 415 555 01321", "too long for the country"),
    ("phone", "+1 000 555 0132", "not a number of the country's plan"),
    ("phone", "+999 1234567", "no such country code"),
    ("phone", "call me", "not a phone number"),
    ("phone", "+" + "4" * 252, "too long for the country"),
    ("birth_date", "1980-02-30", "not a date"),
    ("birth_date", "01.05.1980", "not a date of the form YYYY-MM-DD"),
    ("birth_date", "19800501", "not a date of the form YYYY-MM-DD"),
    ("birth_date", "1980-05-01T22:00:00Z", "has a time of day"),
    ("birth_date", "1980-05-01T00:00:00+02:00", "has a time of day"),
    ("birth_date", "1869-12-31", "before 1870"),
    ("birth_date", "9999-01-01", "in the future"),
    ("national_id", "A-1", "does not have 4 to 32 letters and digits"),
    ("national_id", "1" * 33, "does not have 4 to 32 letters and digits"),
    ("national_id", "----", "does not have 4 to 32 letters and digits"),
    ("national_id", "AB#1234", "holds other characters than letters, digits and separators"),
    ("iban", "DE88370400440532013000", "check digits do not match"),
    ("iban", "DE8937040044053201300", "has 21 characters, its country's have 22"),
    ("iban", "US89370400440532013000", "does not begin with a country that has IBANs"),
    ("iban", "DE89_70400440532013000", "holds other characters than letters and digits"),
    ("iban", "D", "does not begin with a country that has IBANs"),
    ("card", "4111111111111112", "Luhn check fails"),
    ("card", "411111111111", "does not have 13 to 19 digits"),
    ("card", "4111x11111111111", "holds other characters than digits"),
    ("external_id", "x" * 257, "257 bytes, at most 256"),
]


@pytest.mark.parametrize(("name", "text", "stored"), STORED)
def test_good_values_are_stored_in_their_display_form(name: str, text: str, stored: str) -> None:
    assert prepare(DEFAULT_FIELDS.get(name), text).stored == stored


@pytest.mark.parametrize(("name", "text", "reason"), REFUSED)
def test_bad_values_are_refused_with_the_reason(name: str, text: str, reason: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        prepare(DEFAULT_FIELDS.get(name), text)
    assert str(refusal.value) == f"{name}: {reason}"
    assert refusal.value.details == {"field_class": name}
    assert refusal.value.__context__ is None  # a traceback must not lead to a library's message


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("name", "ANNA  berg", "Anna Berg"),
        ("name", "Ａｎｎａ", "anna"),
        ("name", "Straße", "STRASSE"),
        ("name", "Zoe\u0308", "ZOË"),
        ("address", "Hauptstr. 5\nBerlin", "HAUPTSTR. 5 Berlin"),
        ("email", "Anna@Example.com", "anna@example.COM"),
        ("email", "a@xn--bcher-kva.example.de", "a@Bücher.example.de"),
        ("phone", "+49 151 23456789", "+49 (0)151/234567-89"),
        ("national_id", "ab-12.34", "AB 1234"),
        ("iban", "de89370400440532013000", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_values_that_count_as_the_same_normalize_alike(name: str, one: str, other: str) -> None:
    field_class = DEFAULT_FIELDS.get(name)
    assert prepare(field_class, one).normalized == prepare(field_class, other).normalized


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("note", "Call her", "call her"),
        ("external_id", "0031t00000AbCdE", "0031T00000abcde"),
        ("phone", "+49 30 123456", "+49 30 123456 ext 1"),
        ("name", "Anna", "Anne"),
    ],
)
def test_values_that_differ_normalize_apart(name: str, one: str, other: str) -> None:
    field_class = DEFAULT_FIELDS.get(name)
    assert prepare(field_class, one).normalized != prepare(field_class, other).normalized


@pytest.mark.parametrize("name", DEFAULT_FIELDS.names)
def test_white_space_alone_is_nothing_to_store(name: str) -> None:
    assert prepare(DEFAULT_FIELDS.get(name), " \t\u3000\ufeff") == Prepared("", b"")


def test_jurisdiction_goes_before_the_default_country() -> None:
    catalog = load_field_classes({"phone": {"default_country": "DE"}})
    phone = catalog.get("phone")
    assert prepare(phone, "030 123456").stored == "+4930123456"
    assert prepare(phone, "(415) 555-0132", "US").stored == "+14155550132"
    assert prepare(phone, "030 123456", "ZZ").stored == "+4930123456"


@pytest.fixture(scope="module")
def lenient() -> FieldCatalog:
    return load_field_classes(
        {name: {"lenient": True} for name in DEFAULT_FIELDS.names if name != "external_id"}
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("phone", "ask Anna"),
        ("email", "anna at example"),
        ("birth_date", "May 1980"),
        ("iban", "?"),
        ("card", "12"),
    ],
)
def test_a_lenient_class_keeps_what_it_cannot_validate(lenient: FieldCatalog, name: str, text: str) -> None:
    assert prepare(lenient.get(name), f" {text} ") == Prepared(text, text.lower().encode())


def test_a_lenient_class_still_normalizes_what_is_valid(lenient: FieldCatalog) -> None:
    assert prepare(lenient.get("phone"), "+49 151 23456789").stored == "+4915123456789"


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\udfff", "x" * 1025])
def test_a_lenient_class_still_refuses_what_no_value_may_hold(lenient: FieldCatalog, text: str) -> None:
    with pytest.raises(InvalidValueError):
        prepare(lenient.get("email"), text)


def test_prepared_shows_nothing() -> None:
    assert "Anna" not in repr(prepare(DEFAULT_FIELDS.get("name"), "Anna"))
