"""One batch on its way through the hot path, and what the path takes from outside."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple, Protocol

from vault.errors import Reason
from vault.hotpath.issued import Follower
from vault.policy.decision import Grants
from vault.store.snapshot import Snapshot


class Foreign(Protocol):
    """Finds what texts stand for that are no tokens."""

    reasons: dict[int, Reason]  # why those of these indexes are not found

    def __call__(self, texts: Sequence[tuple[int, str]]) -> Mapping[int, bytes]:
        """The blocks of those that it knows, by their index."""


class Budgets(Protocol):
    """Counts whom principals read."""

    def charge(
        self, grants: Grants, purpose: str, locators: Sequence[bytes], groups: Sequence[bytes]
    ) -> None:
        """Counts the customers of a batch's groups, or raises BudgetExceededError; see `core.budgets`."""

    def compare(self, grants: Grants, locators: Set[bytes]) -> None:
        """Counts customers with whose values others are compared, or raises BudgetExceededError."""


class Batch(NamedTuple):
    """One call's tokens, when it is their turn."""

    grants: Grants
    tokens: Sequence[str]
    blocks: bytes  # what they decipher to, 16 bytes each; zeros where they are no tokens
    known: Mapping[int, Reason]  # why foreign texts are not found
    now_ms: int
    snapshot: Snapshot
    issued: Follower
