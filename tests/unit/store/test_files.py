import os
from pathlib import Path

from vault.store.files import remove_gradually


def test_a_large_file_is_unlinked_and_its_space_freed(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(9 << 20))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        remove_gradually(path)
        assert not path.exists()
        assert os.fstat(descriptor).st_size == 0
        assert os.fstat(descriptor).st_blocks == 0
    finally:
        os.close(descriptor)


def test_an_empty_file_is_removed_too(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    remove_gradually(path)
    assert not path.exists()
