"""`cvault keys copy` and what goes with it: copies of the keyring, which end with their epoch."""

from pathlib import Path
from typing import Annotated

import typer

from vault.cli.copies import Directory, Keep, OlderThan, print_problems, prune, time_of
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import print_facts, print_json, print_line, print_remark, print_table
from vault.cli.passphrase import development_passphrase, read_passphrase
from vault.cli.texts import texts

_COPY = """Copy the keyring of the epoch in use into a new directory under DIR. The vault may be running.

A restore on another machine needs such a copy, and the root key: losing every copy of either is losing
every value. A copy ends with its epoch, so make a new one after each rotation; the ledger records each.

Keep copy and root key apart. Whoever has both, and the passphrase, opens every customer who was
shredded since, in any old copy of the values, until the epoch ends. --with-root-keys puts them together
nevertheless (provider "file" only; the root key stays sealed by its passphrase or key file).

Example:
  cvault keys copy /mnt/keys --data /var/lib/customer-vault
"""
_COPIES = """List the copies of the keyring in DIR, oldest first, and what they are still good for.

Example:
  cvault keys copies /mnt/keys --data /var/lib/customer-vault
"""
_VERIFY = """Check a copy of the keyring: hashes, ledger, and every key in it by opening it.

With the vault in the data directory, the ledger then says that this copy was verified, which is what
`[keys] verified_copies` counts: after a rotation, the old root key is kept until there are so many of
the new keyring. With --locked nothing is opened, and nothing counts.

Exit codes: 0 whole, 1 damaged, 2 usage, 4 its epoch key cannot be opened.

Example:
  cvault keys verify /mnt/keys/20261121T224003.512Z --data /var/lib/customer-vault
"""
_PRUNE = """Remove copies of the keyring: those whose root key is destroyed, and by age and number.

Without --keep and --older-than only the worthless ones go.

Example:
  cvault keys prune /mnt/keys --keep 2 --data /var/lib/customer-vault
"""


def add_to(group: typer.Typer) -> None:
    """Adds the commands to the group `keys`."""
    group.command("copy", **texts(_COPY, "Copy the keyring."))(copy)
    group.command("copies", **texts(_COPIES, "List copies of the keyring."))(copies)
    group.command("verify", **texts(_VERIFY, "Check a copy of the keyring."))(verify)
    group.command("prune", **texts(_PRUNE, "Remove copies of the keyring."))(prune_copies)


def copy(
    directory: Directory,
    data: DataDir = DEFAULT_DATA,
    passphrase_file: PassphraseFile = None,
    with_root_keys: Annotated[
        bool, typer.Option("--with-root-keys", help="Put the root key's file beside it; better not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copies the keyring."""
    from vault.config import load_settings
    from vault.core.keycopies import copy_keyring
    from vault.core.localacts import recording

    settings = load_settings(data)
    passphrase = read_passphrase(passphrase_file or development_passphrase(data), settings.keys, new=False)
    with recording(data, settings) as trail:
        made = copy_keyring(data, settings, passphrase, directory, with_root_key=with_root_keys, trail=trail)
    facts = {"path": str(made.path), **made.facts, "bytes": made.bytes}
    if as_json:
        print_json(facts)
        return
    print_facts((name.replace("_", " "), fact) for name, fact in facts.items() if name != "rows")
    if not with_root_keys:
        print_line(f"It opens nothing without root key {made.facts['root_key_id']}: keep that elsewhere.")


def copies(directory: Directory, data: DataDir = DEFAULT_DATA, as_json: Json = False) -> None:
    """Lists copies of the keyring."""
    from vault.core.keycopies import KEYRING_KIND, worth_of
    from vault.store.bundle import bundles

    rows = []
    for each in bundles(directory, KEYRING_KIND):
        worth = worth_of(each, data).value
        if as_json:
            print_json({"name": each.path.name, "worth": worth, "bytes": each.bytes, **each.facts})
        facts = each.facts
        rows.append((each.path.name, time_of(each.created_ms), facts["epoch"], facts["root_key_id"], worth))
    if not as_json:
        print_table(("NAME", "MADE", "EPOCH", "ROOT KEY", "WORTH"), rows, empty="No copies.")


def verify(
    copied: Annotated[Path, typer.Argument(metavar="COPY", show_default=False)],
    data: DataDir = DEFAULT_DATA,
    passphrase_file: PassphraseFile = None,
    locked: Annotated[bool, typer.Option("--locked", help="Do not open the keys.")] = False,
    as_json: Json = False,
) -> None:
    """Checks a copy of the keyring."""
    from vault.config import load_settings
    from vault.core.keycopies import note_verified, verify_copy

    settings = load_settings(data)
    file = passphrase_file or development_passphrase(data)
    passphrase = None if locked else read_passphrase(file, settings.keys, new=False)
    bundle, problems = verify_copy(copied, data, passphrase, locked=locked)
    if not problems and not locked and note_verified(data, settings, passphrase, bundle):
        print_remark(f"The ledger says so: a verified copy of the keyring of epoch {bundle.facts['epoch']}.")
    print_problems(problems, copied, as_json=as_json)


def prune_copies(
    directory: Directory,
    data: DataDir = DEFAULT_DATA,
    keep: Keep = None,
    older_than: OlderThan = None,
    as_json: Json = False,
) -> None:
    """Removes copies of the keyring."""
    from vault.core.keycopies import KEYRING_KIND, Worth, worth_of

    if keep is None and older_than is None:
        keep = 2**31
    prune(
        directory,
        KEYRING_KIND,
        keep,
        older_than,
        worthless=lambda bundle: worth_of(bundle, data) is Worth.WORTHLESS,
        as_json=as_json,
    )
