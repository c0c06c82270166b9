"""Revealed values, kept from leaking by accident.

Rules:
- No repr, str or format shows a value; it comes out by `Value.get()` and `Values.plain_list()` only.
- Neither type can be pickled or copied, so a value does not slip into a cache or a queue.
- The order is that of the tokens asked for. A failed item raises its error when it is opened.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, SupportsIndex, overload

from customervault.errors import VaultError

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]
Reveal = Literal["best", "plain", "masked"]
RevealLevel = Literal["plain", "masked"]
Decision = Literal["plain", "masked", "denied"]
QuestionKind = Literal["age_over", "country", "email_domain", "postcode_area", "card_bin"]
Answer = Literal["pseudonym", "compare"] | QuestionKind
TokenForm = Literal["by_class", "token", "surrogate"]

_RAISE: Any = object()


class _Guarded:
    """Refuses pickling and copying."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds personal data and cannot be pickled or copied")


class Value(_Guarded):
    """One revealed value, or the error that stands in its place."""

    __slots__ = ("_text", "error", "reveal_level")

    def __init__(self, text: str, reveal_level: RevealLevel | None, error: VaultError | None) -> None:
        self._text = text
        self.reveal_level = reveal_level
        self.error = error

    @property
    def ok(self) -> bool:
        """Whether `get` returns."""
        return self.error is None

    def get(self) -> str:
        """The text, plain or masked as `reveal_level` says.

        Raises:
            VaultError: Why this item was not revealed.
        """
        if self.error is not None:
            raise self.error
        return self._text

    def __repr__(self) -> str:
        return f"<failed value, {self.error.reason}>" if self.error else f"<{self.reveal_level} value>"


class Values(_Guarded, Sequence[Value]):
    """Revealed values in the order of their tokens."""

    __slots__ = ("_errors", "_levels", "_texts")

    def __init__(
        self,
        texts: Sequence[str],
        levels: Sequence[RevealLevel | None],
        errors: Mapping[int, VaultError],
    ) -> None:
        self._texts = texts
        self._levels = levels
        self._errors = errors

    @property
    def ok(self) -> bool:
        """Whether every item was revealed."""
        return not self._errors

    @property
    def errors(self) -> dict[int, VaultError]:
        """Failed items by their position."""
        return dict(self._errors)

    def plain_list(self, default: str = _RAISE) -> list[str]:
        """All texts as bare strings, masked ones included.

        Args:
            default: Stands for failed items; without it the first failure is raised.

        Raises:
            VaultError: An item failed and there is no default.
        """
        if not self._errors:
            return list(self._texts)
        if default is _RAISE:
            raise self._errors[min(self._errors)]
        return [default if index in self._errors else text for index, text in enumerate(self._texts)]

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> "Values": ...
    def __getitem__(self, index: int | slice) -> "Value | Values":
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return Values(
                [self._texts[at] for at in chosen],
                [self._levels[at] for at in chosen],
                {new: self._errors[at] for new, at in enumerate(chosen) if at in self._errors},
            )
        at = range(len(self))[index]
        return Value(self._texts[at], self._levels[at], self._errors.get(at))

    def __repr__(self) -> str:
        failed = f", {len(self._errors)} failed" if self._errors else ""
        return f"<{len(self)} value{'' if len(self) == 1 else 's'}{failed}>"
