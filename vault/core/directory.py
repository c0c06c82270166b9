"""Names and numbers, principals and policy, as of one snapshot.

Tables (rows carry the MAC of `rows`):
    names       kind u8 ("d" domain, "f" field class, "p" purpose) + name -> number u32
                kind alone -> number u32 up to which a restore found numbers given
    principals  name -> JSON {"id", "created_ms", "revoked_ms", "expires_ms", "suspended_ms" (0 if it is not),
                "break_glass": {purpose: granted until, ms}}
    policies    "current" -> version u64;  version u64 -> applied_ms u64 | principal u32 | document
    each        0xFF "stamp" -> access version u64 of the last change to any of the three

Rules:
- Numbers are given once, in ascending order, and never used again. The ledger says how far they go, so that
  a restore does not give those again that came after its backup: old tokens and access records name them.
- Every change bumps the meta row's access version, and stamps all three tables with it: a table
  whose stamp is another one is not of this commit, as after a flipped bit in a root page's number.
- Readers look at the access version in each transaction, which makes a change effective for every
  read that starts after its acknowledgement.
"""

import json
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from vault.core.rows import RowReader, Rows, RowWriter
from vault.errors import IntegrityFailedError, LimitExceededError
from vault.policy.decision import AccessTable, PrincipalRecord
from vault.policy.document import parse_policy
from vault.store.entries import NamesNumbered
from vault.store.session import WriteSession

DOMAIN: Final = b"d"
FIELD_CLASS: Final = b"f"
PURPOSE: Final = b"p"
_LARGEST: Final = {DOMAIN: 255, FIELD_CLASS: 255, PURPOSE: 2**32 - 1}
_CURRENT: Final = b"current"
_STAMP: Final = b"\xffstamp"
_TABLES: Final = ("names", "principals", "policies")
_POLICY_HEAD: Final = struct.Struct(">QI")


class TableReader(RowReader, Protocol):
    """A snapshot or a write session, as far as whole tables are read."""

    def rows(self, table: str, start: bytes = b"") -> "RowIterator":
        """All rows of a table from `start` on."""


class RowIterator(Protocol):
    """An iterator of (key, row)."""

    def __iter__(self) -> "RowIterator": ...
    def __next__(self) -> tuple[bytes, bytes]: ...


@dataclass(frozen=True, slots=True)
class RegisteredPrincipal:
    """A principal's row."""

    id: int
    name: str
    created_ms: int
    revoked_ms: int = 0
    expires_ms: int = 0
    suspended_ms: int = 0
    break_glass: Mapping[str, int] = field(default_factory=dict)

    @property
    def record(self) -> PrincipalRecord:
        """What decisions see of it."""
        return PrincipalRecord(
            self.id,
            self.name,
            revoked=self.revoked_ms > 0,
            suspended=self.suspended_ms > 0,
            break_glass=self.break_glass,
        )

    def pack(self) -> bytes:
        """The row's body."""
        document = {
            "id": self.id,
            "created_ms": self.created_ms,
            "revoked_ms": self.revoked_ms,
            "expires_ms": self.expires_ms,
            "suspended_ms": self.suspended_ms,
            "break_glass": dict(self.break_glass),
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def unpack(cls, name: str, body: bytes) -> "RegisteredPrincipal":
        """Reads a row's body."""
        return cls(name=name, **json.loads(body))


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The policy in force and where it came from."""

    version: int
    document: str
    applied_ms: int
    principal_id: int


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything that has a name, as of one access version."""

    version: int
    policy: StoredPolicy
    access: AccessTable
    numbers: Mapping[bytes, Mapping[str, int]]  # by kind
    names: Mapping[bytes, Mapping[int, str]]  # by kind
    principals: Mapping[str, RegisteredPrincipal]
    principal_names: Mapping[int, str]


class DirectoryReader:
    """Keeps the directory of the newest access version that it has seen."""

    def __init__(self, rows: Rows, on_change: Callable[[], None] = lambda: None) -> None:
        """Reads by `rows`; `on_change` is called before a new access version is read."""
        self._rows = rows
        self._on_change = on_change
        self._lock = threading.Lock()
        self._newest: Directory | None = None

    @property
    def newest(self) -> Directory | None:
        """The newest directory seen so far."""
        return self._newest

    def at(self, reader: TableReader, access_version: int) -> Directory:
        """The directory of a snapshot whose meta row says `access_version`.

        Raises:
            IntegrityFailedError: a row fails its MAC, or there is no policy.
        """
        newest = self._newest
        if newest is not None and newest.version == access_version:
            return newest
        self._on_change()
        with self._lock:
            loaded = load_directory(self._rows, reader, access_version)
            self._newest = loaded
            return loaded


def load_directory(rows: Rows, reader: TableReader, access_version: int) -> Directory:
    """Reads the whole directory."""
    for table in _TABLES:
        if rows.get(reader, table, _STAMP) != access_version.to_bytes(8, "big"):
            raise IntegrityFailedError
    numbers: dict[bytes, dict[str, int]] = {DOMAIN: {}, FIELD_CLASS: {}, PURPOSE: {}}
    for key, row in _named(reader, "names"):
        if len(key) == 1:
            continue  # the mark of a restore
        numbers[key[:1]][key[1:].decode()] = int.from_bytes(rows.open("names", key, row), "big")
    principals = {}
    for key, row in _named(reader, "principals"):
        principals[key.decode()] = RegisteredPrincipal.unpack(key.decode(), rows.open("principals", key, row))
    policy = stored_policy(rows, reader)
    if policy is None:
        raise IntegrityFailedError
    access = AccessTable(
        parse_policy(policy.document, numbers[FIELD_CLASS].keys()),
        {p.name: p.record for p in principals.values()},
        numbers[DOMAIN],
        numbers[PURPOSE],
        numbers[FIELD_CLASS],
    )
    return Directory(
        version=access_version,
        policy=policy,
        access=access,
        numbers=numbers,
        names={kind: {number: name for name, number in table.items()} for kind, table in numbers.items()},
        principals=principals,
        principal_names={p.id: p.name for p in principals.values()},
    )


def principal_rows(reader: TableReader) -> list[tuple[bytes, bytes]]:
    """The rows of all principals, by name."""
    return _named(reader, "principals")


def _named(reader: TableReader, table: str) -> list[tuple[bytes, bytes]]:
    return [(key, row) for key, row in reader.rows(table) if key != _STAMP]


def stamp(rows: Rows, writer: RowWriter, access_version: int) -> None:
    """Marks all three tables as being of this access version."""
    for table in _TABLES:
        rows.put(writer, table, _STAMP, access_version.to_bytes(8, "big"))


def changed(rows: Rows, session: WriteSession) -> None:
    """Makes the changes of a session to names, principals or policies known to every reader."""
    session.meta.access_version += 1
    stamp(rows, session, session.meta.access_version)


def stored_policy(rows: Rows, reader: RowReader) -> StoredPolicy | None:
    """The policy in force; None in a vault that is being founded."""
    version = rows.get(reader, "policies", _CURRENT)
    if version is None:
        return None
    policy = policy_version(rows, reader, int.from_bytes(version, "big"))
    if policy is None:
        raise IntegrityFailedError
    return policy


def policy_version(rows: Rows, reader: RowReader, version: int) -> StoredPolicy | None:
    """A policy that is or was in force; None where there was no such version."""
    body = rows.get(reader, "policies", version.to_bytes(8, "big"))
    if body is None:
        return None
    applied_ms, principal_id = _POLICY_HEAD.unpack_from(body)
    return StoredPolicy(version, body[_POLICY_HEAD.size :].decode(), applied_ms, principal_id)


def store_policy(rows: Rows, writer: RowWriter, document: str, *, applied_ms: int, principal_id: int) -> int:
    """Writes a policy as the one in force and returns its version. The caller bumps the access version."""
    current = stored_policy(rows, writer)
    version = (current.version if current else 0) + 1
    key = version.to_bytes(8, "big")
    rows.put(writer, "policies", key, _POLICY_HEAD.pack(applied_ms, principal_id) + document.encode())
    rows.put(writer, "policies", _CURRENT, key)
    return version


def assign_numbers(
    rows: Rows, writer: RowWriter, held: Mapping[str, int], kind: bytes, names: list[str]
) -> int:
    """Gives a number to each name that has none; returns how many were given.

    This is for founding a vault, whose backups all have these names; later on see `number_names`.

    Raises:
        LimitExceededError: the numbers of this kind are used up.
    """
    new = [name for name in names if name not in held]
    mark = rows.get(writer, "names", kind)
    following = max([*held.values(), int.from_bytes(mark or b"", "big")], default=0) + 1
    largest = _LARGEST[kind]
    if following + len(new) - 1 > largest:
        what = {DOMAIN: "domains", FIELD_CLASS: "field classes", PURPOSE: "purposes"}[kind]
        raise LimitExceededError(f"a vault has at most {largest} {what}, past ones included", limit=what)
    for number, name in enumerate(new, following):
        rows.put(writer, "names", kind + name.encode(), number.to_bytes(4, "big"))
    return len(new)


def number_names(
    rows: Rows, session: WriteSession, held: Mapping[str, int], kind: bytes, names: list[str]
) -> int:
    """As `assign_numbers`, and has the ledger say how far numbers of this kind go."""
    given = assign_numbers(rows, session, held, kind, names)
    if given:
        last = max(
            int.from_bytes(rows.get(session, "names", kind + each.encode()) or b"", "big") for each in names
        )
        session.append(NamesNumbered(kind, last))
    return given


def skip_numbers(rows: Rows, writer: RowWriter, kind: bytes, up_to: int) -> None:
    """From now on gives names of a kind only numbers beyond `up_to`."""
    rows.put(writer, "names", kind, up_to.to_bytes(4, "big"))
