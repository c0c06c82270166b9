"""Of whom a principal was shown a value, or told something of one: the locators of its reads.

They are sought in the whole log, sealed or not.
"""

from pathlib import Path
from typing import Final

from vault.audit.reader import looking_again, open_log
from vault.audit.records import MASKED, PLAIN, ReadRecord, Record
from vault.audit.sifting import Search, sift
from vault.model.access import ANSWERS

_SHOWN: Final = frozenset({PLAIN, MASKED, *map(int, ANSWERS)})


def locators_read(directory: Path, principal_id: int, start_ms: int, end_ms: int) -> set[bytes]:
    """The locators of every customer of whom a value was revealed to a principal, in plain or masked.

    Args:
        directory: the log's.
        principal_id: the registered principal's.
        start_ms: inclusive, milliseconds since 1970.
        end_ms: exclusive.

    Raises:
        AuditUnavailableError: the directory or a segment cannot be read.
        IntegrityFailedError: the sealed log is damaged.
    """
    search = Search(principal_id, start_ms, end_ms)
    return looking_again(
        lambda: {
            locator for found in sift(*open_log(directory), search) for locator in _revealed(found.record)
        }
    )


def _revealed(record: Record | None) -> list[bytes]:
    if not isinstance(record, ReadRecord):
        return []
    return [group.locator for group in record.groups if not _SHOWN.isdisjoint(group.outcomes)]
