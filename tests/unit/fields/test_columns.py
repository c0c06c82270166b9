"""A column prepared at once is what each of its texts is alone."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault.errors import InvalidValueError
from vault.fields.columns import APART, prepare_column
from vault.fields.config import load_field_classes
from vault.fields.field_class import FieldClass
from vault.fields.preparing import prepare

CATALOG = load_field_classes({"mobile": {"kind": "phone", "lenient": True}})
NAMES = ("name", "address", "email", "phone", "mobile", "note", "birth_date")
CLASSES = [CATALOG.get(name) for name in NAMES]
NAME = CATALOG.get("name")
MOST = 85
WORDS = (
    "Ada", "Zoë", "Zoe\u0308", "O\u00b4Brien", "\u00b4", "Straße", "ΣΊΣΥΦΟΣ", "İstanbul", "Ａｄａ", "\ufdfa",
)  # fmt: skip
UNUSUAL = ("", " ", "  Ada", "Ada ", "a  b", "a\tb", "a\nb", "\u200bAda", "\x7f", "\u0301", "x" * 100)
EMAILS = (
    "a@example.com", "A.B+c@EXAMPLE.com", "ä@bücher.example", "a@bücher.example", "a..b@example.com",
    "@example.com", "a@", "a@b@example.com", "x" * 60 + "@example.com", "a@nowhere", "a@example.com ",
    "a\u0300@cafe\u0301.example",
)  # fmt: skip
PHONES = (
    "+4915123536634", "+49 151 23536634", "+1 (201) 501-3478", "+1", "030 123456", "+999123456",
    "+٤٩١٥١٢٣٥٣٦٦٣٤", "+4930123456;ext=12", "＋4915123536634", "+4915123536634\n",
)  # fmt: skip
words = st.sampled_from(WORDS)
texts = st.one_of(
    st.text(max_size=MOST + 5).map(lambda text: text.replace(APART, "")),
    words,
    st.builds("{} {}".format, words, words),
    st.sampled_from((*UNUSUAL, *EMAILS, *PHONES)),
    st.sampled_from((*EMAILS, *PHONES)),
)


@given(st.sampled_from(CLASSES), st.lists(texts, min_size=1, max_size=12), st.sampled_from([20, 1000, 65536]))
@example(NAME, ["\u0301", "e", "\u0301"], 65536)
@example(NAME, [""], 65536)
def test_a_column_is_what_each_text_is_alone(
    field_class: FieldClass, column: list[str], value_bytes: int
) -> None:
    made = prepare_column(field_class, column, value_bytes)
    assert len(made.stored) == len(made.normalized) == len(column)
    for at, text in enumerate(column):
        try:
            alone = prepare(field_class, text)
        except InvalidValueError:
            alone = None
        if at not in made.left:
            assert alone == (made.stored[at].decode(), made.normalized[at])
            assert alone.stored
            assert len(text.encode()) <= value_bytes


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("name", ["Ada", "Zoë"]),
        ("name", ["ada lovelace"] * 3),
        ("address", ["Αθήνα", "東京", "Unter den Linden 1"]),
        ("email", ["a@example.com", "B.c@EXAMPLE.com", "a@bücher.example"]),
        ("phone", ["+4915123536634", "+49 151 23536634", "+1 (201) 501-3478"]),
    ],
)
def test_usual_texts_are_not_left(name: str, column: list[str]) -> None:
    assert not prepare_column(CATALOG.get(name), column, 65536).left


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("name", ["Ada", " Grace", "Zoë"]),
        ("email", ["a@example.com", "nonsense", "b@example.com"]),
        ("phone", ["+4915123536634", "030 123456", "+4915123536635"]),
    ],
)
def test_one_unusual_text_does_not_leave_the_others(name: str, column: list[str]) -> None:
    assert prepare_column(CATALOG.get(name), column, 65536).left == [1]


def test_nothing_of_a_text_is_shown() -> None:
    assert "Ada" not in repr(prepare_column(NAME, ["Ada"], 65536))


def test_few_new_domains_are_checked_at_once() -> None:
    column = [f"a@d{number}.example.com" for number in range(20)]
    first = len(prepare_column(CATALOG.get("email"), column, 65536).left)
    assert 0 < first < 20
    assert len(prepare_column(CATALOG.get("email"), column, 65536).left) < first
