"""What was shredded is gone from every file, snapshot and backup, once the shred is final; and not before.

A vault works through three epochs and is copied all the while; rotations are killed. Before each rotation the
search must find exactly the keys and customers that were shredded since the last one, and the keys that open
what was deleted or corrected, for they are in the copies, and the index rows of phone numbers that are gone;
after it, none at all. `make forensics` does it
with 50,000 customers, `CVAULT_FORENSICS_CUSTOMERS` sets another number. Where replaced data keys are kept for
data backups, they are found as long as they are. So it is with the records of the access log, which name a
customer by what only its data key makes; the sealed log holds all the while.
"""

import os
import random
import time
from pathlib import Path

import pytest

from tests.scenarios.support.forensics.accesses import told_by_names
from tests.scenarios.support.forensics.copies import copy_data, pieces_of
from tests.scenarios.support.forensics.scanning import SEALED_WINDOW, Hit, Needles
from tests.scenarios.support.forensics.searching import Findings, Search
from tests.scenarios.support.forensics.working import Amounts, Work
from vault.crypto import hazmat

pytestmark = pytest.mark.slow

DEFAULT_CUSTOMERS = 360
CUSTOMERS = int(os.environ.get("CVAULT_FORENSICS_CUSTOMERS", str(DEFAULT_CUSTOMERS)))
KILLED_AT = (("resealing", "verified"), ("created", "swapped"), ("commit-current", "removed"))
EPOCHS = len(KILLED_AT)
KILLS = sum(map(len, KILLED_AT))


def amounts() -> Amounts:
    """A fifth of all customers is shredded: most in their epoch, the others after a rotation was killed."""
    return Amounts(
        customers=CUSTOMERS // EPOCHS,
        shreds=CUSTOMERS // 5 * 4 // 5 // EPOCHS,
        shreds_after_kill=CUSTOMERS // 5 // 5 // KILLS,
        touched=max(2, CUSTOMERS // 500),
    )


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A new vault whose keys are noted from the first on, and which keeps none for data backups."""
    return Work.found(tmp_path, keep_days=0)


def searched(work: Work, *further_root_keys: Path) -> Findings:
    """Everything that can be found now."""
    began = time.monotonic()
    search = Search(work.places, [work.root_keys, *further_root_keys], work.key_file)
    shredded = list(work.shredded.values())
    found = search.run(work.every_key(), work.gone(), shredded, work.phones, work.region)
    assert told_by_names(work.places, work.names()) == set()
    if CUSTOMERS > DEFAULT_CUSTOMERS:
        print(  # noqa: T201 - somebody is waiting
            f"  {len(search.paths):,} files, {found.searched_bytes / 2**20:,.0f} MiB of different bytes;"
            f" epochs that open: {sorted(found.epochs)}; found {len(found.raw)} raw keys,"
            f" {len(found.sealed):,} sealed ones, {len(found.hashed):,} customers and"
            f" {len(found.phones):,} phone numbers in an index,"
            f" {sum(found.accesses.values()):,} accesses of {len(found.accesses):,} customers"
            f" ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    return found


def test_keys_are_found_until_the_shred_is_final_and_nowhere_after(work: Work) -> None:
    final, forgotten, unlisted = set(), set(), set()
    told: set[int] = set()
    for killed_at in KILLED_AT:
        work.an_epoch(amounts())
        gone = work.gone()
        before = searched(work)
        assert before.raw == {}
        assert set(before.sealed) == gone - final
        assert set(before.hashed) == {each.external_id for each in work.shredded.values()} - forgotten
        assert set(before.phones) == {each.external_id for each in work.phones} - unlisted
        assert len(before.epochs) == 1
        assert before.accesses.keys() & work.shredded.keys() == work.shredded.keys() - told
        work.rotate(killed_at, amounts().shreds_after_kill)
        after = searched(work)
        assert (after.raw, after.sealed, after.hashed, after.phones) == ({}, {}, {}, {})
        assert after.accesses == {}
        assert len(after.epochs) == 1
        work.seal()
        assert work.verified().errors == []
        told = set(work.shredded)
        final = work.gone()
        assert gone < final
        assert work.former <= final
        forgotten = {each.external_id for each in work.shredded.values()}
        unlisted = {each.external_id for each in work.phones}


def test_keys_that_are_kept_for_backups_are_found_until_their_time(tmp_path: Path) -> None:
    work = Work.found(tmp_path, keep_days=30)
    work.an_epoch(Amounts(customers=40, shreds=4, shreds_after_kill=0, touched=4))
    work.rotate((), 0)
    kept = work.former - work.ended()
    assert len(kept) == 12
    work.copy("kept")
    assert set(searched(work).sealed) == kept
    work.days = 29
    work.rotate((), 0)
    assert set(searched(work).sealed) == kept
    work.days = 30
    work.rotate((), 0)
    after = searched(work)
    assert (after.raw, after.sealed, after.hashed) == ({}, {}, {})
    assert work.former <= work.ended()


def test_a_copy_of_the_root_keys_keeps_what_is_in_it(work: Work) -> None:
    """The provider `file` promises its best effort, and no more, for this reason."""
    work.an_epoch(Amounts(customers=20, shreds=4, shreds_after_kill=0, touched=1))
    kept = copy_data(work.deployment.data_dir, work.key_file.with_name("kept"), only="root", root_keys=True)
    gone = work.gone()
    work.rotate((), 0)
    assert not searched(work).sealed
    assert set(searched(work, kept / "root").sealed) == gone


def test_the_search_sees_every_offset() -> None:
    keys = [hazmat.random_bytes(32) for _ in range(1000)]
    memory = hazmat.GuardedMemory(64)
    hazmat.load_key(memory.pointer(), keys[0])
    hazmat.load_key(memory.pointer(32), keys[1])
    wrapped = hazmat.seal_secret_at(memory.pointer(), memory.pointer(32), 32, b"some owner")[:SEALED_WINDOW]
    memory.free()
    known = Needles(keys)
    for at in range(40):
        around = hazmat.random_bytes(at), hazmat.random_bytes(39 - at)
        assert known.find_sealed(keys[0], around[0] + wrapped + around[1]) == [Hit(at, 1)]
        assert known.find_sealed(keys[2], around[0] + wrapped + around[1]) == []
        assert known.find(around[0] + keys[999] + around[1]) == [Hit(at, 999)]
    assert known.find_sealed(keys[0], wrapped[:-1]) == []
    assert known.find(keys[3][:-1]) == []


def test_every_window_of_a_file_with_holes_lies_in_a_piece(tmp_path: Path) -> None:
    path, page, chance = tmp_path / "sparse", 1 << 12, random.Random(1)
    written = [0, page, 9 * page + 17, 20 * page - 3, 40 * page, 40 * page + 700, 41 * page, 77 * page + 4000]
    with path.open("wb") as file:
        for at in written:
            file.seek(at)
            file.write(chance.randbytes(SEALED_WINDOW + 30))
        file.truncate(99 * page + 5)
    content, seen = path.read_bytes(), dict[int, bytes]()
    for piece in pieces_of([path], set()):
        assert content[piece.offset : piece.offset + len(piece.data)] == piece.data
        seen |= {piece.offset + at: piece.data[at : at + SEALED_WINDOW] for at in range(page)}
    for at in range(len(content) - SEALED_WINDOW + 1):
        window = content[at : at + SEALED_WINDOW]
        assert seen.get(at, bytes(SEALED_WINDOW)) == window
    assert bytes(SEALED_WINDOW) in seen.values()
