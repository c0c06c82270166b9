"""How fast do contacts go in, validated and durable?

`cvault import` reads a CSV file, sends six columns over gRPC and writes the tokenized copy; its clock is the
figure. It shares all cores with the vault, which has one worker for each.
"""

import csv
import random
from itertools import islice
from pathlib import Path

import phonenumbers

from benchmarks import contacts
from benchmarks.figures import Answer, Figure
from benchmarks.import_rate import ImportRate, measure_import
from benchmarks.stage import Stage

MIXES = ("20 countries", "all countries")


def ask(stage: Stage) -> Answer:
    """Contacts of 20 countries, as a CRM has them, and with phones of every country in random order."""
    stage.end_main()
    folder = stage.folder / "imports"
    folder.mkdir()
    every = set(stage.cores.servers) | set(stage.cores.clients)
    rows = contacts.generate(stage.size.contacts * stage.size.import_runs * len(MIXES))
    phones = phones_of_all(random.Random(7))
    found: dict[str, list[ImportRate]] = {mix: [] for mix in MIXES}
    with stage.started(folder, 0, every) as vault:
        for run in range(stage.size.import_runs):
            for mix in MIXES:
                stage.tell(f"importing contacts of {mix}, run {run + 1}")
                source, copy = folder / f"{mix}-{run}.csv", folder / f"{mix}-{run}-tokens.csv"
                some = list(islice(rows, stage.size.contacts))
                if mix == MIXES[1]:
                    for number, row in enumerate(some):
                        row["Phone Number"] = phones[number * 7919 % len(phones)]
                write(source, some)
                found[mix].append(measure_import(vault, source, copy))
    figures = []
    for mix, imports in found.items():
        wall = tuple(each.values_per_second for each in imports)
        cpu = tuple(each.values / each.server_cpu_seconds for each in imports)
        figures.append(Figure(mix, "on the wall", "values/s", wall))
        figures.append(Figure(mix, "a core of the server", "values/s a core", cpu))
    return Answer(
        "imports",
        "Import",
        f"`cvault import` of {stage.size.contacts:,} contacts of six columns, mutual TLS, every value "
        "validated, each batch acknowledged when durable. Importer and vault share all cores. Phone "
        "numbers of all countries, shuffled, are the worst case for their validator.",
        tuple(figures),
    )


def phones_of_all(rng: random.Random) -> list[str]:
    """A valid number of every region that has an example, shuffled."""
    numbers = [phonenumbers.example_number(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)]
    style = phonenumbers.PhoneNumberFormat.E164
    phones = [phonenumbers.format_number(each, style) for each in numbers if each is not None]
    rng.shuffle(phones)
    return phones


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Rows as CSV with a heading."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
