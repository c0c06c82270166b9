"""Lets concurrent reads of single tokens travel as one batch. Pure: no threads, no clock, no network.

Rules:
- Only calls that would send the same request but for the token share a batch: same purpose,
  reveal, basis and domain of surrogates. The domain of a token is in it, and the principal in the connection.
- A read that finds nothing in flight is sent at once. While a batch is in flight, reads gather. They
  leave when nothing is in flight any more; also when they have filled a batch, or after a
  millisecond, while fewer batches are in flight than the client has connections.
- A batch runs under the deadline of its earliest read.
- Each read keeps its own answer. Where the vault refuses a batch as a whole for what it holds, every
  read is sent again by itself, so that no caller gets an error that another one caused.
- Texts that cannot be tokens are never put beside others.

What runs the batches, `_sync/coalescing.py` and `_async/coalescing.py`, differs only in how it waits.
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from customervault.errors import (
    ClosedError,
    DeadlineExceededError,
    LedgerBehindError,
    UnavailableError,
    VaultError,
)
from customervault.values import LawfulBasis, Reveal

GATHER_SECONDS = 0.001
_TOKEN = re.compile(r"[!-~]{1,128}\Z")

# A purpose, a reveal, the stated lawful basis, and the domain of surrogates.
Kind = tuple[str, Reveal, LawfulBasis | None, str]


class Gathering(Protocol):
    """A read that waits; `gathered` is the time at which it has waited long enough."""

    gathered: float


Waiter = TypeVar("Waiter", bound=Gathering)


@dataclass(slots=True)
class Gate(Generic[Waiter]):
    """The reads of one kind.

    Attributes:
        most: Reads in a batch.
        parallel: Batches in flight, beyond which reads wait for one to come back.
        in_flight: Batches under way.
        waiting: Reads to be sent, in the order of their arrival.
    """

    most: int
    parallel: int
    in_flight: int = 0
    waiting: list[Waiter] = field(default_factory=list)

    def may_leave(self, now: float) -> bool:
        """Whether those who wait are to be sent now."""
        if not self.waiting or self.in_flight == 0:
            return bool(self.waiting)
        long_enough = len(self.waiting) >= self.most or now >= self.waiting[0].gathered
        return self.in_flight < self.parallel and long_enough

    def take(self) -> list[Waiter]:
        """The next batch, which counts as in flight from now on."""
        batch, self.waiting = self.waiting[: self.most], self.waiting[self.most :]
        self.in_flight += 1
        return batch


def single(tokens: Sequence[str] | str) -> str | None:
    """The one token of a call that may share a batch; None for any other call."""
    if not isinstance(tokens, str):
        if len(tokens) != 1:
            return None
        tokens = tokens[0]
    return tokens if isinstance(tokens, str) and _TOKEN.match(tokens) else None


def concerns_all(error: VaultError) -> bool:
    """Whether a batch that failed like this failed for a reason that is not in one of its reads."""
    return isinstance(
        error, UnavailableError | DeadlineExceededError | ClosedError | LedgerBehindError
    ) or error.code in ("UNAVAILABLE", "ABORTED", "CANCELLED", "INTERNAL", "UNKNOWN", "UNAUTHENTICATED")


def own_copy(error: BaseException) -> BaseException:
    """The same error for another caller: raised twice, one object would mix their tracebacks."""
    return copy.copy(error).with_traceback(None)
