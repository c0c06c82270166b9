"""Which look-ups are complete, and how far the building of the others is.

Row "state" of table `search`, with the MAC of `rows`: JSON
    {"ready": {entry: description}, "building": {entry: description}, "after": customer number, "left": count}

Rules:
- An entry is a field class or a compound; its description holds its kinds and the number of the rules by
  which they are compared. Another description is another index.
- When a vault is opened, whatever the configuration no longer declares is forgotten, and what is new begins
  to be built from the first customer. From then on every write notes its digests, so one pass over the
  customers is enough.
- The index itself needs no state: it is made from the sheets. So a restore brings back both together.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from vault.core.committer import Committer
from vault.core.rows import RowReader, Rows
from vault.store.session import WriteSession
from vault.store.store import Store

TABLE: Final = "search"
_KEY: Final = b"state"


@dataclass(frozen=True, slots=True)
class SearchState:
    """The row. `left` counts customers whose records are damaged, so that nothing is found by them."""

    ready: Mapping[str, str] = field(default_factory=dict)
    building: Mapping[str, str] = field(default_factory=dict)
    after: int = 0
    left: int = 0

    def declared(self, entries: Mapping[str, str], *, empty: bool) -> "SearchState":
        """The state with these entries declared; `empty`: there are no customers."""
        ready = {name: text for name, text in self.ready.items() if entries.get(name) == text}
        missing = {name: text for name, text in entries.items() if name not in ready}
        if empty or not missing:
            return SearchState(dict(entries))
        same = missing == dict(self.building)
        return SearchState(ready, missing, self.after if same else 0, self.left if same else 0)

    def advanced(self, after: int, left: int, *, done: bool) -> "SearchState":
        """The state after further customers were looked at."""
        if done:
            return SearchState({**self.ready, **self.building}, {}, 0, self.left + left)
        return replace(self, after=after, left=self.left + left)

    def pack(self) -> bytes:
        """The row's body."""
        document = {
            "ready": dict(self.ready),
            "building": dict(self.building),
            "after": self.after,
            "left": self.left,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def stored_state(rows: Rows, reader: RowReader) -> SearchState:
    """The state in the store; nothing is declared where there is none."""
    body = rows.get(reader, TABLE, _KEY)
    return SearchState() if body is None else SearchState(**json.loads(body))


def store_state(rows: Rows, session: WriteSession, state: SearchState) -> None:
    """Writes the state."""
    rows.put(session, TABLE, _KEY, state.pack())


def declare_search(store: Store, rows: Rows, committer: Committer, entries: Mapping[str, str]) -> None:
    """Has the store follow what the configuration declares."""
    with store.snapshot() as snapshot:
        known = stored_state(rows, snapshot)
    if {**known.ready, **known.building} == dict(entries):
        return

    def job(session: WriteSession) -> None:
        empty = next(iter(session.customers()), None) is None
        store_state(rows, session, stored_state(rows, session).declared(entries, empty=empty))

    committer.submit(job)
