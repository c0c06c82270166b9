"""Tags: what they may be made of, and what looks like personal data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import TagRefusedError
from vault.fields.tags import MOST_TAGS, parse_tag, parse_tags, read_tags

KEYS = st.from_regex(r"[a-z][a-z-]{0,31}", fullmatch=True)  # too few kinds for an address in disguise
VALUES = st.from_regex(r"[A-Z_.:]{1,20}", fullmatch=True)


@given(st.dictionaries(KEYS, VALUES, max_size=MOST_TAGS))
def test_tags_come_back_as_they_went(tags: dict[str, str]) -> None:
    parsed = parse_tags(tags)
    assert [tag.split(b"=")[0].decode() for tag in parsed] == sorted(tags)
    assert read_tags(parsed) == tags


@pytest.mark.parametrize("value", ["v1", "2026-11", "TICKET-123456", "a" * 64, "x:y_z.w-1", "123456"])
def test_what_is_a_value(value: str) -> None:
    assert parse_tag("key", value) == f"key={value}".encode()


@pytest.mark.parametrize(
    ("key", "value", "looks_like"),
    [
        ("", "v", "no_key"),
        ("K", "v", "no_key"),
        ("1k", "v", "no_key"),
        ("k=", "v", "no_key"),
        ("k" * 33, "v", "no_key"),
        ("k\n", "v", "no_key"),
        ("ü", "v", "no_key"),
        ("k", "", "no_value"),
        ("k", "a" * 65, "no_value"),
        ("k", "a b", "no_value"),
        ("k", "a=b", "no_value"),
        ("k", "a\n", "no_value"),
        ("k", "a\0", "no_value"),
        ("k", "é", "no_value"),
        ("k", "\ud800", "no_value"),
        ("k", "x" * 1_000_000, "no_value"),
        ("k", "ann@lee.org", "email"),
        ("ann@lee.org", "v", "email"),
        ("k", "ann_at_lee.org", "email"),
        ("k", "ann-at-lee-dot-org", "email"),
        ("k", "+44 20 7183 8750", "number"),
        ("k", "0207-183-8750", "number"),
        ("k", "0043.1.7183875", "number"),
        ("k", "4111-1111-1111-1111", "number"),
        ("k", "1980-12-31", "number"),
        ("k", "x31.12.1980", "number"),
        ("k1234567", "v", "number"),
        ("k", "GB82-WEST-1234-5698-7654-32", "iban"),
        ("k", "gb82west12345698765432", "iban"),
        ("k", "MT84MALT011000012345MTLCAST001S", "iban"),
    ],
)
def test_what_is_refused_and_never_repeated(key: str, value: str, looks_like: str) -> None:
    with pytest.raises(TagRefusedError) as refused:
        parse_tag(key, value)
    assert refused.value.details["looks_like"] == looks_like
    for text in (key, value):
        assert len(text) < 4 or text not in f"{refused.value}{refused.value.details}"


def test_there_are_so_many_and_no_more() -> None:
    with pytest.raises(TagRefusedError) as refused:
        parse_tags({f"k{number}": "v" for number in range(MOST_TAGS + 1)})
    assert refused.value.details["looks_like"] == "too_many"


@given(st.text(), st.text())
def test_any_text_is_a_tag_or_refused(key: str, value: str) -> None:
    try:
        tag = parse_tag(key, value)
    except TagRefusedError:
        return
    assert tag.decode("ascii") == f"{key}={value}"
    assert len(tag) <= 97
