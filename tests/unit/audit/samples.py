"""Records and directories that the audit tests share."""

import time
from collections.abc import Callable
from pathlib import Path

from vault.audit.reader import Damage, Entry, records
from vault.audit.records import (
    MASKED,
    PLAIN,
    ActRecord,
    ReadAction,
    encode_act,
    encode_read,
    read_body_chunk,
    read_item,
    reason_code,
    unknown_counts,
)
from vault.audit.segments import SegmentWriter
from vault.errors import Reason

VAULT_ID = bytes(range(16))
ALICE = b"alice-locator-01"
BOB = b"bobby-locator-01"
NOW = 1_700_000_000_000


def writer(directory: Path, name: str = "w0", **options: object) -> SegmentWriter:
    settings: dict[str, object] = {"segment_bytes": 64 * 1024, "sync_interval_ms": 10} | options
    return SegmentWriter(directory, name, vault_id=VAULT_ID, **settings)  # type: ignore[arg-type]


def read_of(seq: int, *locators: bytes, time_ms: int = NOW, principal_id: int = 7) -> bytes:
    """A READ of one plain, one masked and one denied value of each customer."""
    items = (
        read_item(1, 2, PLAIN) + read_item(2, 3, MASKED) + read_item(3, 4, reason_code(Reason.PURPOSE_DENIED))
    )
    body = b"".join(read_body_chunk(locator, items) for locator in locators)
    unknown = unknown_counts({Reason.TOKEN_UNKNOWN: 2})
    return encode_read(seq, time_ms, principal_id, ReadAction.DETOKENIZE, 9, body, unknown)


def act_of(seq: int, *locators: bytes, time_ms: int = NOW) -> bytes:
    return encode_act(ActRecord(seq, time_ms, 1, "ShredCustomer", "", 0, locators, '{"values": 5}'))


def seqs(directory: Path, worker: str | None = None) -> list[int]:
    """The seq of every record, in the order written; fails on damage."""
    found = list(records(directory))
    assert not [entry for entry in found if isinstance(entry, Damage)]
    entries = [entry for entry in found if isinstance(entry, Entry)]
    return [e.record.seq for e in entries if worker is None or e.segment.startswith(f"{worker}-")]


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Waits for background work."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
