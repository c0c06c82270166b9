"""The loop of detokenization, as the rest of the hot path sees it: deciphered tokens in, values out.

It exists twice. `loop.c` is compiled when the vault is installed and a C compiler is there (`native`);
`portable` is the same loop in Python, for every other machine. Tests hold the two equal.

    block   region u8 | domain u8 | customer_no u40 | value_no u24 | six bytes   (a deciphered token)
    group   locator 16 | count u16 | items; item: value_no u24 | field_class u8 | outcome u8

Token by token, in order:
- One of another region, or of a domain that the caller is not in, is TOKEN_UNKNOWN, as a guess is.
- Where another customer begins, its row is read. If it is not byte for byte the one that was verified last,
  `Helper.admit` has to let the customer in, or names the reason for all of its tokens.
- The outcome is looked up in the table of the customer's place, by the record's field class.
- While the values have taken less than `room` bytes, a record that is of the configured suite and of its
  customer's generation, and is neither a tombstone nor an alias, is opened; every other, and one that does
  not open, goes to `Helper.unusual`. Whoever expired, is EXPIRED.
- A value to be masked comes back as it is, and takes of the room what its mask does.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Final, Protocol, overload

from vault.audit.records import LOCATOR_BYTES, reason_code
from vault.errors import Reason
from vault.hotpath.known import Customers, Known
from vault.policy.decision import DENIALS
from vault.policy.reads import Reads
from vault.store.snapshot import Snapshot

BLOCK_BYTES: Final = 16
MASK_GROWTH: Final = 8  # a mask is never longer than so many times its value and a byte more
TOKEN_UNKNOWN: Final = reason_code(Reason.TOKEN_UNKNOWN)
REPLY_FULL: Final = reason_code(Reason.REPLY_FULL)
EXPIRED: Final = reason_code(Reason.EXPIRED)
DENIAL_CODES: Final = {verdict: reason_code(reason) for verdict, reason in DENIALS.items()}


class Groups(Sequence[bytes]):
    """The groups of a batch, one for each run of a customer's tokens, joined in `data`."""

    __slots__ = ("_heads", "data")

    def __init__(self, data: bytes, heads: Sequence[int]) -> None:
        self.data = data
        self._heads = heads

    def __len__(self) -> int:
        return len(self._heads)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return list(self)[index]

    def __iter__(self) -> Iterator[bytes]:
        ends = chain(islice(self._heads, 1, None), (len(self.data),))
        return (self.data[head:end] for head, end in zip(self._heads, ends, strict=False))

    def locators(self) -> list[bytes]:
        """The locators of the groups."""
        data = self.data
        return [data[head : head + LOCATOR_BYTES] for head in self._heads]


class Found(Protocol):
    """What tokens have come to; all sequences but `groups` and `missed` are parallel to them."""

    @property
    def texts(self) -> Sequence[str]:
        """The values; "" where nothing is revealed."""
        ...

    @property
    def outcomes(self) -> bytes:
        """PLAIN, MASKED or a reason's code."""
        ...

    @property
    def classes(self) -> bytes:
        """Field class numbers; 0 where there is no record."""
        ...

    @property
    def groups(self) -> Groups:
        """The groups, one by one."""
        ...

    @property
    def grouped(self) -> bytes:
        """The groups, joined as they stand in the access record."""
        ...

    @property
    def missed(self) -> Sequence[int]:
        """Tokens in no group, by their number: nothing is known of a customer."""
        ...

    @property
    def taken(self) -> int:
        """Bytes of the room; where values are to be masked, that many at most."""
        ...


class Helper(Protocol):
    """What a loop leaves to others, for one batch."""

    def admit(self, customer: bytes) -> int:
        """Lets a customer (6 bytes) in, with its row as it is now: 0, or the code of the reason why not."""

    def judge(self, customer: bytes) -> None:
        """Sets the place of a known customer whose terms decide."""

    def unusual(self, known: Known, key: bytes, levels: bytes, *, full: bool) -> tuple[int, int, str]:
        """Field class, outcome and text of the record at `key` (9 bytes).

        `levels` are the outcomes by field class; no value may be revealed if the reply is `full`.
        """

    def masked(self, field_class: int, text: str) -> str:
        """The mask of a value."""


class ReadLoop(Protocol):
    """Finds and opens what tokens stand for. One batch at a time; `read` between `begin` and `end`."""

    @property
    def customers(self) -> Customers:
        """What it knows."""
        ...

    @property
    def lookups(self) -> int:
        """How many rows and records it has looked for in the store."""
        ...

    def begin(self, snapshot: Snapshot) -> bool:
        """Begins a batch, at the moment of `snapshot`; False if it is too late for that one."""

    def read(
        self,
        blocks: bytes,
        domains: Collection[int],
        reads: Reads,
        room: int,
        now_ms: int,
        helper: Helper,
    ) -> Found:
        """What tokens come to.

        Args:
            blocks: deciphered tokens, 16 bytes each.
            domains: in which the caller is, by number.
            reads: the decisions.
            room: bytes that the values may take.
            now_ms: the time to judge by.
            helper: does what is not usual.
        """

    def end(self) -> None:
        """Ends the batch, and wipes what it held of values."""

    def close(self) -> None:
        """Gives everything back."""
