"""Packed texts are sequences of texts."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.model.texts import EvenTexts, PackedTexts


@given(st.lists(st.text(max_size=20), max_size=20))
def test_packed_texts_read_as_a_list_does(texts: list[str]) -> None:
    ends = array("I")
    for number in range(len(texts)):
        ends.append(len("".join(texts[: number + 1]).encode()))
    packed = PackedTexts("".join(texts).encode(), ends)
    assert len(packed) == len(texts)
    assert packed == texts
    assert [packed[at] for at in range(-len(texts), len(texts))] == texts + texts
    assert packed[1:3] == texts[1:3]
    assert repr(packed) == f"<{len(texts)} texts>"
    with pytest.raises(IndexError):
        packed[len(texts)]


@given(st.lists(st.text("abc", min_size=4, max_size=4), max_size=20))
def test_even_texts_read_as_a_list_does(texts: list[str]) -> None:
    even = EvenTexts("".join(texts).encode(), 4)
    assert len(even) == len(texts)
    assert list(even) == texts
    assert [even[at] for at in range(-len(texts), len(texts))] == texts + texts
    assert even[1:3] == texts[1:3]
    assert repr(even) == f"<{len(texts)} texts>"
    with pytest.raises(IndexError):
        even[len(texts)]
