"""`cvault serve`: runs a vault."""

from pathlib import Path
from typing import Annotated

import typer

from vault.cli.exits import UsageError
from vault.cli.options import DEFAULT_DATA, DataDir, PassphraseFile
from vault.cli.passphrase import read_passphrase
from vault.cli.texts import texts

_DEV_DATA = Path("demo-vault")

_HELP = """Run the vault in the foreground until SIGTERM or Ctrl-C.

With --dev: founds a vault where there is none, listens on loopback only, and prints how to connect.
Its data lie in demo-vault, unless --data names another directory than the usual one.
A development vault is for trying things out; its root key has no passphrase of yours.

Exit codes: 0 ended when asked to, 2 usage, 4 could not start or serve.

Examples:
  cvault serve --dev
  cvault serve --data /var/lib/customer-vault --passphrase-file /run/secrets/passphrase
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("serve", **texts(_HELP, "Run a vault."))(serve)


def serve(
    data: DataDir = DEFAULT_DATA,
    dev: Annotated[bool, typer.Option("--dev", help="A vault for development, on loopback.")] = False,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Instead of the address in vault.toml.")
    ] = "",
    ready_file: Annotated[
        Path | None,
        typer.Option("--ready-file", metavar="FILE", help="Write how to connect, as JSON, once serving."),
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Runs a vault."""
    from vault.config import load_settings
    from vault.server.supervisor import serve as run

    if dev and data == DEFAULT_DATA:
        data = _DEV_DATA
    if not dev and not (data / "FORMAT").exists():
        raise UsageError(
            f"there is no vault in {data}; found one with `cvault init`, or try `cvault serve --dev`"
        )
    settings = load_settings(data)
    passphrase = None if dev else read_passphrase(passphrase_file, settings.keys, new=False)
    code = run(data, settings, passphrase, dev=dev, ready_file=ready_file, listen=listen or None)
    raise typer.Exit(code or 0)
