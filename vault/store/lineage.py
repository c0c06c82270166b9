"""Which of several copies of one ledger holds the whole of it.

Rules:
- Of two copies of one history, one begins with the other: the chain value at the shorter one's end says so.
  Where it differs, the ledger was forked, and nobody may go on from either.
- A ledger that ends before an entry that somebody is known to have seen was truncated, or is an older copy.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.errors import InvalidRequestError
from vault.store.ledger import CHUNK_BYTES, Ledger, LedgerEntry, Verify

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Known:
    """That there is an entry `seq` (0: nothing is known), and its chain value if that is known, too."""

    seq: int
    chain: bytes | None
    said_by: str


@contextmanager
def opened_ledger(
    path: Path, vault_id: bytes, verify: Verify | None, trusted: Collection[bytes] | None
) -> Iterator[Ledger]:
    """A ledger file, read up to its last entry that verifies.

    Args:
        path: the file.
        vault_id: 16 bytes.
        verify: see `Verify`.
        trusted: public keys that are known to be the ledger's; see `Ledger.trust`.

    Raises:
        IntegrityFailedError: the file is missing.
    """
    ledger = Ledger.open(path, vault_id, verify, trusted=trusted, read_only=True)
    try:
        yield ledger
    finally:
        ledger.close()


def head_of(ledger: Ledger, said_by: str) -> Known:
    """How far a ledger goes."""
    return Known(ledger.last.seq, ledger.last.chain, said_by)


def require_whole(ledger: Ledger, known: Iterable[Known]) -> None:
    """Raises InvalidRequestError unless a ledger holds everything that is known of it, on one line."""
    awaited = sorted((each for each in known if each.seq), key=lambda each: each.seq)
    for each in awaited:
        if each.seq > ledger.last.seq:
            raise InvalidRequestError(
                f"the ledger ends at entry {ledger.last.seq}, but {each.said_by} knows entry {each.seq}: "
                "it was truncated, or is an older copy"
            )
    at = iter(awaited)
    following = next(at, None)
    for entry in ledger.entries():
        while following is not None and following.seq == entry.seq:
            if following.chain is not None and following.chain != entry.chain:
                raise InvalidRequestError(
                    f"the ledger was forked: up to entry {entry.seq} it differs from what "
                    f"{following.said_by} knows"
                )
            following = next(at, None)
        if following is None:
            return


def last_entry(ledger: Ledger) -> LedgerEntry | None:
    """The ledger's last entry."""
    found = None
    for found in ledger.entries(max(ledger.last.seq - 1, 0)):  # noqa: B007 - the last one is wanted
        pass
    return found


def copy_ledger(source: Path, ledger: Ledger, target: Path) -> None:
    """Writes the entries of a ledger that was read from `source` to a new file, in zeros to a whole chunk."""
    left = ledger.last.offset
    with source.open("rb") as original, target.open("xb") as copy:
        target.chmod(0o600)
        while left:
            part = original.read(min(left, _COPY_BYTES))
            copy.write(part)
            left -= len(part)
        copy.truncate(-(-(ledger.last.offset + 1) // CHUNK_BYTES) * CHUNK_BYTES)
