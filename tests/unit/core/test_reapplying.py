"""What a restore reads from the ledger; what it does with it is told in the scenarios."""

from vault.core.reapplying import LedgerFacts
from vault.keys.unlock import EdkFile
from vault.store.entries import (
    AnyPayload,
    EpochCurrent,
    EpochIntent,
    GenerationShredded,
    NumbersReserved,
    Restored,
    RootKeyEnded,
    Void,
)
from vault.store.ledger import LedgerEntry

CURRENT = EdkFile(3, "pkcs11", "root-3", "hardware", 9, b"wrapped")  # type: ignore[arg-type]
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
]


def facts() -> LedgerFacts:
    return LedgerFacts.of(
        LedgerEntry(seq, 0, payload, b"", b"", b"") for seq, payload in enumerate(HISTORY, 1)
    )


def test_what_is_read() -> None:
    found = facts()
    assert (found.epoch, found.reserved_until, found.restores) == (3, 500, 1)
    assert found.generations_shredded == {(7, 2)}
    assert found.last is not None
    assert found.last.seq == len(HISTORY)


def test_an_epoch_that_did_not_come_into_use_is_none() -> None:
    found = facts()
    names = [found.key_at(seq, CURRENT).root_key_id for seq in (3, 6, 9, 15)]
    assert names == ["root-1", "root-1", "root-2b", "root-3"]


def test_receipts_of_former_epochs_claim_no_more_than_is_known() -> None:
    found = facts()
    assert found.key_at(3, CURRENT).assurance == "best-effort"  # the ledger does not say how it ended
    assert found.key_at(9, CURRENT).assurance == "service-attested"
    assert found.key_at(15, CURRENT) is CURRENT
