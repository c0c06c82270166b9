"""What is told of values without the values: one of these for each item, in order."""

from dataclasses import dataclass

from customervault.errors import VaultError


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """A join key of a domain, the generation of its key, or the error that stands in its place."""

    text: str
    generation: int
    error: VaultError | None = None

    def get(self) -> str:
        """The pseudonym.

        Raises:
            VaultError: Why there is none.
        """
        if self.error is not None:
            raise self.error
        return self.text


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two values are equal, or the error that stands in its place."""

    equal: bool
    error: VaultError | None = None

    def get(self) -> bool:
        """Whether they are equal.

        Raises:
            VaultError: Why it is not told.
        """
        if self.error is not None:
            raise self.error
        return self.equal


@dataclass(frozen=True, slots=True)
class Derived:
    """An answer that follows from a value, or the error that stands in its place."""

    answer: str | bool | None
    error: VaultError | None = None

    def get(self) -> str | bool:
        """The answer.

        Raises:
            VaultError: Why there is none.
        """
        if self.error is not None:
            raise self.error
        if self.answer is None:
            raise VaultError("the vault answered in a form that this client does not know")
        return self.answer
