"""A loss of power at any moment leaves a vault that opens, and that holds what its callers were told.

A short life of a vault runs in a process whose every write, sync, rename and removal is recorded, with the
acknowledgements between them. Then the power is lost again and again: for a prefix of the recorded calls the
directory is rebuilt as a disk may hold it at that moment, the vault is opened from it, and
- everything acknowledged before the cut is there, whole, with its version and key generation;
- the step that was under way has happened wholly or not at all, and repeating it completes it, once;
- shredded customers stay shredded, and no number is given out a second time;
- the offline check finds nothing wrong afterwards.

What the model of the disk assumes (see `support/crash_power/disk.py`): `fsync` and `fdatasync` cover a file's
content and length, O_DSYNC the one write; without them a write may be there, be missing, or be torn between
sectors of 512 bytes; names are safe only once their directory was synced, unsynced changes of names survive
in their order up to some point, and a rename is one step. A disk that lies about a sync is not covered.

`CVAULT_POWER_LOSS_CUTS` sets how many cuts are tried: a number, or `all`.
"""

import json
import os
import random
import resource
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.support.crash_power import scenario
from tests.scenarios.support.crash_power.disk import Disk, Loss
from tests.scenarios.support.crash_power.judging import Cut, Judge, cuts, describe, rebuilt, tokens_given
from tests.scenarios.support.crash_power.recording import Call, Kind, build_recorder, record
from vault.config import load_settings
from vault.keys.unlock import EDK_BYTES, unlock

CUTS = os.environ.get("CVAULT_POWER_LOSS_CUTS", "100")
FOUNDING_CUTS = 8
_SETTINGS = """
[keys]
key_file = {key_file}
[audit]
segment_bytes = 65536
"""


class Recorded:
    """The recorded life: the directory at its end, the calls, and the key that opens it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        self.settings_text = _SETTINGS.format(key_file=json.dumps(str(folder / "key")))
        (folder / "key").write_bytes(bytes(range(64)))
        self.prepare(self.root)
        library, marks = build_recorder(folder), folder / "marks"
        module = scenario.__name__
        self.calls: Sequence[Call] = record(library, module, [str(self.root), str(marks)], self.root, marks)
        self.settings = load_settings(self.root)
        edk = unlock(self.root, self.settings, None)
        self.edk = bytes(edk.view(0, EDK_BYTES))
        edk.free()
        self.judge = Judge(self.settings, self.edk, tokens_given(self.calls))

    def prepare(self, root: Path) -> None:
        """Makes a directory with nothing but the configuration in it."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700)
        (root / "vault.toml").write_text(self.settings_text)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("power-loss").resolve())


def test_the_recorder_misses_nothing(recorded: Recorded, tmp_path: Path) -> None:
    disk = Disk()
    for call in recorded.calls:
        disk.take(call)
    root = tmp_path / "data"
    recorded.prepare(root)
    disk.rebuild(root, Loss.NOTHING)
    mapped = {call.path for call in recorded.calls if call.kind is Kind.MAPPED}
    assert {Path(path).name for path in mapped} == {"lock.mdb"}, "only LMDB's lock may be mapped"
    assert _contents(root, mapped) == _contents(recorded.root, mapped)


def test_whatever_was_acknowledged_survives(recorded: Recorded, tmp_path: Path) -> None:
    every = [cut for cut in cuts(recorded.calls) if cut.done >= -1]
    _allow_many_files()
    _try(recorded, recorded.calls, _choose(recorded.calls, every), tmp_path / "data")


def test_a_vault_that_was_not_yet_founded_can_be_founded_again(recorded: Recorded, tmp_path: Path) -> None:
    every = [cut for cut in cuts(recorded.calls) if cut.done < -1]
    chance = random.Random(1)
    chosen = sorted(chance.sample(every, FOUNDING_CUTS), key=lambda cut: cut.calls) + every[-1:]
    root = tmp_path / "data"
    for cut, disk in rebuilt(recorded.calls, chosen):
        recorded.prepare(root)
        disk.rebuild(root, chance.choice(list(Loss)), cut.calls)
        if not (root / "FORMAT").exists():
            scenario.found_vault(root, recorded.settings)
        edk = unlock(root, recorded.settings, None)
        judge = Judge(recorded.settings, bytes(edk.view(0, EDK_BYTES)), [])
        edk.free()
        judge.judge(root, Cut(cut.calls, -1, -1))


@pytest.mark.parametrize("file", ["ledger/entries", "keyring/1/data.mdb", "values/data.mdb"])
def test_a_sync_that_is_missing_is_noticed(recorded: Recorded, tmp_path: Path, file: str) -> None:
    careless = [_without_sync(call) if call.path == file else call for call in recorded.calls]
    acknowledged = [cut for cut in cuts(careless) if cut.done >= 1 and _is_mark(careless[cut.calls - 1])]
    with pytest.raises(AssertionError, match="acknowledged"):
        _try(recorded, careless, [(cut, Loss.EVERYTHING) for cut in acknowledged], tmp_path / "data")


def _without_sync(call: Call) -> Call:
    """The same call, covering nothing. LMDB ends a commit with a durable write, the ledger with a sync."""
    forgotten = call.kind is Kind.SYNC and call.path == "ledger/entries"
    return replace(call, durable=False, kind=Kind.MAPPED if forgotten else call.kind)


def _is_mark(call: Call) -> bool:
    return call.kind is Kind.MARK


def _try(recorded: Recorded, calls: Sequence[Call], chosen: Sequence[tuple[Cut, Loss]], root: Path) -> None:
    for (cut, disk), (_, loss) in zip(rebuilt(calls, [cut for cut, _ in chosen]), chosen, strict=True):
        recorded.prepare(root)
        disk.rebuild(root, loss, cut.calls)
        try:
            _expect_same_keys(recorded.root, root)
            recorded.judge.judge(root, cut)
        except Exception as error:
            raise AssertionError(f"{describe(cut)}; lost: {loss.value}") from error


def _choose(calls: Sequence[Call], every: Sequence[Cut]) -> list[tuple[Cut, Loss]]:
    """Cuts in order, each with what is lost: those around syncs and acknowledgements come first."""
    if CUTS == "all":
        return [(cut, loss) for cut in every for loss in Loss]
    chance = random.Random(0)
    turning = [cut for cut in every if _is_turn(calls[cut.calls - 1])]
    before = [cut for cut in every if cut.calls < len(calls) and _is_turn(calls[cut.calls])]
    around = [(cut, Loss.EVERYTHING) for cut in turning] + [(cut, Loss.SOMETHING) for cut in before]
    around += [(cut, Loss.NOTHING) for cut in chance.sample(every, len(every) // 10)]
    chosen = chance.sample(around, min(int(CUTS), len(around)))
    return sorted(chosen, key=lambda pair: pair[0].calls)


def _is_turn(call: Call) -> bool:
    return call.kind in (Kind.SYNC, Kind.MARK, Kind.RENAME, Kind.UNLINK) or call.durable


def _expect_same_keys(before: Path, after: Path) -> None:
    """What is not opened anew for each cut, to save time."""
    for pattern in ("root/*", "keyring/*/EDK", "public/*", "tls/ca.crt", "FORMAT", "CURRENT"):
        paths = [path.relative_to(before) for path in before.glob(pattern)]
        assert paths, pattern
        for path in paths:
            assert (after / path).read_bytes() == (before / path).read_bytes(), path


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _contents(root: Path, without: set[str]) -> dict[str, bytes | None]:
    """Every file with its content, every directory with None."""
    paths = {str(path.relative_to(root)): path for path in root.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() else None
        for name, path in paths.items()
        if name not in without
    }
