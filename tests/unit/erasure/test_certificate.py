"""Certificates as the vault makes them; how they are read is in test_verifying.py."""

import json
from dataclasses import replace
from typing import Any

import pytest

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.erasure.certificate import ErasedGeneration, Scope, Statement, conclude, issue, not_covered
from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    DestructionConfirmed,
    EpochEntered,
    KeyringCopied,
)
from vault.erasure.finality import Finality, Stage
from vault.erasure.partial import ErasedValue
from vault.erasure.verifying import verify
from vault.errors import IntegrityFailedError, InvalidRequestError
from vault.model.assurance import Assurance
from vault.model.ids import CustomerNo, Epoch, Generation, Region

SEED = bytes(range(32))
PUBLIC_KEY = hazmat.public_key(SEED)
KEY_ID = signing_key_id(PUBLIC_KEY)
E1, E2, E3 = Epoch(1), Epoch(2), Epoch(3)
LEDGER = (
    AttemptBegun(1, E1, 1, "root-1", "file"),
    EpochEntered(2, E1, 1),
    KeyringCopied(8, E1, 1),
    AttemptBegun(20, E2, 1, "root-2", "pkcs11"),
    AttemptAbandoned(21, E2, 1),
    AttemptBegun(22, E2, 2, "root-3", "pkcs11"),
    EpochEntered(25, E2, 2),
    AttemptBegun(90, E3, 1, "root-4", "pkcs11"),
)


def destroyed(
    seq: int, root: str, at: int, assurance: Assurance = Assurance.HARDWARE
) -> DestructionConfirmed:
    return DestructionConfirmed(seq, root, at, at, assurance, "seen", 0, "none")


def statement(*more: DestructionConfirmed, issued_ms: int = 9_000) -> Statement:
    return Statement(
        vault_id=bytes(16),
        erasure_id="shr_" + "00" * 16,
        scope=Scope.CUSTOMER,
        commitment=bytes(32),
        values=5,
        generations=(
            ErasedGeneration(Generation(1), 3, 30, 3_000),
            ErasedGeneration(Generation(2), 23, 30, 3_000),
        ),
        attempts=Finality().after_all([*LEDGER, *more]).attempts,
        issued_ms=issued_ms,
        entry_seq=30,
        held_outside=True,
        proof=None,
        not_covered=not_covered(Stage.EFFECTIVE, held_outside=True),
    )


def issued(of: Statement) -> dict[str, object]:
    certificate = issue(of, lambda message: hazmat.sign(SEED, message), KEY_ID)
    verify(certificate, {KEY_ID: PUBLIC_KEY}, now_ms=of.issued_ms)
    document: dict[str, object] = json.loads(certificate)
    return document


ALL_GONE = (destroyed(91, "root-1", 5_000), destroyed(92, "root-2", 6_000), destroyed(93, "root-3", 7_000))


def test_the_first_certificate_is_effective_and_lists_what_it_waits_for() -> None:
    document = issued(statement(issued_ms=3_000))
    assert (document["stage"], document["effective"], document["final"]) == (
        "effective",
        "1970-01-01T00:00:03.000Z",
        None,
    )
    assert document["counts"] == {"values": 5, "generations": 2, "root_keys": 3, "keyring_copies": 1}
    assert document["assurance"] is None


def test_root_keys_that_do_not_concern_the_erasure_are_left_out() -> None:
    found = conclude(statement())
    assert [each.root_key_id for each in found.attempts] == ["root-1", "root-2", "root-3"]
    of_each = [[each.root_key_id for each in verdict.attempts] for verdict in found.verdicts]
    assert of_each == [["root-1", "root-2", "root-3"], ["root-1", "root-3"]]


def test_the_generation_that_is_gone_last_decides() -> None:
    found = conclude(statement(*ALL_GONE[:1], ALL_GONE[2]))
    assert [each.stage for each in found.verdicts] == [Stage.EFFECTIVE, Stage.FINAL]
    assert (found.stage, found.final_ms, found.assurance) == (Stage.EFFECTIVE, None, None)
    found = conclude(statement(*ALL_GONE))
    assert (found.stage, found.final_ms, found.assurance) == (Stage.FINAL, 7_000, Assurance.HARDWARE)


def test_one_root_key_of_best_effort_makes_the_whole_best_effort() -> None:
    weak = destroyed(92, "root-2", 6_000, Assurance.BEST_EFFORT)
    document = issued(statement(ALL_GONE[0], weak, ALL_GONE[2]))
    assert (document["stage"], document["assurance"]) == ("final-best-effort", "best-effort")


@pytest.mark.parametrize("issued_ms", [5_000, 6_999])
def test_a_certificate_is_not_final_before_its_time_whatever_is_known(issued_ms: int) -> None:
    assert issued(statement(*ALL_GONE, issued_ms=issued_ms))["stage"] == "effective"


def test_without_root_keys_nothing_is_final() -> None:
    assert issued(replace(statement(), attempts=()))["stage"] == "effective"


def test_a_certificate_is_about_something_that_has_happened() -> None:
    for wrong in (replace(statement(), generations=()), statement(issued_ms=2_999)):
        with pytest.raises(ValueError, match="generations that were shredded"):
            conclude(wrong)


def test_what_is_not_covered_depends_on_the_stage() -> None:
    everywhere = set(not_covered(Stage.FINAL, held_outside=True))
    assert any("callers made" in each for each in everywhere)
    assert everywhere < set(not_covered(Stage.FINAL_BEST_EFFORT, held_outside=True))
    held, alone = (not_covered(Stage.EFFECTIVE, held_outside=outside) for outside in (True, False))
    assert everywhere < set(held) < set(alone)
    assert "roll-back" in alone[-1]


def of_values(*more: DestructionConfirmed) -> Statement:
    return replace(
        statement(*more),
        erasure_id="val_" + "00" * 14,
        scope=Scope.GENERATIONS,
        commitment=b"",
        customer=(Region(1), CustomerNo(7)),
        erased_values=(ErasedValue(2, corrected=False, seq=28, time_ms=2_800),),
        generations=statement().generations[:1],
    )


def test_values_of_a_living_customer_are_named_by_number() -> None:
    document = issued(of_values(*ALL_GONE))
    assert (document["scope"], document["stage"]) == ("generations", "final")
    assert document["commitment"] is None
    assert document["customer"] == {"region": 1, "customer_no": 7}
    (value,) = document["erased_values"]  # type: ignore[misc]
    assert (value["value_no"], value["kind"], value["entry_seq"]) == (2, "deleted", 28)


@pytest.mark.parametrize(
    "wrong",
    [
        {"erased_values": ()},
        {"erased_values": (ErasedValue(2, corrected=False, seq=31, time_ms=2_800),)},
        {"erased_values": (ErasedValue(0, corrected=False, seq=28, time_ms=2_800),)},
        {"scope": Scope.CUSTOMER},
    ],
    ids=["no value", "gone after its key", "the customer's own row", "another scope"],
)
def test_values_that_cannot_have_gone_with_the_key_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailedError):
        issued(replace(of_values(), **wrong))


def test_a_certificate_of_values_opens_with_no_salt() -> None:
    certificate = issue(of_values(), lambda message: hazmat.sign(SEED, message), KEY_ID)
    with pytest.raises(InvalidRequestError):
        verify(certificate, {KEY_ID: PUBLIC_KEY}, now_ms=9_000, external_id=b"crm-1", salt=bytes(32))
