import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, eventually, read_of, writer
from vault.audit.check import check, status
from vault.audit.folding import AccessSummary
from vault.audit.layout import HEADER_BYTES, segments_in
from vault.audit.reader import AccessFilter, Entry, list_access, records
from vault.audit.records import PLAIN, encode_read, read_body_chunk, read_item
from vault.errors import AuditUnavailableError, InvalidRequestError, Reason


def all_pages(directory: Path, page_size: int, **wanted: object) -> list[AccessSummary]:
    found: list[AccessSummary] = []
    token = ""
    while True:
        page = list_access(directory, AccessFilter(page_size=page_size, page_token=token, **wanted))  # type: ignore[arg-type]
        assert len(page.accesses) <= page_size
        found += page.accesses
        token = page.next_page_token
        if not token:
            return found
        assert len(page.accesses) == page_size


def test_a_read_is_folded_to_counts(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(log.next_seq(), ALICE, BOB))
    (access,) = list_access(tmp_path, AccessFilter()).accesses
    assert access == AccessSummary(
        time_ms=NOW,
        worker="w0",
        seq=1,
        principal_id=7,
        principal="",
        action="Detokenize",
        purpose_id=9,
        values_plain=2,
        values_masked=2,
        values_denied=4,
        customers=2,
        field_class_ids=(2, 3),
        reasons=(Reason.PURPOSE_DENIED, Reason.TOKEN_UNKNOWN),
        detail="",
    )
    log.close()


def test_filtered_by_customer_only_its_items_count(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE, BOB))
    log.append(read_of(2, BOB))
    log.append(act_of(3, ALICE))
    log.append(act_of(4))
    found = list_access(tmp_path, AccessFilter(locators=frozenset([ALICE]))).accesses
    assert [access.seq for access in found] == [3, 1]
    act, read = found
    assert (read.values_plain, read.values_masked, read.values_denied, read.customers) == (1, 1, 1, 1)
    assert read.reasons == (Reason.PURPOSE_DENIED,)
    assert (act.action, act.customers, act.detail, act.reasons) == ("ShredCustomer", 1, '{"values": 5}', ())
    log.close()


def test_the_locators_of_two_generations_are_one_customer(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    log.append(read_of(2, BOB))
    log.append(read_of(3, ALICE, BOB))
    found = list_access(tmp_path, AccessFilter(locators=frozenset([ALICE, BOB]))).accesses
    assert [(access.seq, access.customers, access.values_plain) for access in found] == [
        (3, 1, 2),
        (2, 1, 1),
        (1, 1, 1),
    ]
    assert list_access(tmp_path, AccessFilter(locators=frozenset())).accesses == ()
    log.close()


def test_bytes_that_only_look_like_a_locator_do_not_match(tmp_path):
    items = read_item(0x616161, 0x61, 0x61) * 8
    log = writer(tmp_path)
    log.append(encode_read(1, NOW, 7, 1, 9, read_body_chunk(BOB, items)))
    assert list_access(tmp_path, AccessFilter(locators=frozenset([b"a" * 16]))).accesses == ()
    log.close()


def test_filters_by_principal_and_half_open_time(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 11):
        log.append(read_of(seq, ALICE, time_ms=NOW + seq, principal_id=seq % 2))
    found = all_pages(tmp_path, 3, principal_id=1, start_ms=NOW + 3, end_ms=NOW + 9)
    assert [access.seq for access in found] == [7, 5, 3]
    log.close()


@pytest.mark.parametrize("locators", [None, frozenset([ALICE])])
def test_pages_are_stable_while_records_arrive(tmp_path, locators):
    logs = [writer(tmp_path, f"w{n}") for n in range(3)]
    rng = random.Random(5)
    made = []
    for seq in range(1, 1500):
        log = rng.choice(logs)
        time_ms = NOW + seq // 10
        log.append(read_of(seq, ALICE, BOB, time_ms=time_ms))
        made.append((time_ms, log.status().segment, seq))
    expected = [seq for *_, seq in sorted(made, reverse=True)]
    found: list[int] = []
    token = ""
    while True:
        page = list_access(tmp_path, AccessFilter(locators=locators, page_size=70, page_token=token))
        found += [access.seq for access in page.accesses]
        token = page.next_page_token
        if not token:
            break
        rng.choice(logs).append(read_of(9999, ALICE, time_ms=NOW + 10_000))
    assert found == expected
    for log in logs:
        log.close()
    again = all_pages(tmp_path, 100, locators=locators, end_ms=NOW + 10_000)
    assert [access.seq for access in again] == expected


@given(
    times=st.lists(st.integers(0, 30), max_size=60),
    start=st.integers(0, 30),
    end=st.integers(0, 31),
    page_size=st.integers(1, 20),
)
@settings(max_examples=40, deadline=None)
def test_pages_hold_exactly_what_matches(tmp_path_factory, times, start, end, page_size):
    directory = tmp_path_factory.mktemp("log")
    log = writer(directory, segment_bytes=1024)
    for seq, time_ms in enumerate(times, 1):
        log.append(read_of(seq, ALICE if seq % 3 else BOB, time_ms=time_ms))
    log.close()
    found = all_pages(directory, page_size, locators=frozenset([ALICE]), start_ms=start, end_ms=end)
    wanted = [(t, seq) for seq, t in enumerate(times, 1) if start <= t < end and seq % 3]
    assert [(access.time_ms, access.seq) for access in found] == sorted(wanted, reverse=True)


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "AQ" + "A" * 40, "=" * 8])
def test_a_page_token_of_another_list_is_refused(tmp_path, token):
    with pytest.raises(InvalidRequestError):
        list_access(tmp_path, AccessFilter(page_token=token))


def test_a_negative_page_size_is_refused_and_a_large_one_capped(tmp_path):
    log = writer(tmp_path)
    for seq in range(1, 1102):
        log.append(read_of(seq, ALICE))
    log.close()
    with pytest.raises(InvalidRequestError):
        list_access(tmp_path, AccessFilter(page_size=-1))
    assert len(list_access(tmp_path, AccessFilter()).accesses) == 100
    assert len(list_access(tmp_path, AccessFilter(page_size=5000)).accesses) == 1000


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(AuditUnavailableError):
        list_access(tmp_path / "none", AccessFilter())
    assert status(tmp_path / "none").writable is False


def test_status_counts_open_and_closed_segments(tmp_path):
    old, new = writer(tmp_path, "old"), writer(tmp_path, "new")
    for seq in range(1, 6):
        old.append(read_of(seq, ALICE))
    old.close()
    new.append(read_of(1, ALICE))
    eventually(lambda: new.status().has_spare)
    counted = status(tmp_path)
    assert (counted.segments, counted.records, counted.gaps, counted.damaged) == (2, 6, 0, 0)
    assert counted.bytes == HEADER_BYTES + 5 * len(read_of(1, ALICE)) + 2 * 64 * 1024
    assert counted.writable
    assert counted.free_bytes > 0
    new.close()


@pytest.fixture(scope="module")
def closed_log(tmp_path_factory):
    """The bytes of one closed segment of 20 records, and its name."""
    directory = tmp_path_factory.mktemp("closed")
    log = writer(directory)
    for seq in range(1, 21):
        log.append(read_of(seq, ALICE, BOB) if seq % 5 else act_of(seq, ALICE))
    log.close()
    ((name, path),) = segments_in(directory)
    return str(name), path.read_bytes()


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_byte_is_found_and_costs_one_record_at_most(closed_log, tmp_path_factory, data):
    name, content = closed_log
    reserved = range(241, HEADER_BYTES)
    at = data.draw(st.integers(0, len(content) - 1).filter(lambda at: at not in reserved))
    mask = data.draw(st.integers(1, 255))
    directory = tmp_path_factory.mktemp("flipped")
    (directory / name).write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])

    found = {entry.record.seq for entry in records(directory) if isinstance(entry, Entry)}
    listed = {access.seq for access in list_access(directory, AccessFilter()).accesses}
    assert found == listed
    assert found <= set(range(1, 21))
    assert len(found) >= (19 if at >= HEADER_BYTES else 20)
    assert list(check(directory)) != []
    list_access(directory, AccessFilter(locators=frozenset([ALICE]), principal_id=7))
    status(directory)


@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_crashes_reader_or_writer(closed_log, tmp_path_factory, flips):
    name, content = closed_log
    damaged = bytearray(content)
    for at, mask in flips:
        damaged[at % len(damaged)] ^= mask
    directory = tmp_path_factory.mktemp("damaged")
    (directory / name).write_bytes(damaged)
    list(records(directory))
    list_access(directory, AccessFilter())
    list_access(directory, AccessFilter(locators=frozenset([ALICE])))
    list(check(directory))
    log = writer(directory)
    log.append(read_of(10**6, ALICE))
    log.close()
    assert [e.record.seq for e in records(directory) if isinstance(e, Entry)][-1] == 10**6


def test_a_removed_segment_in_the_middle_is_noticed(tmp_path):
    log = writer(tmp_path, segment_bytes=4096)
    for seq in range(1, 200):
        log.append(read_of(seq, ALICE))
    log.close()
    segments = segments_in(tmp_path)
    assert list(check(tmp_path)) == []
    segments[1][1].unlink()
    assert [(f.segment, f.problem) for f in check(tmp_path)] == [
        (segments[2][1].name, "the segment before it is missing or was changed")
    ]


def test_closed_segments_outside_the_time_range_are_not_read(tmp_path):
    for day in range(3):
        log = writer(tmp_path, f"w{day}")
        log.append(read_of(day, ALICE, time_ms=NOW + day * 1000))
        log.close()
    old = segments_in(tmp_path)[0][1]
    # Its header alone stays readable: to read on would be seen as damage.
    old.write_bytes(old.read_bytes()[: HEADER_BYTES + 8] + b"damage" * 20)
    page = list_access(tmp_path, AccessFilter(start_ms=NOW + 1000))
    assert ([access.seq for access in page.accesses], page.damaged) == ([2, 1], 0)
    assert list_access(tmp_path, AccessFilter()).damaged == 1


def test_an_unknown_action_still_lists(tmp_path):
    log = writer(tmp_path)
    log.append(encode_read(1, NOW, 7, 14, 0, read_body_chunk(ALICE, read_item(1, 0, PLAIN))))
    (access,) = list_access(tmp_path, AccessFilter()).accesses
    assert (access.action, access.field_class_ids, access.values_plain) == ("Action14", (), 1)
    log.close()
