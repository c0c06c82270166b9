"""A development vault opened in this process, for profiles or to fill it: no gRPC, no workers, no client."""

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import contacts
from benchmarks.import_rate import COLUMNS
from vault.config import Settings
from vault.core.vault import Vault
from vault.keys.unlock import unlock
from vault.model.requests import Caller, CustomerRef, Entry, FieldInput
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER
from vault.server.dev import prepare

CALLER = Caller(DEVELOPER)
PURPOSE = "support"
ENTRIES_A_CALL = 500


@contextmanager
def in_process_vault() -> Iterator[Vault]:
    """A new vault, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="customer-vault-") as name, opened(Path(name)) as vault:
        yield vault


@contextmanager
def opened(data_dir: Path, settings: Settings | None = None) -> Iterator[Vault]:
    """The development vault in a directory, founded where there is none; settings are else the defaults."""
    settings = settings or Settings()
    passphrase, _ = prepare(data_dir, settings)
    vault = Vault.open(data_dir, settings, unlock(data_dir, settings, passphrase), process_name="profile")
    try:
        yield vault
    finally:
        vault.close()


def made_up_entries(count: int) -> list[Entry]:
    """Contacts with the columns that the import benchmark stores."""
    return [_entry(row) for row in contacts.generate(count)]


def store(vault: Vault, entries: Sequence[Entry]) -> list[list[str]]:
    """Stores contacts in batches; their tokens."""
    tokens: list[list[str]] = []
    for first in range(0, len(entries), ENTRIES_A_CALL):
        answers = vault.tokenize(
            CALLER,
            entries[first : first + ENTRIES_A_CALL],
            domain="",
            request_id=str(uuid.uuid4()),
            atomic=True,
            batch=True,
        )
        tokens += [[result.token for result in answer.results] for answer in answers]
    return tokens


def _entry(row: dict[str, str]) -> Entry:
    places = contacts.FIELDS["hubspot"]
    given = [(*places[column], Secret(row[column])) for column in COLUMNS if row[column]]
    fields = [FieldInput(field_class, value, label) for field_class, label, value in given]
    return Entry(CustomerRef(external_id=Secret(row[contacts.ID_COLUMN["hubspot"]])), fields)
