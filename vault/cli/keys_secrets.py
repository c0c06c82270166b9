"""`cvault keys rotate-token-key` and `rotate-signing-key`: change the vault's own secrets, on its machine.

The commands open the vault beside the processes that serve it, or without them, and need the passphrase.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.exits import UsageError
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import print_json, print_line, print_remark
from vault.cli.passphrase import development_passphrase, read_passphrase
from vault.cli.texts import texts

if TYPE_CHECKING:
    from vault.core.engine import Engine
    from vault.core.trail import Trail

_GENERATIONS = """Begin a new generation of the token key, or withdraw an old one, beside a running vault.

Tokens that are issued from now on are of the new generation, which shows in their first characters: cv2_,
cv3_. Those of older generations stay valid. With --withdraw N, tokens of generation N become unknown, for
good: have every system tokenize or translate its values again before.

Examples:
  cvault keys rotate-token-key --data /var/lib/customer-vault
  cvault keys rotate-token-key --data /var/lib/customer-vault --withdraw 1
"""
_SIGNING = """Give the vault a new signing key. The vault may run meanwhile.

It signs the ledger, receipts and certificates from now on. What the old key signed stays verifiable:
public/keys.json holds both; hand it on to whoever checks certificates.

Where there is a witness, it has to know the new key before. The first call then ends with exit code 4 and
prints the key: start the witness with --log for the old key and the new one, and repeat the command.

Example:
  cvault keys rotate-signing-key --data /var/lib/customer-vault
"""
_PROCESS = "cvault"


def register(group: typer.Typer) -> None:
    """Adds the commands to the group `keys`."""
    group.command("rotate-signing-key", **texts(_SIGNING, "Rotate the signing key."))(rotate_signing_key)
    group.command("rotate-token-key", **texts(_GENERATIONS, "Rotate the token key."))(rotate_token_key)


def rotate_token_key(
    data: DataDir = DEFAULT_DATA,
    withdraw: Annotated[
        int | None, typer.Option("--withdraw", metavar="N", help="End generation N instead.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Rotates the token key."""
    from vault.core import tokenkeys

    with _opened(data, passphrase_file) as (engine, trail):
        if withdraw is not None:
            tokenkeys.withdraw_token_key(engine, trail, withdraw)
        else:
            tokenkeys.rotate_token_key(engine, trail)
        with engine.store.keyring() as keys:
            accepted = tokenkeys.token_key_generations(keys)
    if as_json:
        print_json({"generation": accepted[-1], "accepted": accepted})
    else:
        print_line(f"new tokens are of generation {accepted[-1]}: cv{accepted[-1]}_")
        print_line(f"accepted: {', '.join(map(str, accepted))}")


def rotate_signing_key(
    data: DataDir = DEFAULT_DATA, passphrase_file: PassphraseFile = None, as_json: Json = False
) -> None:
    """Rotates the signing key."""
    from vault.core.signingkey import rotate_signing_key as rotate
    from vault.errors import WitnessUnavailableError

    with _opened(data, passphrase_file) as (engine, trail):
        try:
            key_id = rotate(engine, trail)
        except WitnessUnavailableError as error:
            if "key" in error.details:
                print_remark(f"start the witness with one more --log: {error.details['key']}")
            raise
        keys = engine.data_dir / "public" / "keys.json"
    if as_json:
        print_json({"signing_key_id": key_id, "public_keys": str(keys)})
    else:
        print_line(f"the vault signs with {key_id}; {keys} has all its public keys")


@contextmanager
def _opened(data: Path, passphrase_file: Path | None) -> "Iterator[tuple[Engine, Trail]]":
    """The vault, open in this process, which may be one of several."""
    if not (data / "FORMAT").exists():
        raise UsageError(f"there is no vault in {data}")
    from vault.config import load_settings
    from vault.core.engine import open_engine
    from vault.core.trail import Trail
    from vault.keys.unlock import unlock

    settings = load_settings(data)
    file = passphrase_file or development_passphrase(data)
    edk = unlock(data, settings, read_passphrase(file, settings.keys, new=False))
    engine = open_engine(data, settings, edk, _PROCESS)
    try:
        yield engine, Trail(engine.audit)
    finally:
        engine.close()
