"""What a restore reads from the ledger; what it does with it is told in the scenarios."""

from vault.core.reapplying import LedgerFacts
from vault.store.entries import (
    AnyPayload,
    EpochCurrent,
    EpochIntent,
    GenerationShredded,
    NamesNumbered,
    NumbersReserved,
    Restored,
    RootKeyEnded,
    Void,
)
from vault.store.ledger import LedgerEntry

HISTORY: list[AnyPayload] = [
    EpochIntent(1, 1, "root-1", "file"),  # entry 1
    EpochCurrent(1),
    NumbersReserved(1, 500),
    EpochIntent(2, 1, "root-2a", "transit"),
    EpochCurrent(2),  # entry 5
    Void(5),
    EpochIntent(2, 2, "root-2b", "transit"),
    EpochCurrent(2),
    RootKeyEnded("root-2b", 0, "service-attested", "", "", None),
    NumbersReserved(1, 400),  # entry 10
    Restored(1, 4),
    GenerationShredded(1, 7, 2),
    EpochIntent(3, 1, "root-3", "pkcs11"),
    EpochCurrent(3),
    NamesNumbered(b"d", 9),
    NamesNumbered(b"f", 12),
    NamesNumbered(b"d", 3),
]


def facts() -> LedgerFacts:
    return LedgerFacts.of(
        LedgerEntry(seq, 0, payload, b"", b"", b"") for seq, payload in enumerate(HISTORY, 1)
    )


def test_what_is_read() -> None:
    found = facts()
    assert (found.epoch, found.reserved_until, found.restores) == (3, 500, 1)
    assert found.named_up_to == {b"d": 9, b"f": 12}
    assert found.generations_shredded == {(7, 2)}
    assert found.last is not None
    assert found.last.seq == len(HISTORY)


def test_an_epoch_that_did_not_come_into_use_is_none() -> None:
    assert [epoch for _, epoch in facts().epochs] == [1, 2, 3]
