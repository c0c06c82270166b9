"""Where the time of a detokenize goes: the use case in this process, without gRPC.

    python -m benchmarks.profile_hotpath --contacts 10000 --lines 25

Prints microseconds for each value in both shapes, then a cProfile table of the contact shape. The
profiler makes every Python call dearer: compare its lines with each other, not with the first figures.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import contacts
from benchmarks.batches import SHAPES, chosen, shaped
from benchmarks.import_rate import COLUMNS
from vault.config import Settings
from vault.core.vault import Vault
from vault.keys.unlock import unlock
from vault.model.access import Reveal
from vault.model.requests import Caller, CustomerRef, Entry, FieldInput
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER
from vault.server.dev import prepare

PURPOSE = "support"
_CALLER = Caller(DEVELOPER)
_ENTRIES_A_CALL = 500


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Profile the detokenize use case in this process.")
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all batches")
    parser.add_argument("--lines", type=int, default=25, help="lines of the profile")
    parser.add_argument("--sort", default="tottime", help="cProfile's order: tottime, cumtime, ncalls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="customer-vault-") as folder, _open(Path(folder)) as vault:
        tokens = _store(vault, options.contacts)
        shapes = shaped([len(row) for row in tokens])
        batches = {shape: chosen(shapes[shape], tokens) for shape in SHAPES}
        for shape in SHAPES:
            _round(vault, batches[shape])
            rounds = [_round(vault, batches[shape]) for _ in range(options.rounds)]
            print(f"{shape:8} {median(rounds):6.2f} us a value, {1e6 / median(rounds):9,.0f} values/s")
        profile = cProfile.Profile()
        profile.enable()
        _round(vault, batches["contact"])
        profile.disable()
        pstats.Stats(profile, stream=sys.stdout).strip_dirs().sort_stats(options.sort).print_stats(
            options.lines
        )


@contextmanager
def _open(data_dir: Path) -> Iterator[Vault]:
    settings = Settings()
    passphrase, _ = prepare(data_dir, settings)
    vault = Vault.open(data_dir, settings, unlock(data_dir, settings, passphrase), process_name="profile")
    try:
        yield vault
    finally:
        vault.close()


def _store(vault: Vault, count: int) -> list[list[str]]:
    """Stores made-up contacts; their tokens."""
    rows = list(contacts.generate(count))
    tokens: list[list[str]] = []
    for first in range(0, count, _ENTRIES_A_CALL):
        entries = [_entry(row) for row in rows[first : first + _ENTRIES_A_CALL]]
        answers = vault.tokenize(
            _CALLER, entries, domain="", request_id=str(uuid.uuid4()), atomic=True, batch=True
        )
        tokens += [[result.token for result in answer.results] for answer in answers]
    return tokens


def _entry(row: dict[str, str]) -> Entry:
    places = contacts.FIELDS["hubspot"]
    given = [(*places[column], Secret(row[column])) for column in COLUMNS if row[column]]
    fields = [FieldInput(field_class, value, label) for field_class, label, value in given]
    return Entry(CustomerRef(external_id=Secret(row[contacts.ID_COLUMN["hubspot"]])), fields)


def _round(vault: Vault, batches: Sequence[Sequence[str]]) -> float:
    """Microseconds of CPU for each value, over all batches once."""
    begun = time.process_time()
    for batch in batches:
        revealed = vault.detokenize(_CALLER, batch, PURPOSE, Reveal.BEST)
        assert not revealed.denials
    return (time.process_time() - begun) / sum(map(len, batches)) * 1e6


if __name__ == "__main__":
    main()
