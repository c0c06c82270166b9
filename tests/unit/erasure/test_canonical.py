import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.erasure.canonical import MAX_INTEGER, canonical, read_canonical
from vault.errors import IntegrityFailedError

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_a_document_has_one_form_that_reads_as_the_document(document: object) -> None:
    form = canonical(document)  # type: ignore[arg-type]
    assert json.loads(form) == document
    assert read_canonical(form) == document
    assert canonical(json.loads(form)) == form


def test_the_example_of_rfc_8785_on_sorting_and_escapes() -> None:
    # Section 3.2.3: sorted by UTF-16 code units, so the emoji stands before U+FB33.
    names = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(names))) == order  # type: ignore[arg-type]
    # Section 3.2.2.2
    assert canonical('\u20ac$\u000f\nA\'B"\\\\"/') == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()


@pytest.mark.parametrize("document", [1.5, 2**53, -(2**53), "\ud800", {"a": {"b": 0.0}}, b"bytes", (1, 2)])
def test_what_has_no_canonical_form(document: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - a codec's error is one, too
        canonical(document)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form",
    [
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"\\u0061":1}',
        b'{"a":1.0}',
        b'{"a":1e0}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\/"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a":"\xff"}',
        b"",
        b"[" * 100_000,
        b"1" * 10_000,
    ],
    ids=lambda form: repr(form[:24]),
)
def test_every_other_writing_is_refused(form: bytes) -> None:
    with pytest.raises(IntegrityFailedError):
        read_canonical(form)
