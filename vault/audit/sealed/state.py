"""How far the access log is sealed: one small file, replaced atomically. Replacing it is the commit.

`state` is JSON:

    format      1
    size, root  of the tree; every tile and bundle up to here is on the disk
    records     leaves that begin a record
    gaps        acts `AuditGap` among them
    segments    file name → [offset up to which it is sealed, whether that is all of it]
    dropped     worker → digests of its segments removed last, which the next one's header names
    checksum    SHA-256 of all the above: it finds rot, not forgery; for that there are checkpoints

What lies beyond `size` was left by a crash, and is written again. A segment is forgotten here only when its
file is durably gone, so none is sealed twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from vault.audit.layout import HEADER_BYTES
from vault.errors import IntegrityFailedError
from vault.store.files import write_durably
from vault.tlog.merkle import EMPTY_ROOT

STATE_FILE: Final = "state"
_FORMAT: Final = 1


class Sealed(NamedTuple):
    """How far one segment is sealed, and whether that is all of it."""

    offset: int = HEADER_BYTES
    done: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """See the module's text; `root` and digests in hex."""

    size: int = 0
    root: str = EMPTY_ROOT.hex()
    records: int = 0
    gaps: int = 0
    segments: Mapping[str, Sealed] = field(default_factory=dict)
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, segment: str) -> Sealed:
        """How far a segment is sealed."""
        return self.segments.get(segment, Sealed())

    def write(self, directory: Path) -> None:
        """Replaces the file durably."""
        content = {"format": _FORMAT} | asdict(self)
        content["segments"] = {name: list(each) for name, each in self.segments.items()}
        content["checksum"] = _checksum(content)
        write_durably(directory / STATE_FILE, json.dumps(content).encode() + b"\n")

    @classmethod
    def read(cls, directory: Path) -> "State":
        """Reads the file; nothing is sealed where there is none.

        Raises:
            IntegrityFailedError: it is damaged.
            OSError: it cannot be read.
        """
        try:
            raw = (directory / STATE_FILE).read_bytes()
        except FileNotFoundError:
            return cls()
        return _parsed(raw)


@lru_cache(maxsize=2)  # who reads a log again and again mostly finds it as it was
def _parsed(raw: bytes) -> State:
    try:
        content = json.loads(raw)
        if content.pop("checksum") != _checksum(content) or content.pop("format") != _FORMAT:
            raise IntegrityFailedError(file=STATE_FILE)
        content["segments"] = {name: Sealed(*each) for name, each in content["segments"].items()}
        content["dropped"] = {name: tuple(each) for name, each in content["dropped"].items()}
        return State(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityFailedError(file=STATE_FILE) from error


def _checksum(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
