"""A box for plaintext and key bytes on their way through the program.

CPython cannot wipe them; the box only keeps them out of logs, tracebacks, pickles and comparisons.
"""

from typing import NoReturn


class Secret:
    """Text or bytes whose repr shows nothing; `reveal` is the one way to them."""

    __slots__ = ("_content",)

    def __init__(self, content: str | bytes) -> None:
        self._content = content

    def reveal(self) -> str:
        """The content as text (bytes are read as UTF-8)."""
        return self._content if isinstance(self._content, str) else self._content.decode()

    def reveal_bytes(self) -> bytes:
        """The content as bytes (text is written as UTF-8)."""
        return self._content if isinstance(self._content, bytes) else self._content.encode()

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("secrets are not compared with ==")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")
