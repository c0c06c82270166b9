"""Checks a sealed access log offline: from its files, public keys, and what a witness or an auditor has seen.

An error is something that the vault cannot explain away; a note is something that it has recorded or may
explain:

- Errors: the newest checkpoint is not signed; an entry, a tile or the root is another; an entry is missing
  that no statement says was removed; a checkpoint seen before does not begin this tree (a fork, a roll-back,
  an old copy); with a witness's key, nothing is cosigned; a record does not follow the one that stood before
  it in its segment.
- Notes: gaps that the log itself records; numbers of a worker without a record (refused reads, or records
  that were dropped before they were sealed); a clock that went backwards, or ran ahead of the witness's;
  leaves that no witness has seen yet; removed entries.

What is sealed cannot be bent; what a worker was kept from writing at all, nobody can see here. Without a
checkpoint from elsewhere, an old copy of everything looks whole: give the witness's newest one as `seen`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vault.audit.sealed.checkpoints import TiledLog, read_note
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, TreeFiles
from vault.audit.sealed.following import Following
from vault.audit.sealed.retention import Truncation, read_truncation
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Note, VerifierKey
from vault.tlog.proving import TILE_LEAVES
from vault.tlog.tiles import Edge, split_entries

CLOCKS_SECONDS: Final = 300
_PROGRESS_BUNDLES: Final = 64
_MAX_PROBLEMS: Final = 20

Progress = Callable[[int, int], None]
"""Leaves checked, and how many there are."""


@dataclass(slots=True)
class Report:
    """What was found. `errors` is empty for a log that holds."""

    size: int = 0
    root: bytes = b""
    first: int = 0
    records: int = 0
    cosigned: int = 0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def error(self, text: str) -> None:
        """Adds an error; beyond twenty they only say that there are more."""
        if len(self.errors) < _MAX_PROBLEMS:
            self.errors.append(text)
        elif len(self.errors) == _MAX_PROBLEMS:
            self.errors.append("and more")


def verify(
    root: Path,
    keys: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    seen: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> Report:
    """Checks the log in a directory of tiles.

    Args:
        root: the directory; see `files`.
        keys: of the vault, under the log's origin (`audit_key`).
        witnesses: whose cosignature is required.
        seen: notes of checkpoints that were seen before, by the witness or by whoever asks.
        progress: is told how far it is.

    Raises:
        OSError: a file cannot be read.
    """
    report, files = Report(), TreeFiles(root)
    try:
        read = read_note(root / CHECKPOINT, keys)
        truncation = read_truncation(root, keys)
    except (IntegrityFailedError, InvalidRequestError):
        report.error("the checkpoint, or the statement about removed entries, is not signed by this vault")
        return report
    if read is None:
        report.error("there is no checkpoint")
        return report
    checkpoint = read[1]
    report.size, report.root = checkpoint.size, checkpoint.root
    report.first = truncation.first if truncation else 0
    if truncation and truncation.size > checkpoint.size:
        report.error("entries were removed from a larger tree than the checkpoint's")
    following = Following(report.first)
    if not _check_tree(files, checkpoint, following, report, progress or _silent):
        return report
    log = TiledLog(files, checkpoint.size)
    _check_truncation(truncation, log, report)
    cosigned_s = _check_witnesses(root, keys, witnesses, log, report)
    for each in seen:
        _check_seen(each, [*keys, *witnesses], keys, log, report)
    report.records = following.records
    following.say(report.error, report.notes.append)
    if cosigned_s and following.newest_ms(report.cosigned) > (cosigned_s + CLOCKS_SECONDS) * 1000:
        report.notes.append("records are dated later than the witness's cosignature of them: clocks differ")
    return report


def _silent(_done: int, _size: int) -> None:
    pass


def _check_tree(
    files: TreeFiles, checkpoint: Checkpoint, following: Following, report: Report, progress: Progress
) -> bool:
    """Hashes everything again; returns whether the tree is the checkpoint's."""
    edge, size, sha256 = Edge(), checkpoint.size, hashlib.sha256
    whole = True
    for index in range(-(-size // TILE_LEAVES)):
        first = index * TILE_LEAVES
        width = min(TILE_LEAVES, size - first)
        try:
            hashes = files.hashes(0, index, width)
            if first >= report.first:
                entries = split_entries(files.bundle(index, width))[:width]
                made = b"".join([sha256(b"\x00" + entry).digest() for entry in entries])
                if made != hashes:
                    whole = False
                    report.error(
                        f"an entry is not the one that was sealed: leaves {first} to {first + width - 1}"
                    )
                    hashes = made.ljust(len(hashes), b"\x00")[: len(hashes)]
                following.add(first, entries)
        except IntegrityFailedError as error:
            report.error(
                f"missing or damaged: {error.details.get('file')}, leaves {first} to {first + width - 1}"
            )
            return False
        for tile in edge.append(hashes):
            if tile.level and _stored(files, tile.level, tile.index, TILE_LEAVES) != tile.hashes:
                report.error(f"a tile is not that of its entries: level {tile.level}, number {tile.index}")
                whole = False
        if not index % _PROGRESS_BUNDLES:
            progress(first + width, size)
    for tile in edge.partials():
        if _stored(files, tile.level, tile.index, tile.width) != tile.hashes:
            report.error(f"a tile is not that of its entries: level {tile.level}, number {tile.index}")
            whole = False
    if edge.root() != checkpoint.root:
        report.error("the root of all entries is not the one that was signed")
        whole = False
    progress(size, size)
    return whole


def _stored(files: TreeFiles, level: int, index: int, width: int) -> bytes:
    try:
        return files.hashes(level, index, width)
    except IntegrityFailedError:
        return b""


def _check_truncation(truncation: Truncation | None, log: TiledLog, report: Report) -> None:
    if truncation is None or truncation.size > log.size:
        return
    report.notes.append(f"entries before leaf {truncation.first} were removed; their hashes are there")
    if log.root(truncation.size) != truncation.root:
        report.error("the statement about removed entries is about another tree")


def _check_witnesses(
    root: Path, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey], log: TiledLog, report: Report
) -> int:
    """Checks the newest cosigned checkpoint; returns the Unix time of its cosignature, 0 without one."""
    if not witnesses:
        return 0
    times: list[int] = []
    for name in (CHECKPOINT, COSIGNED):
        try:
            read = read_note(root / name, keys)
            verified = notes.verify(read[0], witnesses) if read else []
        except (IntegrityFailedError, InvalidRequestError):
            continue
        if read and verified:
            _compare(read[1], log, "cosigned", report)
            report.cosigned = max(report.cosigned, read[1].size)
            times.append(verified[0].time_s)
    if not times:
        report.error("the witness has cosigned none of this log's checkpoints")
        return 0
    if report.cosigned < log.size:
        report.notes.append(f"the witness has not seen the last {log.size - report.cosigned} leaves yet")
    return max(times)


def _check_seen(
    content: bytes,
    known: Sequence[VerifierKey],
    keys: Sequence[VerifierKey],
    log: TiledLog,
    report: Report,
) -> None:
    try:
        note = Note.parse(content)
        notes.verify(note, known)
        checkpoint = Checkpoint.parse(note.text)
    except (IntegrityFailedError, InvalidRequestError):
        report.error("a checkpoint seen before is not signed by this vault or its witness")
        return
    if checkpoint.origin not in [key.name for key in keys]:
        report.error("a checkpoint seen before is of another log")
    else:
        _compare(checkpoint, log, "seen before", report)


def _compare(checkpoint: Checkpoint, log: TiledLog, what: str, report: Report) -> None:
    if checkpoint.size > log.size:
        lost = checkpoint.size - log.size
        report.error(f"the log is older than a checkpoint {what}: {lost} leaves are missing at its end")
    elif log.root(checkpoint.size) != checkpoint.root:
        report.error(
            f"the log does not begin with the tree of a checkpoint {what}, of {checkpoint.size} leaves"
        )
