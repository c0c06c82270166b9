"""Entries of a batch as columns, as a bulk import sends them: no object for each value.

Rules:
- A place is a field class and a label. The values of one place stand in one text, in the order of their
  entries and one NUL apart, so that they can be looked at all at once. A value that holds NUL, which no value
  may, never comes in columns.
- Every customer is named by an external id, and no field brings a surrogate.
- As a sequence it is the entries that it stands for.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Final, NamedTuple, TypeVar, overload

from vault.model.requests import CustomerRef, Entry, field_input
from vault.model.secret import Secret

APART: Final = "\0"
Item = TypeVar("Item")


class PackedParts(NamedTuple):
    """Parts of a request's body, one after the other, for its fingerprint.

    Attributes:
        number: How many.
        lengths: Of each, in characters: 8 bytes, little-endian.
        texts: All of them in UTF-8.
    """

    number: int
    lengths: bytes
    texts: bytes

    def __repr__(self) -> str:
        return f"<{self.number} parts>"


@dataclass(frozen=True, slots=True)
class EntryColumns(Sequence[Entry]):
    """The entries.

    Attributes:
        places: Field class and label of each column.
        columns: The values of each, joined.
        at: For each field, in the order of the entries, the number of its place.
        ends: Where the fields of each entry end in `at`.
        external_ids: Of the entries, joined.
        jurisdictions: Of the entries, joined.
        parts: The entries' share in the body of the request.
    """

    places: Sequence[tuple[str, str]]
    columns: Sequence[str] = field(repr=False)
    at: bytes
    ends: "array[int]" = field(repr=False)
    external_ids: str = field(repr=False)
    jurisdictions: str = field(repr=False)
    parts: PackedParts = field(repr=False)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def spans(self) -> Iterator[tuple[int, int]]:
        """Where the fields of each entry begin and end in `at`."""
        return pairwise(chain((0,), self.ends))

    def ordered(self, columns: Sequence[Sequence[Item]]) -> list[Item]:
        """Items that stand in columns as the values do, in the order of the fields."""
        nexts = [iter(column).__next__ for column in columns]
        return [nexts[place]() for place in self.at]

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return list(self)[index]

    def __iter__(self) -> Iterator[Entry]:
        values = self.ordered([column.split(APART) for column in self.columns])
        places = [self.places[place] for place in self.at]
        names = zip(self.external_ids.split(APART), self.jurisdictions.split(APART), self.spans, strict=True)
        for external_id, jurisdiction, (start, end) in names:
            fields = [
                field_input((field_class, Secret(value), label, None))
                for (field_class, label), value in zip(places[start:end], values[start:end], strict=True)
            ]
            yield Entry(CustomerRef(external_id=Secret(external_id)), fields, jurisdiction)
