"""Whether an issued token may be followed to its value, and which of a batch have to be used up for it.

Rules:
- A token of another principal, or of a domain that the caller is not in, is looked at no further: its reason
  goes to the access log, and the caller is told what a guess is told.
- How a token ended is said before anything of its value.
- One for a single use is followed only after its use is durable. So a batch that comes upon one opens it like
  all others, drops what it has, and begins anew when the use is written (`UnusedError`). Nothing has left the
  process by then, and nothing is in the access log.
- Twice in one batch is one use too many.
- Where no value is revealed, a token for a single use is not followed at all: QUESTION_UNFIT. It stays
  unused.
"""

from typing import Final

from vault.errors import Reason
from vault.store.aliases import Alias, AliasState

_ENDS: Final = {
    AliasState.USED: Reason.TOKEN_USED,
    AliasState.REVOKED: Reason.TOKEN_REVOKED,
    AliasState.EXPIRED: Reason.EXPIRED,
    AliasState.TARGET_DELETED: Reason.VALUE_DELETED,
}


class UnusedError(Exception):
    """A batch would reveal what tokens for a single use stand for: use them up, and begin anew."""

    def __init__(self, keys: frozenset[bytes]) -> None:
        super().__init__("tokens for a single use")
        self.keys = keys


class Follower:
    """Follows the issued tokens of one batch. Keys are value keys (9 bytes) of aliases."""

    __slots__ = ("_domains", "_met", "_now_ms", "_principal_id", "_used", "_uses")

    def __init__(
        self, principal_id: int, domains: frozenset[int], now_ms: int, used: frozenset[bytes] | None
    ) -> None:
        """`used` are those that were used up for this batch, for this principal of these domains.

        None for a batch that uses none up.
        """
        self._principal_id = principal_id
        self._domains = domains
        self._now_ms = now_ms
        self._uses = used is not None
        self._used = used or frozenset()
        self._met: set[bytes] = set()

    def refusal(self, key: bytes, alias: Alias, removed: bool) -> Reason | None:
        """Why an alias is not followed; None if it is."""
        if alias.principal_id not in (0, self._principal_id) or alias.domain not in self._domains:
            return Reason.TOKEN_BOUND
        if key in self._met:
            return Reason.TOKEN_USED
        if alias.state is AliasState.USED and key in self._used and not removed:
            return None
        end = _ENDS.get(alias.state)
        if end is None and alias.expired(self._now_ms):
            return Reason.EXPIRED
        return Reason.QUESTION_UNFIT if end is None and alias.max_uses and not self._uses else end

    def followed(self, key: bytes, alias: Alias) -> None:
        """Notes that the value of an alias is to be revealed."""
        if alias.max_uses:
            self._met.add(key)

    def require_used(self) -> None:
        """Raises UnusedError where tokens for a single use have to be used up first."""
        if not self._met <= self._used:
            raise UnusedError(frozenset(self._met - self._used))
