"""Removes old entries, so that everybody can see what was removed, and that nothing else was.

`truncated` is a signed note (c2sp.org/signed-note) under the key of the log's checkpoints:

    text   origin | "/truncated" | newline | first leaf that is held | newline
           | size of the tree then | newline | base64( its root ) | newline | time_ms | newline

- The note is written before an entry is removed, and it only ever moves on.
- Whole bundles are removed, oldest first. Hash tiles stay, so that every proof and every checkpoint can be
  checked as before; of a removed entry the hash remains, and nothing can be put in its place.
- Whoever removes entries records an act in the log first, so the tree itself says it, too.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vault.audit.sealed.files import INDEX, TRUNCATED, TreeFiles
from vault.audit.sealed.index import Index
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.files import write_durably
from vault.tlog import notes
from vault.tlog.checkpoints import parse_size
from vault.tlog.merkle import HASH_BYTES
from vault.tlog.notes import Note, Sign, VerifierKey, decode_base64
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import entries_path

_SUFFIX = "/truncated"


@dataclass(frozen=True, slots=True)
class Truncation:
    """All entries before leaf `first` were removed, when the tree had this size and root."""

    origin: str
    first: int
    size: int
    root: bytes
    time_ms: int

    def signed(self, key: VerifierKey, sign: Sign) -> Note:
        """The statement as a note."""
        text = (
            f"{self.origin}{_SUFFIX}\n{self.first}\n{self.size}\n"
            f"{base64.b64encode(self.root).decode()}\n{self.time_ms}\n"
        )
        return Note(text, (notes.sign(text, key, sign),))

    @classmethod
    def parse(cls, text: str) -> "Truncation":
        """Reads the text of a note.

        Raises:
            InvalidRequestError: it is no such statement.
        """
        lines = text.split("\n")
        if len(lines) != 6 or lines[5] or not lines[0].endswith(_SUFFIX):
            raise InvalidRequestError("not a statement about removed entries")
        first, size, time_ms = (parse_size(lines[at]) for at in (1, 2, 4))
        root = decode_base64(lines[3])
        if first > size or len(root) != HASH_BYTES:
            raise InvalidRequestError("not a statement about removed entries")
        return cls(lines[0].removesuffix(_SUFFIX), first, size, root, time_ms)


def read_truncation(root: Path, keys: Sequence[VerifierKey]) -> Truncation | None:
    """The statement in force, its signature verified; None where nothing was removed.

    Raises:
        InvalidRequestError: it is malformed.
        IntegrityFailedError: it is not signed by this log.
    """
    try:
        note = Note.parse((root / TRUNCATED).read_bytes())
    except FileNotFoundError:
        return None
    signed = notes.verify(note, keys)
    statement = Truncation.parse(note.text)
    if statement.origin not in [each.key.name for each in signed]:
        raise IntegrityFailedError(file=TRUNCATED)
    return statement


def first_held(root: Path) -> int:
    """The first leaf whose entry is held, for readers, who take the statement as it is.

    Raises:
        IntegrityFailedError: the statement is malformed.
    """
    try:
        return Truncation.parse(Note.parse((root / TRUNCATED).read_bytes()).text).first
    except FileNotFoundError:
        return 0
    except InvalidRequestError as error:
        raise IntegrityFailedError(file=TRUNCATED) from error


def removable(files: TreeFiles, size: int, before_ms: int) -> int:
    """The leaf up to which all full bundles hold only records older than a time."""
    first = first_held(files.root) // TILE_LEAVES
    spans = files.spans(size // TILE_LEAVES)
    while first < len(spans) and spans[first].last_ms < before_ms:
        first += 1
    return first * TILE_LEAVES


def truncate(files: TreeFiles, statement: Truncation, key: VerifierKey, sign: Sign) -> None:
    """Makes the statement, and removes the entries. Called again after a crash, it finishes.

    Raises:
        OSError: the disk refuses.
    """
    before = first_held(files.root)
    if statement.first > before:
        write_durably(files.root / TRUNCATED, statement.signed(key, sign).encode())
    remove_entries(files, first_held(files.root))


def remove_entries(files: TreeFiles, first: int) -> int:
    """Removes what is still there of the entries before a leaf; returns how many bundles."""
    end = first // TILE_LEAVES
    begin = end
    while begin and _existing(files, begin - 1):
        begin -= 1
    for index in range(begin, end):  # ascending, so that after a crash the rest is found from the end
        for name in _existing(files, index):
            files.remove(name)
    Index(files.root / INDEX).drop_before(first)
    return end - begin


def _existing(files: TreeFiles, index: int) -> list[str]:
    name = entries_path(index)
    return [each for each in (name, f"{name}.gz") if (files.root / each).exists()]
