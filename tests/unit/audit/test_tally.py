"""What was read is counted exactly, whatever is sealed of the log, and the answer says what it rests on."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, read_of, writer
from tests.unit.audit.sealed.samples import KEY, seal, sign
from vault.audit import tally as tallying
from vault.audit.records import (
    BREAK_GLASS,
    GAP_ACTION,
    MASKED,
    PLAIN,
    ActRecord,
    ReadAction,
    encode_act,
    encode_read,
    read_body_chunk,
    read_item,
    reason_code,
    unknown_counts,
)
from vault.audit.sealed.files import TREE, TreeFiles
from vault.audit.sealed.log import SealedLog
from vault.audit.sealed.retention import Truncation, truncate
from vault.audit.sifting import Search
from vault.audit.tally import Call, Cell, cells, tally
from vault.errors import LimitExceededError, Reason
from vault.model.access import Reveal

ITS, OTHER = 7, 7 + 64  # the same bit in a bundle's span
DENIED = reason_code(Reason.PURPOSE_DENIED)
ALL_TIME = (0, NOW * 2)


def locator(number: int) -> bytes:
    return number.to_bytes(16, "big")


def read(seq, *groups, time_ms=NOW, principal_id=ITS, purpose=9, action=ReadAction.DETOKENIZE, unknown=b""):
    """A READ of groups (locator, (value_no, class, outcome)...)."""
    body = b"".join(
        read_body_chunk(who, b"".join(read_item(*item) for item in items)) for who, *items in groups
    )
    return encode_read(seq, time_ms, principal_id, action, purpose, body, unknown)


def gap(time_ms: int, made_ms: int) -> bytes:
    detail = {"segment": f"w9-{made_ms:013d}-000001.seg", "cause": "torn record"}
    return encode_act(ActRecord(1, time_ms, 0, GAP_ACTION, detail=json.dumps(detail)))


@pytest.mark.parametrize("sealed_at", [(), (3,), (2, 4), (5,)])
def test_reads_are_counted_by_customer_class_and_outcome(tmp_path, sealed_at):
    log = writer(tmp_path)
    records = [
        read(1, (ALICE, (1, 2, PLAIN), (2, 3, MASKED)), (BOB, (1, 2, DENIED)), time_ms=NOW + 5),
        read(
            2,
            (ALICE, (1, 2, PLAIN), (3, 2, PLAIN)),
            time_ms=NOW + 1,
            unknown=unknown_counts({Reason.SHREDDED: 3}),
        ),
        read(3, (ALICE, (9, 2, PLAIN)), principal_id=OTHER),
        read(4, (ALICE, (1, 2, PLAIN)), time_ms=NOW + 900),
        act_of(5, BOB),
    ]
    for number, each in enumerate(records, 1):
        log.append(each)
        if number in sealed_at:
            seal(tmp_path)
    found = tally(tmp_path, Search(ITS, NOW, NOW + 900))
    log.close()
    assert set(found.customers) == {ALICE, BOB}
    alice = found.customers[ALICE]
    assert (alice.first_ms, alice.last_ms) == (found.first_ms, found.last_ms) == (NOW + 1, NOW + 5)
    assert cells([alice.items]) == {2: Cell(3, 0, 0, 2), 3: Cell(0, 1, 0, 1)}
    assert cells([found.customers[BOB].items]) == {2: Cell(0, 0, 1, 0)}
    assert cells([bytes(2) + b"\x01" + bytes([4, Reveal.PSEUDONYM])]) == {4: Cell(answered=1)}
    assert found.totals == {2: Cell(3, 0, 1), 3: Cell(0, 1, 0)}
    assert found.unnamed == {Reason.SHREDDED: 3}
    assert found.calls == {Call("Detokenize", False, None): 2}
    assert found.completeness.records == 2
    assert found.completeness.sealed == sum(number <= max(sealed_at, default=0) for number in (1, 2))


def test_the_time_alone_is_a_question_too_and_a_purpose_narrows_it(tmp_path):
    log = writer(tmp_path)
    log.append(read(1, (ALICE, (1, 2, PLAIN)), purpose=9))
    log.append(read(2, (BOB, (1, 2, PLAIN)), principal_id=OTHER, purpose=10))
    log.append(act_of(3, BOB))
    log.append(read(4, (BOB, (1, 2, PLAIN)), purpose=10, action=ReadAction.EXPORT_CUSTOMER | BREAK_GLASS))
    everyone = Search(None, NOW, NOW + 1)
    assert set(tally(tmp_path, everyone).customers) == {ALICE, BOB}
    assert tally(tmp_path, everyone).calls[Call("ShredCustomer", False, None)] == 1
    found = tally(tmp_path, everyone, 10)
    assert set(found.customers) == {BOB}
    assert found.calls == {Call("Detokenize", False, None): 1, Call("ExportCustomer", True, None): 1}
    log.close()


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from([PLAIN, MASKED, DENIED])), max_size=40
    )
)
def test_cells_are_a_plain_count(items):
    found = cells([b"".join(read_item(*item) for item in items)])
    outcomes = Counter((field_class, outcome) for _, field_class, outcome in items)
    for field_class in {field_class for _, field_class, _ in items}:
        shown = {no for no, of, outcome in items if of == field_class and outcome != DENIED}
        plain, masked, denied = (outcomes[field_class, outcome] for outcome in (PLAIN, MASKED, DENIED))
        assert found[field_class] == Cell(plain, masked, denied, len(shown))


def test_it_says_how_much_is_sealed(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE, time_ms=NOW, principal_id=ITS))
    seal(tmp_path)
    search = Search(ITS, NOW, NOW + 100)
    found = tally(tmp_path, search).completeness
    assert (found.leaves, found.records, found.sealed, found.unsealed_ms) == (1, 1, 1, 0)
    log.append(read_of(2, BOB, time_ms=NOW + 7, principal_id=OTHER))  # of somebody else, in this time
    log.append(read_of(3, BOB, time_ms=NOW + 500, principal_id=ITS))  # later
    found = tally(tmp_path, search).completeness
    assert (found.records, found.sealed, found.unsealed_ms) == (1, 1, NOW + 7)
    log.close()


@pytest.mark.parametrize("sealing", [False, True])
def test_a_gap_counts_where_it_may_have_taken_records_of_the_time(tmp_path, sealing):
    log = writer(tmp_path)
    log.append(gap(NOW + 500, made_ms=NOW - 50))  # found later, may reach into the time
    log.append(gap(NOW + 600, made_ms=NOW + 400))  # of a segment made after it
    log.append(gap(NOW - 10, made_ms=NOW - 90))  # over before it
    if sealing:
        seal(tmp_path)
    found = tally(tmp_path, Search(ITS, NOW, NOW + 100, with_gaps=True)).completeness
    assert [(each.start_ms, each.end_ms, each.cause) for each in found.gaps] == [
        (NOW - 50, NOW + 500, "torn record")
    ]
    assert (found.gap_count, found.records) == (1, 0)
    log.close()


def test_what_retention_removed_is_said_and_the_rest_counted(tmp_path):
    log = writer(tmp_path, segment_bytes=1 << 20)
    for seq in range(1, 601):
        log.append(read_of(seq, locator(seq), time_ms=NOW + seq, principal_id=ITS))
    log.close()
    seal(tmp_path)
    sealed = SealedLog.open(tmp_path)
    statement = Truncation(KEY.name, 256, sealed.size, sealed.tiles.root(), NOW)
    truncate(TreeFiles(tmp_path / TREE), statement, KEY, sign)
    found = tally(tmp_path, Search(ITS, NOW, NOW + 9999))
    assert set(found.customers) == {locator(seq) for seq in range(257, 601)}
    assert (found.completeness.removed, found.completeness.removed_until_ms) == (256, NOW + 256)
    assert tally(tmp_path, Search(ITS, NOW + 300, NOW + 9999)).completeness.removed == 0
    assert tally(tmp_path, Search(ITS + 1, NOW, NOW + 9999)).completeness.removed == 0


def test_damage_is_counted_and_the_rest_as_ever(tmp_path):
    log = writer(tmp_path)
    for seq in (1, 2, 3):
        log.append(read_of(seq, locator(seq), principal_id=ITS))
    (path,) = [each for each in tmp_path.iterdir() if each.suffix == ".seg" and any(each.read_bytes())]
    data = bytearray(path.read_bytes())
    at = data.rindex(locator(2))
    data[at] ^= 1
    path.write_bytes(data)
    found = tally(tmp_path, Search(ITS, *ALL_TIME))
    assert set(found.customers) == {locator(1), locator(3)}
    assert found.completeness.damaged == 1
    log.close()


def test_a_question_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tallying, "MAX_LOCATORS", 5)
    log = writer(tmp_path)
    log.append(read_of(1, *[locator(number) for number in range(6)], principal_id=ITS))
    with pytest.raises(LimitExceededError):
        tally(tmp_path, Search(ITS, *ALL_TIME))
    log.close()
