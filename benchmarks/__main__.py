"""`make bench`: import and detokenize rates of a real vault, beside a plain loop in the same run.

python -m benchmarks              100,000 contacts, five runs: about four minutes
python -m benchmarks --quick      10,000 contacts, three short runs: under a minute
python -m benchmarks --save NAME  also writes benchmarks/results/<date>-NAME.json
"""

import argparse
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from customervault.v1 import common_pb2, token_service_pb2
from rich.console import Console

from benchmarks import contacts, machine, report
from benchmarks.batches import chosen, read_cells, shaped
from benchmarks.detokenize_rate import Cores, measure_detokenize, pin_workers
from benchmarks.echo import echo_server
from benchmarks.import_rate import COLUMNS, ImportRate, measure_import
from benchmarks.load import PURPOSE, Target, load
from benchmarks.plain_loop import PlainStore, plain_store
from benchmarks.report import Contest, Run
from benchmarks.throwaway import ThrowAwayVault, ending_on_sigterm, throwaway_vault

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    contacts: int
    runs: int
    seconds: float


FULL = Size(contacts=100_000, runs=5, seconds=3.0)
QUICK = Size(contacts=10_000, runs=3, seconds=1.0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Import and detokenize rates beside a plain loop."
    )
    parser.add_argument("--quick", action="store_true", help="10,000 contacts and short runs")
    parser.add_argument("--contacts", type=int, help="another number of contacts")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/<date>-NAME.json")
    options = parser.parse_args()
    if options.save and not _NAME.match(options.save):
        parser.error("a name consists of lower-case letters, digits and hyphens")
    size = QUICK if options.quick else FULL
    if options.contacts:
        size = Size(options.contacts, size.runs, size.seconds)
    console = Console(highlight=False)
    found = machine.facts()
    console.print(machine.line(found))
    with ending_on_sigterm():
        imported, plain, contests = _measure(console, size)
    console.print()
    report.print_import(console, imported, plain)
    report.print_detokenize(console, contests)
    console.print(
        "Medians. A core: divided by CPU seconds of the serving side, all processes of the vault together.\n"
        "Over mutual TLS, each access decided by policy and logged; the echo and the plain loop do neither.",
        soft_wrap=True,
    )
    if options.save:
        path = report.save(options.save, report.document(found, imported, plain, contests))
        console.print(f"saved to {path}")


def _measure(console: Console, size: Size) -> tuple[ImportRate, Run, list[Contest]]:
    with console.status("starting a vault") as status, ExitStack() as stack:
        vault, folder = stack.enter_context(throwaway_vault())
        source, copy = folder / "contacts.csv", folder / "tokens.csv"
        status.update(f"making up {size.contacts:,} contacts")
        contacts.write_csv(source, size.contacts)
        status.update("importing them")
        imported = measure_import(vault, source, copy)
        status.update("starting the vault again, with one worker")
        vault.stop()
        vault.start(workers=1)
        status.update("writing the same values in a plain loop")
        plain = stack.enter_context(plain_store(folder / "plain"))
        cells = read_cells(source, COLUMNS)
        written = plain.write(cells)
        wrote = Run(written.values, written.cpu_seconds, written.seconds)
        status.update("warming up")
        contests = _detokenize(size, vault, read_cells(copy, COLUMNS), plain, status.update)
    return imported, wrote, contests


def _detokenize(
    size: Size,
    vault: ThrowAwayVault,
    tokens: list[list[str]],
    plain: PlainStore,
    tell: Callable[[str], None],
) -> list[Contest]:
    shapes = shaped([len(row) for row in tokens])
    batches = {shape: chosen(positions, tokens) for shape, positions in shapes.items()}
    keys = [
        [number.to_bytes(6, "big") + value_no.to_bytes(3, "big") for value_no in range(1, len(row) + 1)]
        for number, row in enumerate(tokens, 1)
    ]
    plain_batches = {shape: chosen(positions, keys) for shape, positions in shapes.items()}
    cores = Cores.of_machine()
    pin_workers(vault, cores)
    reply = _genuine_reply(vault, batches["contact"][0])
    with (
        echo_server(vault.data / "tls", reply, cores=cores.server) as echo,
        load(_target(vault, echo.address), batches, cores=cores.client) as sending,
    ):
        sending.warm_up()
        return measure_detokenize(
            vault, echo, sending, plain, plain_batches,
            runs=size.runs, seconds=size.seconds, report=tell,
        )  # fmt: skip


def _genuine_reply(vault: ThrowAwayVault, batch: list[str]) -> bytes:
    with vault.connect(purpose=PURPOSE) as client:
        values = client.detokenize(batch).plain_list()
    plain = [common_pb2.REVEAL_PLAIN] * len(values)
    return token_service_pb2.DetokenizeResponse(values=values, reveals=plain).SerializeToString()


def _target(vault: ThrowAwayVault, echo_address: str) -> Target:
    ready = vault.ready
    files = ready.certificates["dev"]
    return Target(ready.address, echo_address, ready.ca, files["certificate"], files["key"])


if __name__ == "__main__":
    main()
