"""What came of a restore."""

from dataclasses import asdict, dataclass, field
from typing import Any

from vault.core.reapplying import Reapplied
from vault.core.survivors import Survivors


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What came of a restore. Customers by number, values as (customer, value number)."""

    backup: str
    epoch: int
    copied_seq: int
    ledger_seq: int
    incarnation: int
    customers: int
    values: int
    tombstones: int
    shredded: list[int]
    deleted: list[tuple[int, int]]
    outdated: list[tuple[int, int]]
    lost_newer: list[int]
    lost_generation: list[int]
    lost_key: list[int]
    damaged: list[int]
    findings: list[str] = field(default_factory=list)  # of the check of what was restored
    consents_ended: int = 0

    @property
    def exact(self) -> bool:
        """Whether what does not open is exactly what the ledger says was destroyed."""
        return not (self.lost_key or self.damaged or self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report as it is kept and printed."""
        return asdict(self) | {"exact": self.exact}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RestoreReport":
        """The inverse of `as_json`."""
        return cls(**{name: said for name, said in content.items() if name != "exact"})


def report_of(
    backup: str,
    epoch: int,
    copied_seq: int,
    ledger_seq: int,
    done: Reapplied,
    found: Survivors,
    findings: list[str],
) -> RestoreReport:
    """Puts together what the steps of a restore found."""
    return RestoreReport(
        backup=backup,
        epoch=epoch,
        copied_seq=copied_seq,
        ledger_seq=ledger_seq,
        incarnation=done.incarnation,
        customers=found.customers,
        values=found.values,
        tombstones=found.tombstones,
        shredded=done.shredded,
        deleted=done.deleted,
        outdated=done.outdated,
        lost_newer=done.lost_newer,
        lost_generation=done.lost_generation,
        lost_key=done.lost_key,
        damaged=found.damaged,
        findings=findings,
        consents_ended=done.consents_ended,
    )
