"""What a serving process knows of the customers whose keys are open.

Rules:
- A hot read compares a customer's row with the bytes that were verified last, and only a difference costs a
  MAC. A shred changes the row, so no entry outlives it.
- What the row says to decisions is worked out when it is verified: `place` and `consents` (`policy.reads`).
  Of a row that does not tell all (SLOW_PATH) `consents` is 0, and `place` holds for the decisions of `serial`
  until `until_ms`; see `situations`.
- Which customer is given up is found by a clock with counters: an entry has up to three uses to its credit,
  the hand takes one at each pass, and gives up who has none left. What was read once goes before what is
  read again and again, and a long scan does not push out the rest. (A. J. Smith, "Sequentiality and
  prefetching in database systems", ACM TODS 3(3), 1978, calls it the generalized clock.)
"""

from dataclasses import dataclass
from typing import Final, Protocol

from vault.policy.reads import CONSENT_BITS, Reads

MOST_USES: Final = 3


@dataclass(slots=True)
class Known:
    """One customer whose key is open, in slot number `slot`; the sealing key lies at `address`."""

    slot: int
    address: int
    generation: int
    locator: bytes
    row: bytes = b""
    place: int = 0
    consents: int = 0
    by_terms: bool = False
    serial: int = 0
    until_ms: int = 0
    uses: int = 0

    def levels(self, reads: Reads) -> bytes:
        """The outcomes that decisions give for this customer, by field class."""
        return reads.of(self.place | self.consents >> reads.consent_shift & CONSENT_BITS)


class Customers(Protocol):
    """Keeps what is known, by region | customer_no (6 bytes). Not thread-safe."""

    def __len__(self) -> int: ...

    def find(self, customer: bytes) -> Known | None:
        """What is known of a customer. Changes count when they are kept."""

    def keep(self, customer: bytes, known: Known) -> None:
        """Keeps what is known of a customer; its slot is nobody else's."""

    def forget(self, customer: bytes) -> None:
        """Forgets a customer that is kept."""

    def oldest(self) -> bytes | None:
        """Who is to be given up next; it is still kept. None if there is nobody."""


class PortableCustomers:
    """`Customers` in Python."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._by_slot: list[bytes | None] = []
        self._hand = 0
        self.find = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, customer: bytes, known: Known) -> None:
        """As `Customers.keep`."""
        missing = known.slot + 1 - len(self._by_slot)
        if missing > 0:
            self._by_slot += [None] * missing
        self._known[customer] = known
        self._by_slot[known.slot] = customer

    def forget(self, customer: bytes) -> None:
        """As `Customers.forget`."""
        self._by_slot[self._known.pop(customer).slot] = None

    def oldest(self) -> bytes | None:
        """As `Customers.oldest`."""
        while self._known:
            customer = self._by_slot[self._hand]
            self._hand = (self._hand + 1) % len(self._by_slot)
            if customer is None:
                continue
            known = self._known[customer]
            if known.uses == 0:
                return customer
            known.uses -= 1
        return None
