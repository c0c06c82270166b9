"""The log in the order recorded: nothing twice and nothing left out while records come and are sealed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, read_of, writer
from tests.unit.audit.sealed.samples import seal
from vault.audit import searching
from vault.audit.listing import open_directory
from vault.audit.reader import PAGE_DETAIL_BYTES, AccessFilter, list_access
from vault.audit.recorded import Place, list_recorded
from vault.audit.records import ActRecord, encode_act
from vault.audit.sealed import scanning
from vault.errors import InvalidRequestError


def read_on(directory, token, page_size=7, **wanted):
    """What is listed from a token on until all is, and the next token."""
    found = []
    while True:
        page = list_recorded(directory, AccessFilter(page_size=page_size, page_token=token, **wanted))
        assert len(page.accesses) <= page_size
        found += [each.seq for each in page.accesses]
        token = page.next_page_token
        if page.is_complete:
            return found, token


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["w0", "w1", "close", "seal", "list", "page"]), max_size=80), st.booleans())
def test_nothing_is_listed_twice_or_left_out(tmp_path_factory, steps, of_alice):
    directory = tmp_path_factory.mktemp("log")
    logs = {name: writer(directory, name, segment_bytes=1024) for name in ("w0", "w1")}
    wanted = {"locators": frozenset([ALICE])} if of_alice else {}
    made, found, token = [], [], ""
    for number, step in enumerate(steps, 1):
        if step == "seal":
            seal(directory)
        elif step == "close":
            logs["w0"].close()
            logs["w0"] = writer(directory, "w0", segment_bytes=1024)
        elif step == "list":
            listed, token = read_on(directory, token, **wanted)
            found += listed
            assert sorted(found) == made
        elif step == "page":
            page = list_recorded(directory, AccessFilter(page_size=2, page_token=token, **wanted))
            found, token = found + [each.seq for each in page.accesses], page.next_page_token
        else:
            who = ALICE if number % 3 else BOB
            logs[step].append((read_of if number % 2 else act_of)(number, who, time_ms=NOW + number))
            made += [number] if who == ALICE or not of_alice else []
    listed, token = read_on(directory, token, **wanted)
    assert sorted(found + listed) == made
    for log in logs.values():
        log.close()


def test_who_begins_behind_everything_sees_only_what_comes(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 300):
        log.append(read_of(seq, ALICE))
    seal(tmp_path)
    log.append(read_of(300, ALICE))
    page = list_recorded(tmp_path, AccessFilter(), only_new=True)
    assert (page.accesses, page.is_complete) == ((), True)
    log.append(read_of(301, ALICE))
    seal(tmp_path)
    log.append(read_of(302, ALICE))
    assert read_on(tmp_path, page.next_page_token)[0] == [301, 302]
    log.close()


def test_sealed_records_come_by_leaf_and_older_bundles_are_passed_over(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 601):
        log.append(read_of(seq, ALICE, time_ms=NOW + seq))
    log.close()
    seal(tmp_path)
    page = list_recorded(tmp_path, AccessFilter(page_size=1000, start_ms=NOW + 400))
    assert [each.leaf for each in page.accesses] == list(range(399, 600))
    (tmp_path / "tree" / "tile" / "entries" / "000").unlink()
    assert list_recorded(tmp_path, AccessFilter(page_size=1000, start_ms=NOW + 400)) == page


def test_a_place_that_cannot_be_read_is_named_once_it_is_sealed(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 6):
        log.append(read_of(seq, ALICE))
    (segment,) = [each for each in open_directory(tmp_path) if not each.is_spare]
    data = bytearray(segment.path.read_bytes())
    data[256 + 2 * len(read_of(1, ALICE)) + 30] ^= 1  # in the third record
    segment.path.write_bytes(data)
    first, token = read_on(tmp_path, "")
    assert first == [1, 2]
    log.close()
    second, token = read_on(tmp_path, token)
    assert second == [4, 5]
    seal(tmp_path)
    third, token = read_on(tmp_path, token)
    assert set(third) == {0}
    assert read_on(tmp_path, token)[0] == []


@pytest.mark.parametrize(
    "token", ["x", "AAAA", "é", "AQ" + "A" * 40, Place(9).token(), Place(0, (("no", 1),)).token()]
)
def test_a_page_token_of_another_list_is_refused(tmp_path, token):
    with pytest.raises(InvalidRequestError):
        list_recorded(tmp_path, AccessFilter(page_token=token))
    with pytest.raises(InvalidRequestError):
        list_recorded(tmp_path, AccessFilter(page_size=-1))


def test_a_page_is_bounded_by_the_bytes_of_its_details(tmp_path):
    log = writer(tmp_path, segment_bytes=8 << 20)
    for seq in range(1, 6):
        detail = '{"changes":"' + "x" * (PAGE_DETAIL_BYTES // 2 - 100) + '"}'
        log.append(encode_act(ActRecord(seq, NOW + seq, 1, "ApplyPolicy", detail=detail)))
    log.close()
    for sealing in (False, True):
        if sealing:
            seal(tmp_path)
        pages, token = [], ""
        while True:
            page = list_access(tmp_path, AccessFilter(page_token=token))
            pages.append([each.seq for each in page.accesses])
            token = page.next_page_token
            if not token:
                break
        assert pages == [[5, 4], [3, 2], [1]]
        assert len(list_recorded(tmp_path, AccessFilter()).accesses) == 2
        assert read_on(tmp_path, "")[0] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("wanted", [{}, {"principal_id": 3}, {"locators": frozenset([ALICE])}])
def test_a_page_that_has_cost_enough_ends_and_the_next_goes_on(tmp_path, monkeypatch, wanted):
    rng = random.Random(3)
    logs = [writer(tmp_path, f"w{n}", segment_bytes=8192) for n in range(2)]
    made = []
    for seq in range(1, 1500):
        principal, who = rng.randrange(5), rng.choice([ALICE, BOB])
        if wanted.get("principal_id", principal) == principal and (who == ALICE or "locators" not in wanted):
            made.append(seq)
        logs[seq // 100 % 2].append(read_of(seq, who, time_ms=NOW + seq, principal_id=principal))
    for log in logs:
        log.close()
    seal(tmp_path)
    monkeypatch.setattr(scanning, "MAX_COST", 1)
    found, token, pages = [], "", 0
    while True:
        page = list_access(tmp_path, AccessFilter(page_size=1000, page_token=token, **wanted))
        found, token, pages = found + [each.seq for each in page.accesses], page.next_page_token, pages + 1
        if not token:
            break
    assert found == made[::-1]
    assert pages > 3
    assert read_on(tmp_path, "", page_size=1000, **wanted)[0] != []
    assert sorted(read_on(tmp_path, "", page_size=1000, **wanted)[0]) == made
    assert searching.Position(5) < searching.Position(5, "a") < searching.Position(6)
