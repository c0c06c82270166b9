"""Kinds without a form of their own: names, addresses, notes, identifiers.

People's names know no rules, so none are checked beyond those of every text.
"""

from vault.fields.text import Prepared, comparable, prepared


def prepare_loose(text: str) -> Prepared:
    """Names and addresses: case, width and spacing make no difference."""
    return prepared((text, comparable(text)))


def prepare_exact(text: str) -> Prepared:
    """Notes and identifiers: every difference counts."""
    return Prepared(text, text.encode())
