"""Who must hold a ledger entry, besides the ledger, before its writer may acknowledge it.

Rules:
- `hold` is called with the write lock, by a session that moves `applied`: before its entries are appended, so
  that nothing is durable yet when mirror or witness cannot be used, and after.
- So every entry up to `applied` is held. One that is not, because mirror or witness failed in between, is
  pending: its writer was told of no success, and no later session may finish it before it is held.
- The mirror comes first: what the witness has seen can be found there.
"""

from vault.store.ledger import Ledger
from vault.store.mirror import Mirror
from vault.store.witnessing import Cosigned, Witnessing


class Followers:
    """The mirror and the witness of a ledger, as far as there are any. Closes them."""

    def __init__(self, mirror: Mirror | None, witnessing: Witnessing | None) -> None:
        self._mirror = mirror
        self._witnessing = witnessing

    @property
    def newest(self) -> Cosigned | None:
        """The newest checkpoint that this process had cosigned."""
        return self._witnessing.newest if self._witnessing is not None else None

    @property
    def witnessed(self) -> bool:
        """Whether there is a witness."""
        return self._witnessing is not None

    def ready(self, ledger: Ledger) -> None:
        """Checks that both can be used, and has them hold what is in the ledger already; see `hold`."""
        if self._mirror is not None:
            self._mirror.hold(ledger)
        if self._witnessing is not None:
            self._witnessing.ready(ledger)

    def hold(self, ledger: Ledger) -> None:
        """Returns when both hold the ledger up to its last entry; for the holder of the write lock.

        Raises:
            WitnessUnavailableError: one of them cannot be used now.
            LedgerBehindError: one of them has seen more of this ledger, or another.
        """
        if self._mirror is not None:
            self._mirror.hold(ledger)
        if self._witnessing is not None:
            self._witnessing.hold(ledger)

    def require_going_over(self, ledger: Ledger, public_key: bytes) -> None:
        """Makes sure that the witness, if there is one, will know another key of the ledger.

        Raises:
            WitnessUnavailableError: it will not, or cannot be used now.
        """
        if self._witnessing is not None:
            self._witnessing.require_going_over(ledger, public_key)

    def close(self) -> None:
        """Closes both."""
        if self._mirror is not None:
            self._mirror.close()
        if self._witnessing is not None:
            self._witnessing.close()
