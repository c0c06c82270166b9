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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vault.audit.sealed.checkpoints import TiledLog, read_note
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, TreeFiles
from vault.audit.sealed.following import Following
from vault.audit.sealed.parts import Part
from vault.audit.sealed.retention import Truncation, read_truncation
from vault.audit.sealed.shares import sharing
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Note, VerifierKey
from vault.tlog.tiles import Edge, Tile

CLOCKS_SECONDS: Final = 300
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
    processes: int = 0,
) -> Report:
    """Checks the log in a directory of tiles.

    Args:
        root: the directory; see `files`.
        keys: of the vault, under the log's origin (`audit_key`).
        witnesses: whose cosignature is required.
        seen: notes of checkpoints that were seen before, by the witness or by whoever asks.
        progress: is told how far it is.
        processes: how many hash the entries; 0: as many as there are cores, for a log that is worth it.

    Raises:
        OSError: a file cannot be read.
        AuditUnavailableError: a process that hashed entries ended early.
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
    with sharing(files, checkpoint.size, report.first, processes) as parts:
        if not _check_tree(files, parts, checkpoint, following, report, progress or _silent):
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
    files: TreeFiles, parts: Iterable[Part], checkpoint: Checkpoint, following: Following, report: Report,
    progress: Progress,
) -> bool:  # fmt: skip
    """Puts the parts together; returns whether the tree is the checkpoint's."""
    edge = Edge()

    def check(tiles: Iterable[Tile]) -> None:
        for tile in tiles:
            if _stored(files, tile) != tile.hashes:
                report.error(f"a tile is not that of its entries: level {tile.level}, number {tile.index}")

    for part in parts:
        for text in part.errors:
            report.error(text)
        if part.is_cut:
            return False
        for end, links in part.links:
            following.add(end, links)
        check(edge.append(part.roots, level=1))
        edge.append(part.hashes)
        progress(part.end, checkpoint.size)
    check(edge.partials())
    if edge.root() != checkpoint.root:
        report.error("the root of all entries is not the one that was signed")
    return not report.errors


def _stored(files: TreeFiles, tile: Tile) -> bytes:
    try:
        return files.hashes(tile.level, tile.index, tile.width)
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
