"""`cvault init`: founds a vault."""

import shlex
from typing import Annotated

import typer

from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import print_facts, print_json, print_line
from vault.cli.passphrase import read_passphrase
from vault.cli.texts import texts

_HELP = """Found a vault: its stores, its first keyring, its CA and its first administrator.

The root key is sealed with a passphrase, or with the key file that `[keys] key_file` in vault.toml
names; `[keys] provider` puts it into a token, AWS KMS, OpenBao or Vault instead. Put a vault.toml into
the data directory before this command to change these and other defaults.

Whoever loses the keyring or the passphrase loses every value, for good: nothing else opens them.

Example:
  cvault init --data /var/lib/customer-vault --admin alice
"""

_WARNING = """
Keep two things safe, apart from each other:
  the passphrase (or key file). Without it the vault cannot be opened, by anyone, ever again.
  copies of the keyring ({keyring}) and of the root key ({root}).
    Losing every copy of either is losing every value: the data alone cannot be opened.
A copy of the keyring also keeps shredded customers recoverable until that copy is destroyed.
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init", **texts(_HELP, "Found a vault."))(init)


def init(
    data: DataDir = DEFAULT_DATA,
    admin: Annotated[
        str, typer.Option("--admin", metavar="NAME", help="Name of the first administrator.")
    ] = "admin",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Founds a vault."""
    from vault.config import load_settings
    from vault.core.founding import found

    settings = load_settings(data)
    passphrase = read_passphrase(passphrase_file, settings.keys, new=True)
    founded = found(data, settings, passphrase, admin=admin)
    vault_id = str(founded.vault_id)
    facts = {
        "data": str(data),
        "vault_id": vault_id,
        "admin": admin,
        "certificate": str(founded.admin_certificate),
        "key": str(founded.admin_key),
        "ca": str(founded.ca),
    }
    if as_json:
        print_json(facts)
        return
    print_line(f"Founded vault {vault_id}.")
    print_facts((name.replace("_", " "), fact) for name, fact in facts.items() if name != "vault_id")
    root = settings.keys.directory or str(data / "root")
    if settings.keys.provider != "file":
        root = f"provider {settings.keys.provider}"
    print_line(_WARNING.format(keyring=data / "keyring", root=root))
    print_line("Next:")
    environment = {
        "CVAULT_ADDRESS": settings.server.listen,
        "CVAULT_CA": facts["ca"],
        "CVAULT_CERTIFICATE": facts["certificate"],
        "CVAULT_KEY": facts["key"],
    }
    print_line(f"  cvault serve --data {shlex.quote(str(data))}")
    print_line("  export " + " ".join(f"{name}={shlex.quote(text)}" for name, text in environment.items()))
    print_line("  cvault principals add crm-service")
