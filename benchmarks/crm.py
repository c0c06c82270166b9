"""`make bench-crm`: many users of a CRM on a throw-away vault, by locust, headless or with its web page.

    python -m benchmarks.crm --users 40 --seconds 60
    python -m benchmarks.crm --web 8089          then open http://127.0.0.1:8089

The users are those of `locustfile.py`; they call through the SDK. Vault and locust run on cores of their own.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.cores import Cores
from benchmarks.processes import descendants, pin
from benchmarks.throwaway import ending_on_sigterm, throwaway_vault

LOCUST = Path(sys.executable).with_name("locust")
_FILE = Path(__file__).with_name("locustfile.py")


def main() -> int:
    """Runs it; locust's exit code, which is 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crm", description="Many users of a CRM.")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--web", type=int, metavar="PORT", help="serve locust's page there, until Ctrl-C")
    parser.add_argument("--csv", type=Path, metavar="PREFIX", help="write locust's statistics, too")
    options = parser.parse_args()
    print(machine.line(machine.facts()), flush=True)
    cores = Cores.of_machine()
    with ending_on_sigterm(), throwaway_vault(workers=len(cores.servers)) as (vault, _folder):
        for pid in descendants(vault.ready.pid):
            pin(pid, set(cores.servers))
        command = [str(LOCUST), "-f", str(_FILE), "--users", str(options.users), "--spawn-rate", "20"]
        if options.web:
            command += ["--web-host", "127.0.0.1", "--web-port", str(options.web)]
        else:
            command += ["--headless", "--run-time", f"{options.seconds}s", "--only-summary"]
        if options.csv:
            command += ["--csv", str(options.csv)]
        with subprocess.Popen(command, env=os.environ | vault.environment()) as locust:
            pin(locust.pid, cores.client)
            return locust.wait()


if __name__ == "__main__":
    sys.exit(main())
