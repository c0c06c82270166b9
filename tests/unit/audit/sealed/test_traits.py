"""The rows of `traits`, against their description."""

import struct
import zlib

import pytest

from tests.unit.audit.samples import ALICE, BOB, NOW, writer
from tests.unit.audit.sealed.samples import seal
from vault.audit.filtering import Named, Wanted
from vault.audit.records import (
    FRAME,
    MASKED,
    PLAIN,
    ActRecord,
    encode_act,
    encode_read,
    read_body_chunk,
    read_item,
    reason_code,
    unknown_counts,
)
from vault.audit.sealed.files import TRAITS, TREE, TreeFiles
from vault.audit.sealed.state import State
from vault.audit.sealed.traits import ROW, UNKNOWN, Traits, row_at, row_of
from vault.audit.sealed.upkeep import Upkeep
from vault.errors import Reason
from vault.model.access import Decision


def body(frame: bytes) -> bytes:
    return frame[FRAME.size :]


def read_of_one(seq: int, purpose: int, outcome: int) -> bytes:
    return encode_read(seq, NOW, 7, 1, purpose, read_body_chunk(ALICE, read_item(1, 1, outcome)))


def bit(name: str) -> int:
    return 1 << zlib.crc32(name.encode()) % 64


def test_a_row_has_a_bit_for_whatever_its_records_are_about() -> None:
    groups = read_body_chunk(ALICE, read_item(1, 5, PLAIN)) + read_body_chunk(
        BOB, read_item(1, 70, MASKED) + read_item(2, 7, 0)
    )
    bodies = [
        body(encode_read(1, NOW, 7, 1, 66, groups)),
        body(encode_read(2, NOW, 7, 2, 3, b"", unknown_counts({Reason.TOKEN_UNKNOWN: 1}))),
        body(encode_act(ActRecord(3, NOW, 1, "DeleteValue", detail='{"field_class":"iban"}'))),
    ]
    row = struct.unpack(">5Q", row_of(bodies))
    assert row == (
        bit("Detokenize") | bit("ExportCustomer") | bit("DeleteValue"),
        1 << 2 | 1 << 3,
        1 << 5 | 1 << 6 | 1 << 7,
        bit("iban"),
        0b1111,
    )
    assert row_of([])[-8:] == struct.pack(">Q", 1)


@pytest.mark.parametrize("outcome", [0, PLAIN, MASKED, reason_code(Reason.HELD)])
def test_decisions_of_single_reads(outcome: int) -> None:
    row = Traits(
        *ROW.unpack(
            row_of([body(encode_read(1, NOW, 7, 1, 1, read_body_chunk(ALICE, read_item(1, 1, outcome))))])
        )
    )
    held = {Decision.PLAIN: PLAIN, Decision.MASKED: MASKED, Decision.DENIED: reason_code(Reason.HELD)}
    for decision, code in held.items():
        assert row.may_hold(Wanted(decision=decision)) is (code == outcome)


@pytest.mark.parametrize("broken", [b"", b"R", b"X" * 40, b"A" * 40])
def test_what_cannot_be_read_may_hold_anything(broken: bytes) -> None:
    assert row_of([broken]) == UNKNOWN
    wanted = Wanted(field_class=Named(1, "email"), actions=frozenset(["Detokenize"]), decision=Decision.PLAIN)
    assert Traits(*ROW.unpack(UNKNOWN)).may_hold(wanted)
    assert row_at(b"\0" * 39, 0).may_hold(wanted)


def test_rows_are_made_after_the_index_and_go_on_where_they_ended(tmp_path) -> None:
    log = writer(tmp_path, segment_bytes=1 << 20)
    files = TreeFiles(tmp_path / TREE)
    rows = b""
    for start in (1, 601):
        for seq in range(start, start + 600):
            log.append(
                encode_read(seq, NOW, 7, 1, seq // 256, read_body_chunk(ALICE, read_item(1, 1, PLAIN)))
            )
        seal(tmp_path)
        upkeep = Upkeep(files)
        while upkeep.step(State.read(files.root), eager=True):
            pass
        grown = files.rows(TRAITS)
        assert grown.startswith(rows)
        rows = grown
    log.close()
    assert len(rows) == 4 * ROW.size
    assert [row_at(rows, n).purposes for n in range(4)] == [1 << n | 1 << n + 1 for n in range(4)]


@pytest.mark.parametrize(
    "counts", [[1] * 9, [5] * 9, [5] * 8 + [4], [5, 6, 5], [300, 300], [1, 1, 2, 1, 1], []]
)
def test_every_item_counts_whether_groups_are_even_or_not(counts: list[int]) -> None:
    items = [
        [(number, (7 * group + number) % 60 + 1, MASKED if number % 3 else PLAIN) for number in range(count)]
        for group, count in enumerate(counts)
    ]
    groups = [
        read_body_chunk(
            ALICE, b"".join(read_item(number + 1, each, outcome) for number, each, outcome in group)
        )
        for group in items
    ]
    row = struct.unpack(">5Q", row_of([body(encode_read(1, NOW, 7, 1, 1, b"".join(groups)))]))
    everything = [each for group in items for each in group]
    assert row[2] == sum({1 << each for _, each, _ in everything})
    outcomes = {PLAIN: 1 << Decision.PLAIN, MASKED: 1 << Decision.MASKED}
    assert row[4] == 1 + sum({outcomes[outcome] for _, _, outcome in everything})
