import hashlib
from pathlib import Path

from tests.unit.store.samples import REGION
from vault.store import hashnotes
from vault.store.copying import PlaneCopy
from vault.store.epochs import create_index, index_path
from vault.store.hashnotes import HashNotes
from vault.store.snapshot import INDEX_TABLES
from vault.store.staging import fill_new_index
from vault.store.surrogatenotes import SurrogateNotes


def test_noted_hashes_fill_an_index_in_their_order(tmp_path: Path, monkeypatch) -> None:
    """Also when they are sorted in several parts."""
    monkeypatch.setattr(hashnotes, "_PARTITION", 70)
    hashes = {number: hashlib.sha256(number.to_bytes(4, "big")).digest()[:16] for number in range(1, 500, 3)}
    create_index(tmp_path, 4)
    with HashNotes(tmp_path / "notes") as notes:
        for number, hashed in hashes.items():
            notes.note(number, [hashed, b""])
        assert notes.at(4) == hashes[4]
        assert notes.at(5) == notes.at(10_000) == b""
        with SurrogateNotes(tmp_path / "surrogates") as surrogates:
            fill_new_index(tmp_path, 4, REGION, notes, [surrogates])
    with PlaneCopy(index_path(tmp_path, 4), INDEX_TABLES) as index:
        rows = list(index.rows("external"))
    assert rows == sorted((hashed, bytes((REGION,)) + n.to_bytes(5, "big")) for n, hashed in hashes.items())
