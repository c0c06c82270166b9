"""The offline check: a clean vault has no findings, and each broken invariant has its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.store.samples import (
    REGION,
    add_customer,
    dek_row,
    finish_shred,
    index_hash,
    record,
    shred_customer,
    sign,
    verify,
)
from vault.store.entries import EpochCurrent, EpochIntent
from vault.store.epochs import create_epoch
from vault.store.files import write_current
from vault.store.inspection import Finding, inspect
from vault.store.layout import CustomerRow, customer_key, value_key
from vault.store.session import WriteSession
from vault.store.sheet import SealedSheet
from vault.store.store import Store

LIVE, SHREDDED = 1, 2
CUSTOMER = customer_key(REGION, LIVE)


@pytest.fixture
def filled(store: Store) -> Store:
    with store.write() as session:
        session.append(EpochIntent(1, 1, "root"))
        session.append(EpochCurrent(1))
        assert [add_customer(session), add_customer(session)] == [LIVE, SHREDDED]
        session.put_value(value_key(REGION, LIVE, 2), record(flags=1))
        shred_customer(session, SHREDDED)
        session.commit()
    return store


def findings(store: Store) -> list[tuple[str, str, str, int]]:
    return [(each.severity, each.code, each.plane, each.customer_no) for each in inspect(store)]


def change_row(session: WriteSession, number: int, **fields: object) -> None:
    row = CustomerRow.unpack(session.get(value_key(REGION, number)) or b"")
    session.put_value(value_key(REGION, number), replace(row, **fields).pack())  # type: ignore[arg-type]


def put_back(session: WriteSession) -> None:
    """Everything a shredded customer ever had, as genuine as it was."""
    for value_no in range(3):
        session.put_value(
            value_key(REGION, SHREDDED, value_no), session.get(value_key(REGION, LIVE, value_no)) or b""
        )
    session.put_sheet(customer_key(REGION, SHREDDED), session.sheet(CUSTOMER) or b"")
    session.put_dek(REGION, SHREDDED, 1, dek_row())
    session.index_put(index_hash(SHREDDED), customer_key(REGION, SHREDDED))


def test_a_sound_vault_has_no_findings(filled: Store) -> None:
    assert list(inspect(filled)) == []


@pytest.mark.parametrize(
    ("breaking", "expected"),
    [
        (
            lambda s: s.delete_value(value_key(REGION, LIVE)),
            {
                ("error", "CUSTOMER_ROW_MISSING", "values", LIVE),
                ("error", "CUSTOMER_LOST", "values", LIVE),
                ("note", "INDEX_ORPHAN", "index", LIVE),
            },
        ),
        (
            lambda s: s.put_value(value_key(REGION, LIVE), b"short"),
            {("error", "INTEGRITY_FAILED", "values", LIVE)},
        ),
        (
            lambda s: s.put_value(value_key(REGION, LIVE, 1), b"short"),
            {("error", "INTEGRITY_FAILED", "values", LIVE)},
        ),
        (
            lambda s: s.put_value(value_key(REGION, LIVE, 9), record()),
            {("error", "NUMBER_NOT_GIVEN_OUT", "values", LIVE)},
        ),
        (
            lambda s: s.put_value(value_key(REGION, LIVE, 1), record(dek_generation=2)),
            {("error", "DEK_MISSING", "keyring", LIVE)},
        ),
        (
            lambda s: s.put_sheet(CUSTOMER, SealedSheet(2, bytes(24), bytes(16)).pack()),
            {("error", "DEK_MISSING", "keyring", LIVE)},
        ),
        (lambda s: s.delete_sheet(CUSTOMER), {("error", "SHEET_MISSING", "values", LIVE)}),
        (lambda s: s.delete_dek(REGION, LIVE, 1), {("error", "DEK_MISSING", "keyring", LIVE)}),
        (
            lambda s: s.put_dek(REGION, LIVE, 1, b"short", overwrite=True),
            {("error", "INTEGRITY_FAILED", "keyring", LIVE)},
        ),
        (lambda s: s.put_dek(REGION, LIVE, 2, dek_row()), {("note", "DEK_ORPHAN", "keyring", LIVE)}),
        (lambda s: s.put_dek(REGION, 7, 1, dek_row()), {("note", "DEK_ORPHAN", "keyring", 7)}),
        (lambda s: s.index_delete(index_hash(LIVE)), {("error", "INDEX_MISSING", "index", LIVE)}),
        (lambda s: s.index_put(bytes(16), CUSTOMER), {("error", "INDEX_TWICE", "index", LIVE)}),
        (
            lambda s: s.index_put(bytes(16), customer_key(REGION, 9)),
            {("note", "INDEX_ORPHAN", "index", 9)},
        ),
        (
            lambda s: s.index_put(bytes(16), customer_key(REGION, SHREDDED)),
            {("error", "SHRED_INCOMPLETE", "index", SHREDDED)},
        ),
        (
            lambda s: s.put_value(value_key(REGION, SHREDDED, 1), record()),
            {("error", "SHRED_INCOMPLETE", "values", SHREDDED)},
        ),
        (
            lambda s: s.put_sheet(customer_key(REGION, SHREDDED), b"left"),
            {("error", "SHRED_INCOMPLETE", "values", SHREDDED)},
        ),
        (
            lambda s: s.put_dek(REGION, SHREDDED, 1, dek_row()),
            {
                ("error", "SHRED_INCOMPLETE", "keyring", SHREDDED),
                ("error", "SHRED_UNDONE", "keyring", SHREDDED),
            },
        ),
        (
            lambda s: change_row(s, SHREDDED, consents=1),
            {("error", "SHRED_NOT_IN_LEDGER", "ledger", SHREDDED)},
        ),
        (
            lambda s: s.delete_value(value_key(REGION, SHREDDED)),
            {("error", "SHRED_UNDONE", "values", SHREDDED)},
        ),
        (
            put_back,
            {
                ("error", "SHRED_UNDONE", "values", SHREDDED),
                ("error", "SHRED_UNDONE", "keyring", SHREDDED),
            },
        ),
        (lambda s: finish_shred(s, LIVE, 4), {("error", "SHRED_NOT_IN_LEDGER", "ledger", LIVE)}),
        (
            lambda s: s.put_sheet(customer_key(REGION, 9), b"of nobody"),
            {("error", "CUSTOMER_ROW_MISSING", "values", 9)},
        ),
        (
            lambda s: s.put_value(value_key(REGION + 1, 1), b""),
            {
                ("error", "NUMBER_NOT_GIVEN_OUT", "values", 1),
                ("error", "INTEGRITY_FAILED", "values", 1),
            },
        ),
        (
            lambda s: setattr(s.meta, "next_customer_no", 2),
            {
                ("error", "NUMBER_NOT_GIVEN_OUT", "values", SHREDDED),
            },
        ),
        (
            lambda s: setattr(s.meta, "reserved_until", 10**6),
            {("error", "NUMBERS_WRONG", "values", 0)},
        ),
        (lambda s: setattr(s.meta, "region", 9), None),
        (lambda s: s.append(EpochCurrent(2)), {("error", "EPOCH_WRONG", "ledger", 0)}),
    ],
)
def test_a_broken_invariant_is_found(
    filled: Store,
    breaking: Callable[[WriteSession], object],
    expected: set[tuple[str, str, str, int]] | None,
) -> None:
    with filled.write() as session:
        breaking(session)
        session.commit()
    found = set(findings(filled))
    if expected is None:
        assert ("error", "REGION_WRONG", "values", 0) in found
    else:
        assert found == expected


def test_what_a_rotation_left_between_swap_and_commit_is_a_note(filled: Store, root: Path) -> None:
    create_epoch(root, 2)
    write_current(root, 2)
    assert ("note", "EPOCH_WRONG", "values", 0) in findings(filled)


def test_a_damaged_ledger_ends_the_check_with_an_error(filled: Store, root: Path) -> None:
    with (root / "ledger" / "entries").open("r+b") as file:
        file.seek(150)
        file.write(b"\xff\xff")
    assert findings(filled) == [("error", "LEDGER_DAMAGED", "ledger", 0)]


def test_a_damaged_signature_is_found_where_signatures_can_be_verified(filled: Store, root: Path) -> None:
    with (root / "ledger" / "entries").open("r+b") as file:
        file.seek(4 + 18 + 48 + 32)  # the signature of the first entry
        file.write(b"\xff\xff")
    assert findings(filled) == [("error", "LEDGER_DAMAGED", "ledger", 0)]
    filled.verify = None
    assert findings(filled) == []
    filled.verify = verify


def test_a_damaged_meta_row_ends_the_check_with_an_error(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.store.meta._checksum", lambda *_: bytes(8))
    assert findings(filled) == [("error", "META_DAMAGED", "values", 0)]


def test_a_finding_says_what_it_means_in_numbers() -> None:
    assert Finding("error", "X", "values", 5, "2 values left").detail == "customer 5: 2 values left"
    assert Finding("error", "X", "values", 5).detail == "customer 5"
    assert Finding("note", "X", "values", text="entries wait").detail == "entries wait"


def test_a_vault_read_only_can_be_checked(filled: Store, root: Path) -> None:
    filled.close()
    with Store.open(root, sign=sign, verify=verify, read_only=True) as reading:
        assert list(inspect(reading)) == []
