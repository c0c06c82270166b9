"""Rows of the index's table `search`, and their notes while an index is made.

    row      keyed hash 16 | entry u8 | customer 6, and no value

`entry` is the number of a field class, 0 for compounds. Equal values of several customers share the hash, so
these rows stand beside each other.
"""

from typing import ClassVar, Final

from vault.store.hashnotes import HASH_BYTES
from vault.store.layout import CUSTOMER_KEY_BYTES
from vault.store.surrogatenotes import SurrogateNotes

PREFIX_BYTES: Final = HASH_BYTES + 1
SEARCH_ROW_BYTES: Final = PREFIX_BYTES + CUSTOMER_KEY_BYTES


class SearchNotes(SurrogateNotes):
    """As those of surrogates, of rows that are all key. Not for use outside this package."""

    table: ClassVar[str] = "search"
    key_bytes: ClassVar[int] = SEARCH_ROW_BYTES
    entry_bytes: ClassVar[int] = SEARCH_ROW_BYTES
    owner: ClassVar[slice] = slice(PREFIX_BYTES, SEARCH_ROW_BYTES)

    def note_keys(self, rows: list[bytes]) -> None:
        """Notes rows of customers behind all that are noted."""
        self.note([(row, b"") for row in rows])
