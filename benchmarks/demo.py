"""`make demo`: the main job of the vault, start to end, on a vault that is gone afterwards.

    python -m benchmarks.demo

Every step states what it expects and ends the demo, with exit code 1, when that does not happen.
The people are made up; the vault, its clients and its commands are the real ones.
"""

import sys
import time
from collections.abc import Callable

from customervault import VaultError
from rich.console import Console
from rich.markup import escape

from benchmarks.demo_steps import STEPS, Demo, StepError
from benchmarks.throwaway import VaultProcessError, ending_on_sigterm, throwaway_vault


def main() -> int:
    """Runs all steps; the exit code."""
    console = Console(highlight=False)
    begun = time.monotonic()
    title = "starting a vault"
    try:
        with ending_on_sigterm(), throwaway_vault() as (vault, folder):
            console.print(f"[bold]A development vault serves on {vault.ready.address}[/] {_since(begun)}")
            demo = Demo(console, vault, folder)
            for number, step in enumerate(STEPS, 1):
                step_begun = time.monotonic()
                title = _title(step)
                console.print(f"\n[bold cyan]{number:2}. {title}[/]")
                step(demo)
                console.print(f"    [dim]{time.monotonic() - step_begun:.1f} s[/]")
    except (StepError, VaultError, VaultProcessError) as error:
        console.print(f"\n[bold red]The demo ended while {title}:[/] {escape(str(error))}")
        return 1
    console.print(f"\n[bold green]All {len(STEPS)} steps went as expected[/] {_since(begun)}")
    return 0


def _title(step: Callable[[Demo], None]) -> str:
    return (step.__doc__ or "").partition("\n")[0].rstrip(".")


def _since(begun: float) -> str:
    return f"[dim]({time.monotonic() - begun:.1f} s)[/]"


if __name__ == "__main__":
    sys.exit(main())
