"""An `Target` in this process: remembers what it stored, and can be told to fail."""

import hashlib
import threading
from collections.abc import Sequence

from customervault.tables.plan import Place
from customervault.tables.source import Record
from customervault.tables.target import Refusal, StoredField, StoredRow


class DownError(Exception):
    """The target is gone."""


class FakeTarget:
    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at  # the number of the call that fails, from 0
        self.calls = 0
        self.requests: dict[str, list[tuple[str, list[str]]]] = {}
        self.values: dict[tuple[str, Place], str] = {}
        self.refuse_values = {"refuse-me"}
        self.refuse_ids = {"refused-id"}
        self._lock = threading.Lock()
        self._active: list[frozenset[str]] = []
        self.most_active = 0
        self.overlapped = False

    def store(
        self, records: Sequence[Record], places: Sequence[Place], request_id: str
    ) -> Sequence[StoredRow]:
        customers = frozenset(record.external_id for record in records)
        with self._lock:
            call, self.calls = self.calls, self.calls + 1
            self.overlapped |= any(customers & other for other in self._active)
            self._active.append(customers)
            self.most_active = max(self.most_active, len(self._active))
        try:
            if self.fail_at is not None and call >= self.fail_at:
                raise DownError
            body = [(record.external_id, list(record.values)) for record in records]
            assert self.requests.setdefault(request_id, body) == body, "a request id with two bodies"
            return [self._store(record, places) for record in records]
        finally:
            with self._lock:
                self._active.remove(customers)

    def _store(self, record: Record, places: Sequence[Place]) -> StoredRow:
        if record.external_id in self.refuse_ids:
            return StoredRow(refusal=Refusal("RESTRICTED", "no processing"))
        fields = []
        for place, value in zip(places, record.values, strict=True):
            if not value:
                fields.append(StoredField("empty"))
            elif value in self.refuse_values:
                refusal = Refusal("INVALID_VALUE", f"{place.field_class}: no")
                fields.append(StoredField("refused", refusal=refusal))
            else:
                known = self.values.get((record.external_id, place))
                self.values[(record.external_id, place)] = value
                outcome = "created" if known is None else "unchanged" if known == value else "updated"
                fields.append(StoredField(outcome, token_of(record.external_id, place)))
        return StoredRow(customer_token_of(record.external_id), True, fields)


def token_of(external_id: str, place: Place) -> str:
    return "cv1_" + hashlib.sha256(f"{external_id}/{place}".encode()).hexdigest()[:32]


def customer_token_of(external_id: str) -> str:
    return "cv1_" + hashlib.sha256(external_id.encode()).hexdigest()[:32]
