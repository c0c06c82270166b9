"""How fast contacts go in: `cvault import` of a CSV file, over gRPC, each batch acknowledged when durable.

The clock is the importer's own: from opening the file to the synced tokenized copy. It reads, maps and
sends the file and writes the copy on the same cores as the vault, which normalizes, seals and commits.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks import contacts
from benchmarks.processes import cpu_seconds, descendants
from benchmarks.throwaway import ThrowAwayVault

COLUMNS = ("First Name", "Last Name", "Email", "Phone Number", "Street Address", "City")


@dataclass(frozen=True, slots=True)
class ImportRate:
    """One import. `server_cpu_seconds` is of all processes of the vault."""

    contacts: int
    values: int
    seconds: float
    server_cpu_seconds: float

    @property
    def values_per_second(self) -> float:
        """Of wall time."""
        return self.values / self.seconds


def measure_import(vault: ThrowAwayVault, source: Path, tokens_out: Path) -> ImportRate:
    """Imports the six columns of `COLUMNS`.

    Raises:
        VaultProcessError: A row or a value was refused.
    """
    pids = descendants(vault.ready.pid)
    maps: list[str] = []
    for column in COLUMNS:
        field_class, label = contacts.FIELDS["hubspot"][column]
        maps += ["--map", f"{column}={field_class}{':' + label if label else ''}"]
    before = cpu_seconds(pids)
    done = vault.cvault_json(
        "import", source, "--id", contacts.ID_COLUMN["hubspot"], *maps, "--drop-unmapped",
        "--tokens-out", tokens_out,
    )  # fmt: skip
    return ImportRate(
        contacts=done["rows"],
        # "Unchanged" is a last name equal to the first: one value under two labels.
        values=done["values_created"] + done["values_unchanged"],
        seconds=done["seconds"],
        server_cpu_seconds=cpu_seconds(pids) - before,
    )
