"""What is handed to the compiled loop and back: decisions to look up, and all that was found in one piece.

Addresses are numbers here, so that `native` writes a whole job at once.
"""

from array import array
from collections.abc import Sequence
from typing import Final

from vault.hotpath.loop import Groups
from vault.model.texts import PackedTexts
from vault.policy.reads import Reads

_HASH: Final = 0x9E3779B1


class NativeFound:
    """`Found`, cut out of what the loop laid one after the other; see `gather` in `loop.c`."""

    __slots__ = ("_classes_at", "_heads", "_whole", "grouped", "missed", "outcomes", "taken", "texts")

    def __init__(self, whole: bytes, count: int, heads: int, missed: int, grouped: int, taken: int) -> None:
        heads_at = 4 * count
        missed_at = heads_at + 4 * heads
        outcomes_at = missed_at + 4 * missed
        self._classes_at = classes_at = outcomes_at + count
        groups_at = classes_at + count
        texts_at = groups_at + grouped
        numbers = memoryview(whole)[:outcomes_at].cast("I")
        self._whole = whole
        self.outcomes = whole[outcomes_at:classes_at]
        self._heads = numbers[count : count + heads]
        self.grouped = whole[groups_at:texts_at]
        self.texts = PackedTexts(whole[texts_at:], numbers[:count])
        self.missed: Sequence[int] = numbers[count + heads :] if missed else ()
        self.taken = taken

    @property
    def classes(self) -> bytes:
        """Field class of each token."""
        return self._whole[self._classes_at : self._classes_at + len(self.outcomes)]

    @property
    def groups(self) -> Groups:
        """The groups, one by one."""
        return Groups(self.grouped, self._heads)

    def __repr__(self) -> str:
        return f"<{len(self.outcomes)} secrets>"


class Decisions:
    """A `Reads` as the loop looks it up: by a hash table of places, open addressing.

    Attributes:
        given: addresses of places, numbers and verdicts, and the mask of places.
    """

    def __init__(self) -> None:
        self.size = -1
        self.given = 0, 0, 0, 0
        self._held = array("I"), array("H"), array("B")  # what the addresses are of

    def renew(self, reads: Reads) -> None:
        """Takes over what was worked out by now."""
        self.size = len(reads.numbers)
        bits = max(3, (2 * self.size).bit_length())
        mask = (1 << bits) - 1
        places, numbers = array("I", bytes(4 << bits)), array("H", bytes(2 << bits))
        for place, number in reads.numbers.items():
            at = (place * _HASH & 0xFFFFFFFF) & mask
            while places[at]:
                at = at + 1 & mask
            places[at], numbers[at] = place + 1, number
        verdicts = array("B", reads.tables)
        self._held = places, numbers, verdicts
        self.given = places.buffer_info()[0], numbers.buffer_info()[0], verdicts.buffer_info()[0], mask
