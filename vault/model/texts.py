"""Texts of a batch as the hot path takes and makes them: one string of bytes, cut up on demand."""

from abc import abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from typing import overload


class _Texts(Sequence[str]):
    """A sequence of texts that are cut out one by one."""

    __slots__ = ()

    @abstractmethod
    def _cut(self, at: int) -> str:
        """Text number `at`, from 0 on."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return list(self)[index]
        return self._cut(range(len(self))[index])


class PackedTexts(_Texts):
    """A sequence of texts that are cut out only when somebody looks at them.

    `data` holds them one after the other in UTF-8; `ends` says where each ends in it.
    """

    __slots__ = ("data", "ends")

    def __init__(self, data: bytes, ends: "array[int] | memoryview[int]") -> None:
        self.data = data
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def _cut(self, at: int) -> str:
        return self.data[self.ends[at - 1] if at else 0 : self.ends[at]].decode()

    def __iter__(self) -> Iterator[str]:
        start = 0
        if self.data.isascii():
            text = self.data.decode("ascii")
            for end in self.ends:
                yield text[start:end]
                start = end
            return
        for end in self.ends:
            yield self.data[start:end].decode()
            start = end

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} texts>"


class EvenTexts(_Texts):
    """A sequence of ASCII texts that all have the same width, cut out only when somebody looks at them."""

    __slots__ = ("data", "width")

    def __init__(self, data: bytes, width: int) -> None:
        self.data = data
        self.width = width

    def __len__(self) -> int:
        return len(self.data) // self.width

    def _cut(self, at: int) -> str:
        return self.data[at * self.width : (at + 1) * self.width].decode("ascii")

    def __iter__(self) -> Iterator[str]:
        text, width = self.data.decode("ascii"), self.width
        return (text[at : at + width] for at in range(0, len(text), width))

    def __repr__(self) -> str:
        return f"<{len(self)} texts>"
