"""What a mask shows: never the value, never a part of a grapheme."""

import time

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from vault.fields import DEFAULT_FIELDS, FieldClass, MaskStyle, load_field_classes, mask

LITERALS = set("•@.+-, ")
FAMILY = "👩‍👩‍👧"
MASKED = [
    ("name", "Anna Berg", "A••• B•••"),
    ("name", "Zoë Müller-Lüdenscheidt", "Z••• M•••"),
    ("name", "J Smith", "• S•••"),
    ("name", "王芳", "王•••"),
    ("name", "王", "•"),
    ("name", "김민수", "김•••"),
    ("name", "प्रिया शर्मा", "प्रि••• श•••"),
    ("name", "นิรันดร์", "นิ•••"),
    ("name", "אריה פרץ", "א••• פ•••"),
    ("name", f"{FAMILY}x", f"{FAMILY}•••"),
    ("name", FAMILY, "•"),
    ("name", "🇩🇪🇫🇷", "🇩🇪•••"),
    ("name", "a b c d e f g h", "• • • • • •"),
    ("name", "   ", "•••"),
    ("email", "anna.berg@example.com", "a•••@e•••.com"),
    ("email", "anna@mail.example.co.uk", "a•••@m•••.uk"),
    ("email", "j@x.com", "•@•.com"),
    ("email", "用户@例子.中国", "用•••@例•••.中国"),
    ("email", "иван@почта.рф", "и•••@п•••.рф"),
    ("email", "ask Anna", "•••"),
    ("email", "anna@localhost", "•••"),
    ("phone", "+4915123456789", "+49•••89"),
    ("phone", "+14155550132", "+1•••32"),
    ("phone", "+79123456789", "+7•••89"),
    ("phone", "+35312345678", "+353•••78"),
    ("phone", "+4930123456;ext=12", "+49•••56"),
    ("phone", "+291123", "•••"),
    ("phone", "ask Anna", "•••"),
    ("address", "Hauptstr. 5, 10115 Berlin, Germany", "•••, Germany"),
    ("address", "5 High Street\nLondon\nSW1A 1AA", "•••"),
    ("address", "Flat 3, Rosewood House", "•••"),
    ("address", "Hauptstr. 5", "•••"),
    ("address", "東京都千代田区、丸の内一丁目、日本", "•••, 日本"),
    ("birth_date", "1980-05-01", "1980-••-••"),
    ("birth_date", "May 1980", "•••"),
    ("national_id", "AB 12.34-56", "•••56"),
    ("national_id", "AB-12", "•••"),
    ("iban", "DE89370400440532013000", "DE•••3000"),
    ("iban", "NO9386011117947", "NO•••7947"),
    ("iban", "unknown", "•••"),
    ("card", "4111111111111111", "•••1111"),
    ("card", "1234", "•••"),
    ("note", "x", "•••"),
    ("note", "called on Tuesday, will come back", "•••"),
    ("external_id", "0031t00000AbCdEAAX", "•••AX"),
    ("note", "•••", "•"),
    ("name", "A•••", "•••"),
    ("name", "•", "•••"),
]


@pytest.mark.parametrize(("name", "stored", "masked"), MASKED)
def test_mask(name: str, stored: str, masked: str) -> None:
    assert mask(DEFAULT_FIELDS.get(name), stored) == masked


@pytest.mark.parametrize("name", DEFAULT_FIELDS.names)
def test_an_empty_value_has_an_empty_mask(name: str) -> None:
    assert mask(DEFAULT_FIELDS.get(name), "") == ""


def test_notes_of_every_length_look_alike() -> None:
    assert {mask(DEFAULT_FIELDS.get("note"), "x" * length) for length in (1, 3, 500)} == {"•••"}


CLASSES = load_field_classes(
    {style: {"kind": "note", "mask": style} for style in map(str, MaskStyle) if style not in DEFAULT_FIELDS}
)
awkward = st.text(
    st.one_of(
        st.sampled_from(
            "@.,;+-•\r\n\t \u200d\u0301\u0600\u0e33\u093f\u094d\u1100\u1161\ufe0f\u3000aZ09"
            "क👩🏽🇩🇪\ud800\udfff\x00"
        ),
        st.characters(),
    ),
    max_size=24,
)
shaped = st.one_of(
    awkward,
    st.builds("{}@{}.{}".format, awkward, awkward, awkward),
    st.builds("{},{},{}".format, awkward, awkward, awkward),
    st.builds("+{}".format, st.text("0123456789", max_size=16)),
    st.text("0123456789", min_size=10, max_size=20),
)


@given(st.sampled_from(list(CLASSES)), shaped)
@example(CLASSES.get("email"), "\r\na@b.com")
@example(CLASSES.get("email"), "a@\u0301b.com")
@example(CLASSES.get("name"), "\u0600 ab")
@example(CLASSES.get("name"), " \u0301ab")
@example(CLASSES.get("address"), "a,b,\u0301c")
def test_a_mask_is_made_of_literals_and_whole_graphemes(field_class: FieldClass, stored: str) -> None:
    masked = mask(field_class, stored)
    assert (masked == stored) == (not stored)
    of_value = set(regex.findall(r"\X", stored))
    assert {grapheme for grapheme in regex.findall(r"\X", masked) if grapheme not in LITERALS} <= of_value


@pytest.mark.parametrize(
    "text", ["@" * 65536, "a." * 32768, "," * 65536, "\u0301" * 32768, "a@" * 20000 + "."]
)
@pytest.mark.parametrize("name", ["name", "email", "address", "external_id"])
def test_no_text_makes_masking_slow(name: str, text: str) -> None:
    start = time.perf_counter()
    mask(DEFAULT_FIELDS.get(name), text)
    assert time.perf_counter() - start < 0.5  # linear work takes a few milliseconds, quadratic minutes
