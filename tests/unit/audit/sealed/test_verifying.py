"""Whatever is done to a sealed log, `verify` with a witness says so."""

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.unit.audit.samples import ALICE, BOB, act_of, read_of, writer
from tests.unit.audit.sealed.samples import KEY, LocalWitness, seal, sign
from tests.unit.tlog.samples import mth
from vault.audit.sealed.files import CHECKPOINT, COSIGNED, TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.retention import Truncation, truncate
from vault.audit.sealed.verifying import Report, verify
from vault.crypto import hazmat
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.merkle import leaf_hash
from vault.tlog.notes import Note
from vault.tlog.tiles import Edge, entries_path, join_entries, split_entries

COUNT = 700


class Case:
    """A sealed log of 700 records, half of which a witness had seen before the rest came."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tree = directory / TREE
        directory.mkdir()
        self.witness = LocalWitness(directory.parent / "witness")
        self.grow(1, COUNT // 2)
        shutil.copytree(self.tree, directory.parent / "old")
        self.grow(COUNT // 2 + 1, COUNT)
        self.files = TreeFiles(self.tree)

    def grow(self, first: int, last: int) -> None:
        log = writer(self.directory)
        for seq in range(first, last + 1):
            log.append(read_of(seq, ALICE, BOB) if seq % 7 else act_of(seq, ALICE))
        log.close()
        seal(self.directory, self.witness)

    def verify(self, tree: Path | None = None) -> Report:
        (checkpoint, _), *_ = self.witness.state.remembered()
        newest = (self.witness.state._path(checkpoint.origin)).read_bytes()
        return verify(tree or self.tree, [KEY], witnesses=[self.witness.key], seen=[newest])

    def entries(self) -> list[bytes]:
        log = SealedLog.open(self.directory)
        return [log.entry(leaf) for leaf in range(log.size)]

    def forge(self, entries: list[bytes]) -> None:
        """Makes all the files anew over other entries, as whoever holds the signing key could."""
        shutil.rmtree(self.tree / "tile")
        edge = Edge()
        for tile in [*edge.append(b"".join(map(leaf_hash, entries))), *edge.partials()]:
            self.files.write(tile.path, tile.hashes)
        for index in range(0, len(entries), 256):
            part = entries[index : index + 256]
            self.files.write(entries_path(index // 256, len(part)), join_entries(part))
        note = Checkpoint(KEY.name, len(entries), edge.root()).signed(KEY, sign)
        (self.tree / CHECKPOINT).write_bytes(note.encode())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    made = Case(tmp_path_factory.mktemp("original") / "log")
    yield made
    made.witness.close()


@pytest.fixture
def case(original, tmp_path):
    copy = object.__new__(Case)
    copy.directory = tmp_path / "log"
    shutil.copytree(original.directory, copy.directory)
    copy.tree, copy.witness = copy.directory / TREE, original.witness
    copy.files = TreeFiles(copy.tree)
    return copy


def test_an_untouched_log_holds(case):
    report = case.verify()
    assert (report.errors, report.notes) == ([], [])
    assert (report.size, report.records, report.cosigned, report.root) == (
        COUNT,
        COUNT,
        COUNT,
        mth(case.entries()),
    )


def test_it_holds_when_compressed_and_after_old_entries_were_removed(case):
    case.files.compress([0])
    assert case.verify().errors == []
    statement = Truncation(KEY.name, 256, COUNT, SealedLog.open(case.directory).tiles.root(), 5)
    truncate(case.files, statement, KEY, sign)
    report = case.verify()
    assert (report.errors, report.first, report.records) == ([], 256, COUNT - 256)
    assert report.notes == ["entries before leaf 256 were removed; their hashes are there"]


@pytest.mark.parametrize("leaf", [0, 300, COUNT - 1])
def test_an_edited_entry(case, leaf):
    index = leaf // 256
    width = min(256, COUNT - index * 256)
    entries = split_entries(case.files.bundle(index, width))
    entries[leaf % 256] = entries[leaf % 256][:-1] + bytes([entries[leaf % 256][-1] ^ 1])
    case.files.write(entries_path(index, width), join_entries(entries))
    (error, *_) = case.verify().errors
    assert (
        error == f"an entry is not the one that was sealed: leaves {index * 256} to {index * 256 + width - 1}"
    )


@pytest.mark.parametrize("change", ["drop", "repeat", "swap"])
def test_dropped_repeated_and_reordered_entries(case, change):
    entries = split_entries(case.files.bundle(1, 256))
    if change == "drop":
        del entries[9]
    elif change == "repeat":
        entries[10] = entries[9]
    else:
        entries[9], entries[10] = entries[10], entries[9]
    case.files.write(entries_path(1), join_entries(entries))
    assert case.verify().errors


@pytest.mark.parametrize("change", ["edit", "drop", "swap", "truncate", "insert"])
def test_whoever_forges_all_of_it_with_the_signing_key_is_stopped_by_the_witness(case, change):
    entries = case.entries()
    if change == "edit":
        entries[20] = entries[20][:-1] + b"\x07"
    elif change == "drop":
        del entries[20]
    elif change == "swap":
        entries[20], entries[21] = entries[21], entries[20]
    elif change == "truncate":
        del entries[600:]
    else:
        entries.insert(20, entries[20])
    case.forge(entries)
    assert verify(case.tree, [KEY]).errors == [] or change in ("drop", "swap", "insert")
    errors = case.verify().errors
    assert any("checkpoint" in each for each in errors)


def test_any_change_of_any_byte_cut_or_removal_of_what_is_read(original):
    """`CVAULT_TAMPERINGS=20000` for the long campaign, `CVAULT_SEED` for another one."""
    random = Random(os.environ.get("CVAULT_SEED", "7"))
    read = sorted(path for path in original.tree.rglob("*") if path.is_file() and is_verified(path))
    assert {path.parent.name for path in read} >= {"0", "entries", TREE}
    undetected, sealed = [], (original.verify().size, original.verify().root)
    for number in range(int(os.environ.get("CVAULT_TAMPERINGS", "250"))):
        path = random.choice(read)
        content = path.read_bytes()
        change, changed = tampered(random, content)
        try:
            if changed is None:
                path.unlink()
            else:
                path.write_bytes(changed)
            report = original.verify()
            # a checkpoint may lose the line of a signature that is not the vault's, and be the same
            if not report.errors and (path.name != CHECKPOINT or (report.size, report.root) != sealed):
                undetected.append((number, path.relative_to(original.tree), change))
        finally:
            path.write_bytes(content)
    assert undetected == []
    assert original.verify().errors == []


def is_verified(path: Path) -> bool:
    """Whether a file is part of what is proven: tiles, entries, the checkpoint.

    Not the index and the state, nor the copy of what the witness has cosigned: here it was asked itself.
    """
    return "tile" in path.parts or path.name == CHECKPOINT


def tampered(random: Random, content: bytes) -> tuple[str, bytes | None]:
    """What was done to a file, and what it then holds; None: it is removed."""
    change = random.choice(["flip", "flip", "flip", "cut", "removed", "moved", "put in"])
    at, size = random.randrange(len(content)), random.randint(1, 40)
    match change:
        case "flip":
            return change, content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
        case "cut":
            return change, content[:at]
        case "moved":
            changed = content[size:] + content[:size]
            return change, changed if changed != content else None
        case "put in":
            return change, content[:at] + random.randbytes(size) + content[at:]
    return change, None


def test_a_removed_bundle_and_a_removed_tile(case):
    case.files.remove(entries_path(1))
    assert case.verify().errors == ["missing or damaged: entries, leaves 256 to 511"]
    case.files.remove("tile/0/000")
    assert case.verify().errors == ["missing or damaged: tile, leaves 0 to 255"]


def test_a_changed_hash_in_any_tile(case):
    for name in ("tile/0/001", "tile/1/000.p/2"):
        path = case.tree / name
        content = path.read_bytes()
        path.write_bytes(content[:32] + bytes([content[32] ^ 1]) + content[33:])
        assert case.verify().errors
        path.write_bytes(content)
    assert case.verify().errors == []


def test_an_old_copy_of_everything_is_told_by_what_the_witness_has_seen(case, original):
    old = original.directory.parent / "old"
    assert verify(old, [KEY], witnesses=[case.witness.key]).errors == []  # it was genuine once
    assert case.verify(old).errors == [
        f"the log is older than a checkpoint seen before: {COUNT // 2} leaves are missing at its end"
    ]


def test_an_old_checkpoint_over_the_newer_files(case, original):
    for name in (CHECKPOINT, COSIGNED):
        shutil.copy(original.directory.parent / "old" / name, case.tree / name)
    assert any("older than a checkpoint" in each for each in case.verify().errors)


def test_a_fork_that_was_never_cosigned(case):
    case.forge(case.entries())
    for name in (CHECKPOINT, COSIGNED):
        note = Note.parse((case.tree / name).read_bytes())
        (case.tree / name).write_bytes(Note(note.text, note.signatures[:1]).encode())
    report = verify(case.tree, [KEY], witnesses=[case.witness.key])
    assert report.errors == ["the witness has cosigned none of this log's checkpoints"]


def test_a_signature_of_another_key(case):
    other = bytes(32)
    note = Checkpoint(KEY.name, 1, bytes(32)).signed(KEY, lambda message: hazmat.sign(other, message))
    (case.tree / CHECKPOINT).write_bytes(note.encode())
    assert case.verify().errors
    (case.tree / CHECKPOINT).unlink()
    assert case.verify().errors == ["there is no checkpoint"]


def test_removed_entries_without_a_statement_or_with_a_forged_one(case):
    case.files.remove(entries_path(0))
    assert case.verify().errors
    root = SealedLog.open(case.directory).tiles.root()
    forged = Truncation(KEY.name, 256, COUNT, root, 5).signed(KEY, lambda m: hazmat.sign(bytes(32), m))
    (case.tree / "truncated").write_bytes(forged.encode())
    assert case.verify().errors
    wrong = Truncation(KEY.name, 256, COUNT, bytes(32), 5).signed(KEY, sign)
    (case.tree / "truncated").write_bytes(wrong.encode())
    assert case.verify().errors == ["the statement about removed entries is about another tree"]


def test_a_record_that_was_kept_from_the_sealer_shows_as_a_missing_number(tmp_path):
    log = writer(tmp_path)
    for seq in (1, 2, 4, 5, 9):
        log.append(read_of(seq, ALICE, time_ms=10_000 - 2000 * (seq == 4)))
    log.close()
    seal(tmp_path)
    report = verify(tmp_path / TREE, [KEY])
    assert report.errors == []
    assert report.notes == [
        "w0: 4 numbers have no record (refused, or dropped before sealing)",
        "w0: its clock went back by 2.0 s",
    ]


def test_leaves_that_no_witness_has_seen_yet_and_a_clock_ahead_of_its_own(tmp_path):
    witness = LocalWitness(tmp_path / "witness")
    directory = tmp_path / "log"
    directory.mkdir()
    log = writer(directory)
    for seq in range(1, 301):
        log.append(read_of(seq, ALICE, time_ms=4_000_000_000_000))
    log.close()
    seal(directory, witness)
    log = writer(directory)
    log.append(read_of(301, ALICE, time_ms=4_000_000_000_000))
    log.close()
    seal(directory)
    report = verify(directory / TREE, [KEY], witnesses=[witness.key])
    assert (report.errors, report.cosigned) == ([], 300)
    assert "the witness has not seen the last 1 leaves yet" in report.notes
    assert "records are dated later than the witness's cosignature of them: clocks differ" in report.notes
    witness.close()
