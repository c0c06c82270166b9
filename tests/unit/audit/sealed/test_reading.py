"""What is sealed and what is not is one log: nothing missing, nothing twice, the same pages."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, read_of, writer
from tests.unit.audit.sealed.samples import seal, sealer
from tests.unit.audit.test_reader import all_pages
from vault.audit.check import check, status
from vault.audit.reader import AccessFilter, Entry, list_access, records


def positions(directory):
    return [(e.segment, e.offset) for e in records(directory) if isinstance(e, Entry)]


@pytest.mark.parametrize("wanted", [{}, {"locators": frozenset([ALICE])}, {"principal_id": 3}])
def test_pages_do_not_move_when_records_are_sealed(tmp_path, wanted):
    rng = random.Random(1)
    logs = [writer(tmp_path, f"w{n}", segment_bytes=8192) for n in range(2)]
    for seq in range(1, 900):
        who = ALICE if rng.random() < 0.3 else BOB
        record = read_of(seq, who, time_ms=NOW + seq // 3, principal_id=rng.randrange(5))
        rng.choice(logs).append(record if seq % 11 else act_of(seq, who, time_ms=NOW + seq // 3))
    before = all_pages(tmp_path, 70, **wanted)
    token = list_access(tmp_path, AccessFilter(page_size=70, **wanted)).next_page_token
    second = list_access(tmp_path, AccessFilter(page_size=70, page_token=token, **wanted)).accesses
    seal(tmp_path)
    after = all_pages(tmp_path, 70, **wanted)
    assert [(a.time_ms, a.worker, a.seq) for a in after] == [(a.time_ms, a.worker, a.seq) for a in before]
    assert {each.leaf is None for each in before} == {True}
    assert {each.leaf is None for each in after} == {False}
    again = list_access(tmp_path, AccessFilter(page_size=70, page_token=token, **wanted)).accesses
    assert [each.seq for each in again] == [each.seq for each in second]
    for log in logs:
        log.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["read", "act", "seal", "list"]), max_size=60))
def test_every_record_is_found_once_at_every_moment(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("log")
    log = writer(directory, segment_bytes=1024)
    made = []
    for step in steps:
        if step == "seal":
            seal(directory)
        elif step == "list":
            found = all_pages(directory, 7, locators=frozenset([ALICE]))
            assert [each.seq for each in found] == made[::-1]
        else:
            made.append(log.next_seq())
            log.append((read_of if step == "read" else act_of)(made[-1], ALICE, time_ms=NOW + made[-1]))
    assert sorted(e.record.seq for e in records(directory) if isinstance(e, Entry)) == made
    log.close()
    assert status(directory).records == len(made)
    assert not list(check(directory))


def test_readers_beside_a_sealer_miss_nothing(tmp_path):
    log = writer(tmp_path, segment_bytes=4096)
    one = sealer(tmp_path)
    ended = threading.Event()

    def keep_sealing():
        while not ended.is_set():
            one.seal()

    thread = threading.Thread(target=keep_sealing)
    thread.start()
    try:
        for seq in range(1, 400):
            log.append(read_of(seq, ALICE, time_ms=NOW + seq))
            if seq % 10 == 0:
                found = all_pages(tmp_path, 100, locators=frozenset([ALICE]))
                assert [each.seq for each in found] == list(range(seq, 0, -1))
                assert len(set(positions(tmp_path))) == seq
    finally:
        ended.set()
        thread.join()
        one.close()
        log.close()


def test_the_check_of_a_stopped_vault_names_tiles_that_were_changed(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 300):
        log.append(read_of(seq, ALICE))
    log.close()
    seal(tmp_path)
    assert not list(check(tmp_path))
    tile = tmp_path / "tree" / "tile" / "0" / "001.p" / "43"
    tile.write_bytes(tile.read_bytes()[:-1] + b"\x00\x00")
    (finding,) = check(tmp_path)
    assert (finding.segment, finding.known) == ("tree", False)
    (tmp_path / "tree" / "state").write_bytes(b"{")
    assert "damaged" in next(check(tmp_path)).problem
