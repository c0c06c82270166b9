"""Masks never cut a grapheme, judged by an implementation of UAX #29 that masks do not use.

`vault.fields.masking` finds graphemes with the library `regex`; here `uniseg` judges, which has its own
rules and its own tables of the Unicode database.
"""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uniseg.graphemecluster import grapheme_clusters

from vault.fields import FieldClass, MaskStyle, load_field_classes, mask

LITERALS = set("•@.+-, ")
CLASSES = load_field_classes(
    {f"style_{style}": {"kind": "note", "mask": style} for style in map(str, MaskStyle)}
)

# What makes clusters: marks, joiners, prepended marks, regional indicators, emoji with skin tones and
# tags, Hangul letters, conjuncts of Indic scripts, variation selectors, and line ends.
PARTS = [
    "a", "Z", "0", "9", "•", " ", "\t", "\r", "\n", "\u3000", "@", ".", ",", "+", "-",
    "\u0301", "\u0308", "\u0489", "\u0e33", "\u0eb3", "\u200d", "\u200c", "\u2060", "\ufe0f", "\ufe0e",
    "\u0600", "\u06dd", "\u070f", "\U000110bd", "\u0d4e",
    "\U0001f1e9", "\U0001f1ea", "\U0001f1eb", "👩", "👧", "🏽", "❤", "🏴", "\U000e0067", "\U000e007f",
    "\u1100", "\u1161", "\u11a8", "각", "가",
    "क", "ष", "\u094d", "\u093c", "\u093f", "ক", "\u09cd", "ത", "\u0d4d", "က", "\u1039", "क्ष",
    "王", "用", "é", "e\u0301",
]  # fmt: skip
assigned = st.characters(exclude_categories=("Cs", "Cn", "Co"))
awkward = st.lists(st.one_of(st.sampled_from(PARTS), st.sampled_from(PARTS), assigned), max_size=24).map(
    "".join
)
shaped = st.one_of(
    awkward,
    st.lists(st.sampled_from(PARTS), max_size=24).map("".join),
    st.builds("{}@{}.{}".format, awkward, awkward, awkward),
    st.builds("{},{},{}".format, awkward, awkward, awkward),
    st.builds("{} {} {}".format, awkward, awkward, awkward),
)


@given(st.sampled_from(list(CLASSES)), shaped)
@settings(max_examples=1500)
@example(CLASSES.get("style_initials"), "क्ष त्र")
@example(CLASSES.get("style_initials"), "👩🏽‍🦰x 🇩🇪🇫🇷")
@example(CLASSES.get("style_last_two"), "abcd\u0600e\u0301")
@example(CLASSES.get("style_last_part"), "a,b,\u0301c")
@example(CLASSES.get("style_email"), "e\u0301a@क्षb.भारत")
def test_a_mask_shows_whole_graphemes_only(field_class: FieldClass, stored: str) -> None:
    of_value = set(grapheme_clusters(stored))
    shown = {cluster for cluster in grapheme_clusters(mask(field_class, stored)) if cluster not in LITERALS}
    assert shown <= of_value


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301",
        "👩‍👩‍👧",
        "👩🏽",
        "🇩🇪",
        "각",
        "\u1100\u1161\u11a8",
        "क्ष",
        "นิ",
        "❤️",
        "🏴\U000e0067\U000e0062\U000e007f",
    ],
)
def test_both_implementations_take_it_for_one_grapheme(cluster: str) -> None:
    assert list(grapheme_clusters(cluster)) == [cluster]
    assert unicodedata.normalize("NFC", mask(CLASSES.get("style_initials"), f"{cluster}x")) == (
        unicodedata.normalize("NFC", f"{cluster}•••")
    )
