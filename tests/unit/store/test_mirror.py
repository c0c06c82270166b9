"""The mirror: equal to the ledger, byte for byte, or a reason why not."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.store.samples import VAULT_ID, sign, verify
from tests.unit.store.test_ledger import FRAME, append, append_voids, long_payload
from vault.errors import LedgerBehindError, WitnessUnavailableError
from vault.store.entries import Void
from vault.store.frames import AHEAD_BYTES, CHUNK_BYTES
from vault.store.ledger import Ledger
from vault.store.mirror import MIRRORED_FILE, Mirror


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "vault" / "ledger").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    Ledger.create(tmp_path / "vault" / "ledger" / "entries")
    return tmp_path / "vault"


@pytest.fixture
def ledger(root: Path) -> Iterator[Ledger]:
    ledger = opened(root)
    yield ledger
    ledger.close()


@pytest.fixture
def mirror(root: Path) -> Iterator[Mirror]:
    mirror = mirror_of(root)
    yield mirror
    mirror.close()


def opened(root: Path) -> Ledger:
    return Ledger.open(root / "ledger" / "entries", VAULT_ID, verify)


def mirror_of(root: Path) -> Mirror:
    return Mirror(root, root.parent / "elsewhere")


def mirrored_file(root: Path) -> Path:
    return root.parent / "elsewhere" / "entries"


def assert_equal(root: Path, ledger: Ledger) -> None:
    end = ledger.last.offset
    mirrored = mirrored_file(root).read_bytes()
    assert mirrored[:end] == (root / "ledger" / "entries").read_bytes()[:end]
    assert not any(mirrored[end:])


def hold_anew(root: Path, ledger: Ledger) -> None:
    mirror = mirror_of(root)
    try:
        mirror.hold(ledger)
    finally:
        mirror.close()


def test_the_mirror_is_a_ledger_of_its_own(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    for count in (0, 1, 3, 200):
        append_voids(ledger, count)
        mirror.hold(ledger)
        assert_equal(root, ledger)
    restored = Ledger.open(mirrored_file(root), VAULT_ID, verify, durable_seq=204)
    assert restored.last == ledger.last
    restored.verify_signatures()
    restored.close()


def test_a_long_ledger_is_mirrored_in_pieces(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    while ledger.last.offset < 2 * CHUNK_BYTES:
        append(ledger, long_payload(20_000))
    mirror.hold(ledger)
    assert_equal(root, ledger)
    assert mirrored_file(root).stat().st_size >= ledger.last.offset + AHEAD_BYTES


def test_what_a_crash_left_of_a_write_is_completed(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    append(ledger, Void(9), long_payload(), Void(10))
    whole = (root / "ledger" / "entries").read_bytes()
    start, end = 3 * FRAME, ledger.last.offset
    for arrived in (range(start, start + 1), range(start + 4, end), range(end - 700, end), range(4096, 5000)):
        torn = bytearray(whole[:start] + bytes(len(whole) - start))
        torn[arrived.start : arrived.stop] = whole[arrived.start : arrived.stop]
        mirrored_file(root).write_bytes(torn)
        hold_anew(root, ledger)
        assert_equal(root, ledger)


def test_an_older_mirror_catches_up(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 2)
    mirror.hold(ledger)
    older = mirrored_file(root).read_bytes()
    append_voids(ledger, 50)
    mirror.hold(ledger)
    mirrored_file(root).write_bytes(older)
    hold_anew(root, ledger)
    assert_equal(root, ledger)


def rolled_back(content: bytes) -> bytes:
    return content[: 3 * FRAME] + bytes(len(content) - 3 * FRAME)


def emptied(content: bytes) -> bytes:
    return bytes(len(content))


@pytest.mark.parametrize("change", [rolled_back, emptied])
@pytest.mark.parametrize("goes_on", [0, 1, 40])
def test_a_ledger_that_was_rolled_back_is_behind(
    root: Path, ledger: Ledger, mirror: Mirror, change: Callable[[bytes], bytes], goes_on: int
) -> None:
    append_voids(ledger, 5)
    mirror.hold(ledger)
    path = root / "ledger" / "entries"
    path.write_bytes(change(path.read_bytes()))
    back = opened(root)
    assert back.last.seq < 5
    append(back, *[Void(1000 + number) for number in range(goes_on)])
    before = mirrored_file(root).read_bytes()
    with pytest.raises(LedgerBehindError):
        hold_anew(root, back)
    assert mirrored_file(root).read_bytes() == before
    back.close()


def test_every_changed_byte_of_a_mirrored_entry_shows(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    whole = mirrored_file(root).read_bytes()
    for at in range(FRAME, 2 * FRAME):
        changed = bytearray(whole)
        changed[at] ^= 0xFF if whole[at] != 0xFF else 0x01
        mirrored_file(root).write_bytes(changed)
        with pytest.raises(LedgerBehindError):
            hold_anew(root, ledger)


def test_entries_beyond_the_ledger_show_in_a_mirror_already_compared(
    root: Path, ledger: Ledger, mirror: Mirror
) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    with mirrored_file(root).open("r+b") as file:
        file.seek(3 * FRAME + 100_000)
        file.write(b"x")
    with pytest.raises(LedgerBehindError):
        mirror.hold(ledger)


def test_a_missing_directory_is_unavailable_and_not_made(root: Path, ledger: Ledger) -> None:
    (root.parent / "elsewhere").rmdir()
    with pytest.raises(WitnessUnavailableError, match="directory"):
        hold_anew(root, ledger)
    assert not (root.parent / "elsewhere").exists()


def test_an_empty_directory_is_a_disk_that_is_not_mounted(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    mirrored_file(root).unlink()
    for view in (mirror, mirror_of(root)):
        with pytest.raises(WitnessUnavailableError):
            view.hold(ledger)
        view.close()
    assert not mirrored_file(root).exists()
    (root / "ledger" / MIRRORED_FILE).unlink()
    hold_anew(root, ledger)
    assert_equal(root, ledger)


def test_another_directory_gets_a_new_mirror(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    (root.parent / "third").mkdir()
    other = Mirror(root, root.parent / "third")
    other.hold(ledger)
    other.close()
    assert (root.parent / "third" / "entries").read_bytes()[: 3 * FRAME] == (
        mirrored_file(root).read_bytes()[: 3 * FRAME]
    )


def test_a_mirror_that_was_put_in_its_place_is_compared_anew(
    root: Path, ledger: Ledger, mirror: Mirror
) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    other = mirrored_file(root).with_name("other")
    other.write_bytes(mirrored_file(root).read_bytes()[:FRAME] + b"x" * FRAME)
    other.replace(mirrored_file(root))
    with pytest.raises(LedgerBehindError):
        mirror.hold(ledger)


def test_the_ledger_is_no_mirror_of_itself(root: Path, ledger: Ledger) -> None:
    mirror = Mirror(root, root / "ledger")
    with pytest.raises(WitnessUnavailableError, match="itself"):
        mirror.hold(ledger)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "posix_fallocate"])
def test_a_failing_disk_is_unavailable_and_then_compared_anew(
    root: Path, ledger: Ledger, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    append_voids(ledger, 3)
    mirror.hold(ledger)
    while ledger.last.offset < CHUNK_BYTES:
        append(ledger, long_payload(20_000))

    def failing(*_: object) -> None:
        raise OSError(28, "made up")

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(WitnessUnavailableError):
        mirror.hold(ledger)
    monkeypatch.undo()
    mirror.hold(ledger)
    assert_equal(root, ledger)


def test_a_signature_in_the_mirror_is_the_ledgers(root: Path, ledger: Ledger, mirror: Mirror) -> None:
    append_voids(ledger, 1)
    mirror.hold(ledger)
    entry = next(ledger.entries())
    assert mirrored_file(root).read_bytes()[FRAME - 64 : FRAME] == entry.signature
    assert entry.signature != sign(b"", b"")
