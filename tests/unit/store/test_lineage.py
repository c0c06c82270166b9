import shutil
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID, sign, verify
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.store.entries import GenerationShredded, Genesis, KeyringCopied
from vault.store.ledger import Ledger, pack_body
from vault.store.lineage import Known, copy_ledger, head_of, opened_ledger, require_whole


def append(path: Path, count: int, payload: KeyringCopied | GenerationShredded) -> None:
    ledger = Ledger.open(path, VAULT_ID, verify)
    try:
        for _ in range(count):
            ledger.append_all([pack_body(ledger.last.seq + 1, 0, payload)], sign)
    finally:
        ledger.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Ten entries."""
    path = tmp_path / "entries"
    Ledger.create(path)
    ledger = Ledger.open(path, VAULT_ID, verify)
    ledger.append_all([pack_body(1, 0, Genesis(VAULT_ID, bytes(32)))], sign)
    ledger.close()
    append(path, 9, KeyringCopied(1))
    return path


def head(path: Path) -> Known:
    with opened_ledger(path, VAULT_ID, verify, None) as ledger:
        return head_of(ledger, "a copy")


def require(path: Path, *known: Known) -> None:
    with opened_ledger(path, VAULT_ID, verify, None) as ledger:
        require_whole(ledger, known)


def test_an_older_copy_is_part_of_the_history(path: Path, tmp_path: Path) -> None:
    older = Path(shutil.copy(path, tmp_path / "older"))
    append(path, 3, KeyringCopied(2))
    require(path, head(older), head(path), Known(7, None, "somebody"), Known(0, None, "nobody"))
    with pytest.raises(InvalidRequestError, match="ends at entry 10, but a copy knows entry 13"):
        require(older, head(path))


def test_a_fork_is_found_however_far_both_went_on(path: Path, tmp_path: Path) -> None:
    fork = Path(shutil.copy(path, tmp_path / "fork"))
    append(fork, 2, GenerationShredded(REGION, 1, 1))
    append(path, 3, KeyringCopied(2))
    with pytest.raises(InvalidRequestError, match="forked: up to entry 12"):
        require(path, head(fork))
    append(fork, 5, KeyringCopied(3))
    with pytest.raises(InvalidRequestError, match="forked: up to entry 13"):
        require(fork, head(path))


def test_a_copy_of_a_ledger_can_be_continued(path: Path, tmp_path: Path) -> None:
    """Its torn tail is not in it."""
    content = bytearray(path.read_bytes())
    with opened_ledger(path, VAULT_ID, verify, None) as ledger:
        end = ledger.last.offset
        content[end + 4 : end + 9] = b"torn."
        path.write_bytes(content)
        copy_ledger(path, ledger, tmp_path / "copy")
    assert head(tmp_path / "copy") == head(path)
    assert b"torn." not in (tmp_path / "copy").read_bytes()
    append(tmp_path / "copy", 1, KeyringCopied(5))
    assert head(tmp_path / "copy").seq == 11
    require(tmp_path / "copy", head(path))


def test_a_missing_ledger(tmp_path: Path) -> None:
    with pytest.raises(IntegrityFailedError), opened_ledger(tmp_path / "none", VAULT_ID, verify, None):
        pass
