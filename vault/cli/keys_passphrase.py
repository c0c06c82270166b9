"""`cvault keys passphrase`: seals the root keys of the provider `file` under another secret."""

from pathlib import Path
from typing import Annotated

import typer

from vault.cli.exits import UsageError
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import plural, print_json, print_line
from vault.cli.passphrase import development_passphrase, read_new_passphrase, read_passphrase
from vault.cli.texts import texts

_HELP = """Change the passphrase that seals the root keys, or put a key file in its place, and back.

For the key provider `file`. What opens the root keys now comes as at a start: --passphrase-file, the
[keys] section of vault.toml, CVAULT_PASSPHRASE, a prompt. The vault may run meanwhile and goes on
serving, but makes no new epoch until it has been restarted with the new secret. Interrupted, the command
can be repeated with the same two.

Copies of the root keys' files that were made before still open with the old secret. If somebody may
know it, rotate the epoch, too, after the restart (cvault keys rotate).

Example:
  cvault keys passphrase --data /var/lib/customer-vault
"""
_RESTART = "Restart the vault with the new passphrase before the next rotation."
_NEXT_KEY_FILE = 'Set key_file = "{file}" in the section [keys] of vault.toml, then restart the vault.'
_NEXT_NO_KEY_FILE = "Take key_file out of vault.toml, then restart the vault with the new passphrase."

NewPassphraseFile = Annotated[
    Path | None,
    typer.Option("--new-passphrase-file", metavar="FILE", help="File with the new one; else a prompt."),
]
NewKeyFile = Annotated[
    Path | None,
    typer.Option("--new-key-file", metavar="FILE", help="Seal with the contents of this file instead."),
]


def register(group: typer.Typer) -> None:
    """Adds the command to the group `keys`."""
    group.command("passphrase", **texts(_HELP, "Change the passphrase of the root keys."))(passphrase)


def passphrase(
    data: DataDir = DEFAULT_DATA,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: NewPassphraseFile = None,
    new_key_file: NewKeyFile = None,
    as_json: Json = False,
) -> None:
    """Seals the root keys anew."""
    from vault.config import load_settings
    from vault.core.localacts import recording
    from vault.keys.file_provider import FileProvider
    from vault.keys.resealing import reseal

    if new_passphrase_file is not None and new_key_file is not None:
        raise UsageError("--new-passphrase-file and --new-key-file exclude each other")
    settings = load_settings(data)
    file = passphrase_file or development_passphrase(data)
    old = FileProvider.of(data, settings.keys, read_passphrase(file, settings.keys, new=False))
    new_passphrase = None if new_key_file is not None else read_new_passphrase(new_passphrase_file)
    key_file = new_key_file.resolve() if new_key_file is not None else None
    with recording(data, settings) as trail:
        trail.local("ChangePassphrase", key_file=key_file is not None)
    done = reseal(data, old, FileProvider(old.directory, passphrase=new_passphrase, key_file=key_file))
    if as_json:
        print_json({"resealed": list(done.now), "resealed_before": list(done.before)})
        return
    print_line(f"{plural(len(done.now), 'root key')} sealed anew: {', '.join(done.now) or '-'}")
    if done.before:
        print_line(f"sealed so already: {', '.join(done.before)}")
    if key_file is not None:
        print_line(_NEXT_KEY_FILE.format(file=key_file))
    elif settings.keys.key_file:
        print_line(_NEXT_NO_KEY_FILE)
    else:
        print_line(_RESTART)
