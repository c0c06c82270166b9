import hashlib
import random

import pytest

from tests.unit.audit.samples import act_of, read_of, writer
from tests.unit.audit.sealed.samples import seal
from vault.audit.records import (
    MASKED,
    PLAIN,
    ActRecord,
    ReadRecord,
    decode,
    encode_act,
    encode_read,
    read_body_chunk,
    read_item,
    unknown_counts,
)
from vault.audit.sealed import upkeep as upkeep_module
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.index import FANOUT, Index, entries_of
from vault.audit.sealed.leaves import locators_of
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.state import State
from vault.audit.sealed.upkeep import Upkeep
from vault.errors import Reason
from vault.tlog.proving import TILE_LEAVES


def name_of(customer: int) -> bytes:
    return hashlib.blake2b(bytes([customer]), digest_size=16).digest()


def test_runs_are_merged_and_found_in(tmp_path):
    index, rng = Index(tmp_path / "index"), random.Random(2)
    expected: dict[int, set[int]] = {}
    for first in range(0, 70 * 256, 256):
        entries = b""
        for leaf in range(first, first + 256):
            customer = rng.randrange(200)
            entries += entries_of([name_of(customer)], leaf)
            expected.setdefault(customer, set()).add(leaf)
        index.add(first, first + 256, entries)
        while index.merge():
            pass
    assert len(index.runs()) < 2 * FANOUT
    assert [run.first for run in index.runs()][1:] == [run.end for run in index.runs()][:-1]
    for customer, leaves in expected.items():
        assert index.lookup([name_of(customer)]) == (leaves, 70 * 256)
    assert index.lookup([name_of(201)]) == (set(), 70 * 256)
    assert index.lookup([name_of(1), name_of(2)])[0] == expected[1] | expected[2]


def test_what_a_crash_left_of_a_merge_is_neither_used_twice_nor_kept(tmp_path):
    index = Index(tmp_path)
    index.add(0, 2, entries_of([name_of(1)], 0))
    index.add(2, 4, entries_of([name_of(1)], 3))
    index.add(0, 4, entries_of([name_of(1)], 3) + entries_of([name_of(1)], 0))
    (tmp_path / "0000000000004-0000000000008.new").write_bytes(b"half")
    assert index.lookup([name_of(1)]) == ({0, 3}, 4)
    index.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["0000000000000-0000000000004.run"]


def test_a_customer_is_found_indexed_or_not_compressed_or_not(tmp_path):
    log, rng = writer(tmp_path, segment_bytes=1 << 20), random.Random(4)
    made: dict[int, list[int]] = {customer: [] for customer in range(40)}
    for leaf in range(5000):
        who = sorted(rng.sample(range(39), rng.randrange(3)))
        log.append(read_of(leaf + 1, *map(name_of, who)))
        for customer in who:
            made[customer].append(leaf)
    log.close()
    seal(tmp_path)
    upkeep, state = Upkeep(TreeFiles(tmp_path / TREE)), State.read(tmp_path / TREE)
    working = True
    while working:
        sealed = SealedLog.open(tmp_path)
        for customer in (0, 17, 39):
            assert sealed.locations([name_of(customer)]) == made[customer]
        assert sealed.locations([name_of(3), name_of(4)]) == sorted({*made[3], *made[4]})
        working = upkeep.step(state, eager=True)
    assert upkeep.backlog(state) == 0
    assert not (tmp_path / TREE / "tile" / "entries" / "000").exists()


def test_one_step_indexes_no_more_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep_module, "RUN_ENTRIES", 700)
    log = writer(tmp_path, segment_bytes=1 << 20)
    for leaf in range(10 * TILE_LEAVES):
        log.append(read_of(leaf + 1, name_of(leaf % 40)) if leaf % 9 else act_of(leaf + 1, name_of(7)))
    log.close()
    seal(tmp_path)
    upkeep, state = Upkeep(TreeFiles(tmp_path / TREE)), State.read(tmp_path / TREE)
    left = []
    while upkeep.backlog(state):
        assert upkeep.step(state, eager=True)
        left.append(upkeep.backlog(state) // TILE_LEAVES)
    assert left == [7, 4, 1, 0]


def test_what_is_not_indexed_is_told_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep_module, "RUN_ENTRIES", 5 * TILE_LEAVES)
    log = writer(tmp_path, segment_bytes=1 << 20)
    for leaf in range(7 * TILE_LEAVES):
        customers = 1 if leaf < 2 * TILE_LEAVES else 9  # large records are indexed few at a time
        log.append(read_of(leaf + 1, *map(name_of, range(customers))))
    log.close()
    seal(tmp_path)
    files = TreeFiles(tmp_path / TREE)
    upkeep, state = Upkeep(files), State.read(tmp_path / TREE)
    sizes = [files.raw_bytes(index) for index in range(7)]
    while upkeep.backlog(state):
        waiting = sizes[-(upkeep.backlog(state) // TILE_LEAVES) :]
        assert upkeep.backlog_bytes(state) == pytest.approx(sum(waiting), rel=0.3)
        upkeep.step(state, eager=True)
    assert upkeep.backlog_bytes(state) == 0


@pytest.mark.parametrize("counts", [(), (1,), (3, 3, 3), (1, 2, 3), (2, 2, 5), (0, 4)])
def test_locators_are_those_that_decoding_finds(counts):
    items = read_item(1, 2, PLAIN) + read_item(2, 3, MASKED) + read_item(3, 3, PLAIN) * 3
    groups = b"".join(read_body_chunk(name_of(n), items[: 5 * count]) for n, count in enumerate(counts))
    for unknown in (b"", unknown_counts({Reason.TOKEN_UNKNOWN: 2, Reason.DOMAIN_DENIED: 1})):
        body = encode_read(1, 2, 3, 1, 4, groups, unknown)[8:]
        record = decode(body)
        assert isinstance(record, ReadRecord)
        assert list(locators_of(body)) == [group.locator for group in record.groups]
    act = ActRecord(1, 2, 3, "Act", locators=tuple(map(name_of, range(len(counts)))))
    assert tuple(locators_of(encode_act(act)[8:])) == act.locators
