"""Which cores serve and which send: never the same ones, where there are two.

With two cores each side has one; with more the client has a third of them, as it does less for each value.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Core numbers, ascending."""

    servers: tuple[int, ...]
    clients: tuple[int, ...]

    @classmethod
    def of_machine(cls) -> "Cores":
        """The cores that this process may use, divided."""
        usable = sorted(os.sched_getaffinity(0))
        sending = max(1, len(usable) // 3)
        return cls(tuple(usable[:-sending] or usable), tuple(usable[-sending:]))

    @property
    def server(self) -> set[int]:
        """The one core of a server with one worker."""
        return {self.servers[0]}

    @property
    def client(self) -> set[int]:
        """Where clients run."""
        return set(self.clients)


@contextmanager
def confined(cores: set[int]) -> Iterator[None]:
    """This thread runs on `cores` meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
