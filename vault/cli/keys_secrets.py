"""`cvault keys rotate-token-key`, `rotate-signing-key`, `rotate-ca`: changes of the vault's own secrets.

The commands run on the vault's machine and need the passphrase. They open the vault beside the processes
that serve it, or without them.
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

It signs the ledger, checkpoints and certificates from now on. What the old key signed stays verifiable:
public/keys.json holds both, the new one announced by the old one; hand it on to whoever checks certificates.
Make a new copy of the keyring afterwards: older ones lack the new key, and a restore needs it.

A `cvault witness` follows by itself. A witness of another make has to know the new key before: the call then
ends with exit code 4 and prints it. Repeat the command when the witness knows it.

Example:
  cvault keys rotate-signing-key --data /var/lib/customer-vault
"""
_CA = """Put another CA in place of the vault's own, in two steps. The vault runs on meanwhile.

The first call makes a new CA, which signs certificates from now on; clients of both are let in, and
tls/ca.crt holds both. Then give every principal a new certificate (`cvault principals add NAME`) and that
tls/ca.crt. When all have them, --finish gives the server a certificate of the new CA and ends the trust in
the old one: its clients are refused at their next call, over connections that are open, too.

Examples:
  cvault keys rotate-ca --data /var/lib/customer-vault
  cvault keys rotate-ca --data /var/lib/customer-vault --finish
"""
_PROCESS = "cvault"


def register(group: typer.Typer) -> None:
    """Adds the commands to the group `keys`."""
    group.command("rotate-ca", **texts(_CA, "Rotate the vault's own CA."))(rotate_ca)
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

    with opened(data, passphrase_file) as (engine, trail):
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

    with opened(data, passphrase_file) as (engine, trail):
        try:
            key_id = rotate(engine, trail)
        except WitnessUnavailableError as error:
            if "key" in error.details:
                print_remark(f"the witness has to know one more key of the ledger: {error.details['key']}")
            raise
        keys = engine.data_dir / "public" / "keys.json"
    if as_json:
        print_json({"signing_key_id": key_id, "public_keys": str(keys)})
    else:
        print_line(f"the vault signs with {key_id}; {keys} has all its public keys")
    print_remark("older copies of the keyring do not suffice for a restore: make one, `cvault keys copy`")


def rotate_ca(
    data: DataDir = DEFAULT_DATA,
    passphrase_file: PassphraseFile = None,
    finish: Annotated[bool, typer.Option("--finish", help="End the trust in the old CA.")] = False,
    as_json: Json = False,
) -> None:
    """Changes the vault's own CA."""
    from vault.config import load_settings
    from vault.core.authority import begin_ca_change, end_ca_change

    with opened(data, passphrase_file) as (engine, trail):
        if finish:
            fingerprint = end_ca_change(engine, load_settings(data), trail)
        else:
            fingerprint = begin_ca_change(engine, trail)
        file = data / "tls" / "ca.crt"
    if as_json:
        print_json({"ca": fingerprint, "finished": finish, "file": str(file)})
    elif finish:
        print_line(f"only certificates of the CA {fingerprint} are accepted from now on")
    else:
        print_line(f"the CA {fingerprint} signs from now on; certificates of the old one are accepted, too")
        print_line(f"give every principal a new certificate and {file}, then repeat this with --finish")


@contextmanager
def opened(data: Path, passphrase_file: Path | None) -> "Iterator[tuple[Engine, Trail]]":
    """The vault, open in this process, which may be one of several, and what records acts in it."""
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
