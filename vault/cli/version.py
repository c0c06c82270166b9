"""`cvault version`."""

import platform
from importlib.metadata import version as installed

import typer

from vault.cli.options import Json
from vault.cli.output import print_facts, print_json
from vault.cli.texts import texts

_HELP = """Print the version of this program.

Example:
  cvault version --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("version", **texts(_HELP, "Print the version."))(version)


def version(as_json: Json = False) -> None:
    """Prints versions."""
    facts = {
        "cvault": installed("customer-vault"),
        "client": installed("customer-vault-client"),
        "python": platform.python_version(),
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items())
