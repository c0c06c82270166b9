"""`python -m vault.cli` is `cvault`."""

from vault.cli.main import run

run()
