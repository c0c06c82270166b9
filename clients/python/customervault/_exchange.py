"""A verb of the API as a dialogue, free of any transport.

An exchange is a generator: it yields a `Request`, is sent the reply or thrown the `VaultError`, and
returns the caller's answer. `Vault` and `AsyncVault` drive the same exchanges, so neither can say
something that the other does not.
"""

import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

Answer = TypeVar("Answer")
Item = TypeVar("Item")

Exchange = Generator["Request", Any, Answer]
# One page of a listing: its items, and the token of the next page (empty at the end).
Page = tuple[Sequence[Item], str]


class Replied(Protocol):
    """The type of a reply: a message's, or of what reads one in another way."""

    def FromString(self, content: bytes, /) -> Any:  # noqa: N802 - as of a message
        """Reads a reply.

        Raises:
            DecodeError: It is none.
        """


@dataclass(frozen=True, slots=True)
class Request:
    """One unary call: `/package.Service/Method`, its message (never shown) and the type of the reply."""

    path: str
    message: Message = field(repr=False)
    reply_type: Replied


def request_id_or_new(request_id: str | None) -> str:
    """The caller's id, else a new UUID; made once per exchange, so every attempt carries the same."""
    return request_id or str(uuid.uuid4())


def request_id_of_batch(request_id: str, batch: int) -> str:
    """A batch's own id, derived so that repeating the whole split call repeats each id.

    The first batch keeps the id itself: a call that needs no splitting sends what it was given.
    """
    return request_id if batch == 0 else str(uuid.uuid5(_BATCHES, f"{request_id}/{batch}"))


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of at most `size`."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


_BATCHES = uuid.UUID("6f1b4a0e-54d0-4c0e-9d5e-0f4b2b0b7c11")
