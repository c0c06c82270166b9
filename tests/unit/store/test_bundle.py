from pathlib import Path

import pytest

from vault.errors import IntegrityFailedError, InvalidRequestError, StorageFormatError
from vault.store import bundle
from vault.store.bundle import Bundle, bundle_name, bundles, clear_leftovers, making, outdated, remove

VAULT_ID = bytes(range(16))


def make(directory: Path, created_ms: int, content: bytes = b"content", kind: str = "data") -> Bundle:
    name = bundle_name(created_ms)
    with making(
        directory, name, kind=kind, vault_id=VAULT_ID, created_ms=created_ms, facts={"epoch": 1}
    ) as path:
        (path / "below").mkdir()
        (path / "below" / "file").write_bytes(content)
    return Bundle.read(directory / name, kind)


def test_what_was_written_is_described(tmp_path: Path) -> None:
    made = make(tmp_path, 1_000)
    assert (made.vault_id, made.facts, made.bytes) == (VAULT_ID, {"epoch": 1}, 7)
    assert made.damaged() == []
    assert made.path.name == "19700101T000001.000Z"
    made.copy_file("below/file", tmp_path / "elsewhere" / "file")
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"content"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="disk"),
        making(tmp_path, "name", kind="data", vault_id=VAULT_ID, created_ms=1, facts={}),
    ):
        raise OSError("disk")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while one is made nor while one is removed."""
    monkeypatch.setattr(bundle.shutil, "rmtree", lambda *_, **__: None)  # as if the process had died before
    unfinished = making(tmp_path, "name", kind="data", vault_id=VAULT_ID, created_ms=1, facts={})
    with pytest.raises(KeyboardInterrupt), unfinished:
        raise KeyboardInterrupt
    remove(make(tmp_path, 1_000))
    assert len(list(tmp_path.iterdir())) == 2
    assert bundles(tmp_path, "data") == []
    monkeypatch.undo()
    assert clear_leftovers(tmp_path, 60) == 0  # they may be going on
    assert clear_leftovers(tmp_path, 0) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["changed", "longer", "missing"])
def test_damage_is_found(tmp_path: Path, change: str) -> None:
    made = make(tmp_path, 1_000)
    file = made.path / "below" / "file"
    match change:
        case "changed":
            file.write_bytes(b"Content")
        case "longer":
            file.write_bytes(b"content.")
        case "missing":
            file.unlink()
    assert made.damaged() == ["below/file"]
    if change != "missing":
        with pytest.raises(IntegrityFailedError):
            made.copy_file("below/file", tmp_path / "copy")


def test_manifests_that_are_none(tmp_path: Path) -> None:
    made = make(tmp_path, 1_000)
    with pytest.raises(InvalidRequestError, match="another kind"):
        Bundle.read(made.path, "keyring")
    with pytest.raises(InvalidRequestError, match=r"MANIFEST\.json"):
        Bundle.read(tmp_path, "data")
    manifest = made.path / "MANIFEST.json"
    content = manifest.read_text()
    manifest.write_text(content.replace('"format": 1', '"format": 9'))
    with pytest.raises(StorageFormatError):
        Bundle.read(made.path, "data")
    manifest.write_text(content[:-9])
    with pytest.raises(IntegrityFailedError):
        Bundle.read(made.path, "data")


def test_no_name_is_used_twice(tmp_path: Path) -> None:
    make(tmp_path, 1_000)
    with pytest.raises(InvalidRequestError, match="already"):
        make(tmp_path, 1_000)


def test_what_may_go(tmp_path: Path) -> None:
    found = [make(tmp_path, day * 1_000) for day in range(1, 6)]
    make(tmp_path, 9_000, kind="keyring")
    assert bundles(tmp_path, "data") == found

    def going(keep: int, older_than_ms: int | None, worthless: int = 0) -> list[int]:
        chosen = outdated(
            found, keep=keep, older_than_ms=older_than_ms, worthless=lambda each: each.created_ms == worthless
        )
        return [each.created_ms // 1_000 for each in chosen]

    assert going(2, None) == [1, 2, 3]
    assert going(2, 2_500) == [1, 2]
    assert going(0, 3_000) == [1, 2]
    assert going(9, None) == []
    assert going(9, None, worthless=4_000) == [4]
    assert going(2, None, worthless=5_000) == [1, 2, 5]
