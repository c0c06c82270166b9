"""Where the time of an import goes: the use case in this process, without gRPC, one batch at a time.

    python -m benchmarks.profile_import --contacts 5000 --lines 40

Prints microseconds of CPU for each value, then a cProfile table of all threads together, the commit
thread included; `acquire` of locks is waiting, not work. The profiler makes every Python call dearer:
compare its lines with each other.
"""

import argparse
import cProfile
import pstats
import sys
import threading
import time
from types import FrameType

from benchmarks.in_process import in_process_vault, made_up_entries, store


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Profile the tokenize use case in this process.")
    parser.add_argument("--contacts", type=int, default=5_000)
    parser.add_argument("--lines", type=int, default=40, help="lines of the profile")
    parser.add_argument("--sort", default="tottime", help="cProfile's order: tottime, cumtime, ncalls")
    options = parser.parse_args()
    entries = made_up_entries(options.contacts)
    values = sum(len(entry.fields) for entry in entries)
    with in_process_vault() as vault:
        cpu, wall = time.process_time(), time.perf_counter()
        store(vault, entries)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{cpu / values * 1e6:.1f} us of CPU a value, {values / wall:,.0f} values/s on the wall")
    profiles = [cProfile.Profile()]

    def follow(_frame: FrameType, _event: str, _argument: object) -> None:
        """Runs first in each new thread, and hands it over to a profile of its own."""
        sys.setprofile(None)
        profiles.append(cProfile.Profile())
        profiles[-1].enable()

    threading.setprofile(follow)
    with in_process_vault() as vault:
        profiles[0].enable()
        store(vault, entries)
        profiles[0].disable()
    threading.setprofile(None)
    stats = pstats.Stats(*profiles, stream=sys.stdout)
    stats.strip_dirs().sort_stats(options.sort).print_stats(options.lines)


if __name__ == "__main__":
    main()
