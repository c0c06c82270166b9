"""From digests to rows."""

import pytest

from vault.core.searchindex import (
    SearchPlan,
    compound_head,
    digest_of,
    pairs_of,
    value_message,
)
from vault.fields import DEFAULT_FIELDS
from vault.store.sheet import SheetField

A, B, C = (bytes((letter,)) * 16 for letter in b"abc")
PLAN = SearchPlan(frozenset({3}), ((compound_head("person"), (5, 2)),))


def test_a_digest_is_of_class_and_form() -> None:
    email, note = DEFAULT_FIELDS.get("email"), DEFAULT_FIELDS.get("note")
    assert digest_of(email, b"ada@example.org").hex() == "1087ec06ea1133bce45800a91e9e7284"
    assert digest_of(note, b"ada@example.org") != digest_of(email, b"ada@example.org")


def test_values_and_combinations_lead_to_a_customer() -> None:
    pairs = [(2, A), (2, B), (3, C), (5, C), (9, A)]
    head = b"compound\0person\0"
    assert PLAN.messages(pairs) == [(3, b"value\0\3" + C), (0, head + C + A), (0, head + C + B)]
    assert PLAN.combinations(pairs) == 2


def test_equal_values_lead_to_a_customer_once() -> None:
    assert PLAN.messages([(3, A), (3, A)]) == [value_message(3, A)]


@pytest.mark.parametrize("pairs", [[], [(2, A)], [(5, A)]])
def test_a_compound_takes_all_its_fields(pairs: list[tuple[int, bytes]]) -> None:
    assert PLAN.messages(pairs) == []
    assert PLAN.combinations(pairs) == 0


def test_lines_without_a_digest_are_not_searched() -> None:
    assert pairs_of([SheetField(1, 3, bytes(16), A), SheetField(2, 3, bytes(16))]) == [(3, A)]
