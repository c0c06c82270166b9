"""A column prepared at once is what each of its texts is alone."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault.errors import InvalidValueError
from vault.fields.columns import APART, prepare_loose_column
from vault.fields.config import load_field_classes
from vault.fields.preparing import prepare

NAME = load_field_classes({}).get("name")
MOST = 85
words = st.sampled_from(
    [
        "Ada",
        "Zoë",
        "Zoe\u0308",
        "O\u00b4Brien",
        "\u00b4",
        "Straße",
        "ΣΊΣΥΦΟΣ",
        "İstanbul",
        "Ａｄａ",
        "\ufdfa",
        "ﬁ",
    ]
)
texts = st.one_of(
    st.text(max_size=MOST + 5).map(lambda text: text.replace(APART, "")),
    words,
    st.builds("{} {}".format, words, words),
    st.sampled_from(
        ["", " ", "  Ada", "Ada ", "a  b", "a\tb", "a\nb", "\u200bAda", "\x7f", "\u0301", "x" * 100]
    ),
)


@given(st.lists(texts, min_size=1, max_size=12))
@example(["\u0301", "e", "\u0301"])
@example([""])
def test_a_column_is_what_each_text_is_alone(column: list[str]) -> None:
    made = prepare_loose_column(APART.join(column), MOST)
    assert len(made.stored) == len(made.normalized) == len(column)
    for at, text in enumerate(column):
        if at not in made.left:
            assert (made.stored[at].decode(), made.normalized[at]) == prepare(NAME, text)


@given(st.lists(texts, min_size=1, max_size=12))
def test_what_is_refused_or_empty_or_long_is_left(column: list[str]) -> None:
    made = prepare_loose_column(APART.join(column), MOST)
    for at, text in enumerate(column):
        try:
            unusual = len(text) > MOST or not prepare(NAME, text).stored
        except InvalidValueError:
            unusual = True
        if unusual:
            assert at in made.left


@pytest.mark.parametrize("column", [["Ada", "Zoë"], ["ada lovelace"] * 3, ["Αθήνα", "東京", "Ada"]])
def test_usual_texts_are_not_left(column: list[str]) -> None:
    assert not made_left(column)


def test_one_unusual_text_does_not_leave_the_others() -> None:
    assert list(made_left(["Ada", " Grace", "Zoë"])) == [1]


def made_left(column: list[str]) -> list[int]:
    return list(prepare_loose_column(APART.join(column), MOST).left)
