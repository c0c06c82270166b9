"""Where the time of a detokenize goes: the use case in this process, without gRPC.

    python -m benchmarks.profile_hotpath --contacts 10000 --lines 25

Prints microseconds for each value in both shapes, then a cProfile table of the contact shape. The
profiler makes every Python call dearer: compare its lines with each other, not with the first figures.
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Sequence
from statistics import median

from benchmarks.batches import SHAPES, chosen, shaped
from benchmarks.in_process import CALLER, PURPOSE, in_process_vault, made_up_entries, store
from vault.core.vault import Vault
from vault.model.access import Reveal


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Profile the detokenize use case in this process.")
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all batches")
    parser.add_argument("--lines", type=int, default=25, help="lines of the profile")
    parser.add_argument("--sort", default="tottime", help="cProfile's order: tottime, cumtime, ncalls")
    options = parser.parse_args()
    with in_process_vault() as vault:
        tokens = store(vault, made_up_entries(options.contacts))
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


def _round(vault: Vault, batches: Sequence[Sequence[str]]) -> float:
    """Microseconds of CPU for each value, over all batches once."""
    begun = time.process_time()
    for batch in batches:
        revealed = vault.detokenize(CALLER, batch, PURPOSE, Reveal.BEST)
        assert not revealed.denials
    return (time.process_time() - begun) / sum(map(len, batches)) * 1e6


if __name__ == "__main__":
    main()
