from pathlib import Path

import pytest

from vault.errors import IntegrityFailedError
from vault.store.swapping import begin_staging, begin_swap, discard_staging, finish_swap

NAMES = ["values", "index/1", "CURRENT"]


class KilledError(Exception):
    pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with stores, of which one is missing, and others staged."""
    for name in ("values", "index/1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("old")
    staged = begin_staging(tmp_path)
    for name in ("values", "index/1"):
        (staged / name).mkdir(parents=True)
        (staged / name / "file").write_text("new")
    (staged / "CURRENT").write_text("new")
    return tmp_path


def content(root: Path) -> dict[str, str]:
    return {str(each.relative_to(root)): each.read_text() for each in root.rglob("*") if each.is_file()}


def test_new_takes_the_place_of_old(root: Path) -> None:
    begin_swap(root, NAMES, {"said": 1})
    assert finish_swap(root) == {"said": 1}
    assert content(root) == {"values/file": "new", "index/1/file": "new", "CURRENT": "new"}
    assert finish_swap(root) is None


def test_every_step_can_be_the_last_before_a_crash(root: Path, tmp_path: Path) -> None:
    begin_swap(root, NAMES, {})
    steps: list[str] = []
    while True:
        seen = len(steps)

        def stop(step: str, seen: int = seen) -> None:
            if step not in steps:
                steps.append(step)
                raise KilledError

        try:
            finish_swap(root, stop)
        except KilledError:
            assert (root / "RESTORING").exists()
            continue
        break
    assert steps == [
        "aside values", "placed values", "aside index/1", "placed index/1", "placed CURRENT", "cleared",
    ]  # fmt: skip
    assert content(root) == {"values/file": "new", "index/1/file": "new", "CURRENT": "new"}


def test_before_the_swap_everything_can_be_dropped(root: Path) -> None:
    discard_staging(root)
    assert content(root) == {"values/file": "old", "index/1/file": "old"}


def test_a_swap_that_has_begun_is_not_dropped(root: Path) -> None:
    begin_swap(root, NAMES, {})
    with pytest.raises(RuntimeError):
        discard_staging(root)


def test_a_damaged_marker_stops_everything(root: Path) -> None:
    (root / "RESTORING").write_text("{")
    with pytest.raises(IntegrityFailedError):
        finish_swap(root)
