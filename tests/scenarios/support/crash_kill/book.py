"""What the vault was asked and what it acknowledged, customer by customer.

Each customer is written by one thread, one request after the other, so at any moment only the last
request may be unanswered. `values` are as acknowledged; the unanswered request is `pending`.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Write:
    """A request that may have to be sent again, with the same id and content."""

    verb: str  # create, store, update, rotate, shred
    fields: Mapping[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    shred_id: str = ""


@dataclass(slots=True)
class Subject:
    """One customer, as its callers know it."""

    external_id: str
    tokens: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    pending: Write | None = None
    created_by: Write | None = None
    shredded_by: Write | None = None

    @property
    def exists(self) -> bool:
        """Whether its creation was acknowledged."""
        return bool(self.tokens)

    def may_read(self, field_class: str) -> set[str | None]:
        """What reading one of its tokens may give; None stands for SHREDDED."""
        if self.shredded_by is not None:
            return {None}
        allowed: set[str | None] = {self.values[field_class]}
        if self.pending is not None:
            if self.pending.verb == "shred":
                allowed.add(None)
            elif field_class in self.pending.fields:
                allowed.add(self.pending.fields[field_class])
        return allowed

    def acknowledge(self) -> None:
        """The pending request was answered."""
        write, self.pending = self.pending, None
        assert write is not None
        if write.verb == "shred":
            self.shredded_by = write
        else:
            self.values.update(write.fields)
        if write.verb == "create":
            self.created_by = write


class Book:
    """All customers of a campaign. Threads add to it; it is read while they rest."""

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def add(self, subject: Subject) -> None:
        """Notes a customer before its creation is asked for."""
        with self._lock:
            self.subjects.append(subject)

    def count(self, what: str, number: int = 1) -> None:
        """Counts for the report."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + number

    def complain(self, problem: str) -> None:
        """Notes something that must not happen."""
        with self._lock:
            self.problems.append(problem)
