"""Where the passphrase of the root key comes from, or the PIN of the token that holds it.

In this order: `--passphrase-file`, the `[keys]` section of vault.toml, CVAULT_PASSPHRASE, a prompt
on the terminal. It is never an argument: those are readable by every process of the machine. A key
provider that takes none is not a reason to ask, but one that is given is handed on: while an epoch
moves between two providers, the old one may need it.
"""

import getpass
import os
import sys
from pathlib import Path

from vault.cli.exits import UsageError
from vault.config import ProviderSettings
from vault.model.secret import Secret

_VARIABLE = "CVAULT_PASSPHRASE"


def read_passphrase(file: Path | None, settings: ProviderSettings, *, new: bool) -> Secret | None:
    """The passphrase, or None where something else takes its place.

    Args:
        file: What `--passphrase-file` named.
        settings: The `[keys]` section.
        new: Ask twice on a terminal, because nothing can check a new one.

    Raises:
        UsageError: There is none, it is empty, or the two do not match.
    """
    named = file or (Path(settings.passphrase_file) if settings.passphrase_file else None)
    if named is not None:
        return _checked(_from_file(named), f"{named} is empty")
    if settings.key_file:
        return None
    if _VARIABLE in os.environ:
        return _checked(os.environ[_VARIABLE], f"{_VARIABLE} is empty")
    if _takes_none(settings):
        return None
    if not sys.stdin.isatty():
        raise UsageError(f"no passphrase: give --passphrase-file, set {_VARIABLE}, or run on a terminal")
    if settings.provider == "pkcs11":
        return _checked(getpass.getpass("PIN of the token: "), "the PIN is empty")
    return _prompt(new=new)


def read_new_passphrase(file: Path | None) -> Secret:
    """The passphrase that is to replace another: from a file, else asked for twice.

    Raises:
        UsageError: There is none, it is empty, or the two do not match.
    """
    if file is not None:
        return _checked(_from_file(file), f"{file} is empty")
    if not sys.stdin.isatty():
        raise UsageError("no new passphrase: give --new-passphrase-file, or run on a terminal")
    return _prompt(new=True, what="New passphrase of the root keys: ")


def passphrase_available(file: Path | None, settings: ProviderSettings) -> bool:
    """Whether `read_passphrase` would do without a prompt."""
    return bool(
        file
        or settings.passphrase_file
        or settings.key_file
        or _VARIABLE in os.environ
        or _takes_none(settings)
    )


def development_passphrase(data: Path) -> Path | None:
    """The file in which a vault made by `serve --dev` keeps its passphrase, if it is one."""
    path = data / "dev" / "passphrase"
    return path if path.exists() else None


def _takes_none(settings: ProviderSettings) -> bool:
    by_token = settings.provider == "pkcs11" and bool(settings.pkcs11.pin_file)
    return by_token or settings.provider in ("aws-kms", "transit")


def _prompt(*, new: bool, what: str = "Passphrase of the root key: ") -> Secret:
    first = getpass.getpass(what)
    if new and getpass.getpass("The same again: ") != first:
        raise UsageError("the two passphrases differ")
    return _checked(first, "the passphrase is empty")


def _from_file(path: Path) -> str:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the passphrase file {path} cannot be read") from error
    return text.removesuffix("\n").removesuffix("\r")


def _checked(text: str, complaint: str) -> Secret:
    if not text:
        raise UsageError(complaint)
    return Secret(text)
