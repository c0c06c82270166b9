"""`cvault keys rotate-pseudonym-key`: the keys of a domain's pseudonyms, beside the serving processes."""

from typing import Annotated

import typer

from vault.cli.keys_secrets import opened
from vault.cli.options import DEFAULT_DATA, DataDir, Json, PassphraseFile
from vault.cli.output import print_json, print_line, print_remark
from vault.cli.texts import texts

_ROTATE = """Give a domain's pseudonyms a new key, or end an old one, beside a running vault.

Pseudonyms from now on do not join with those given out before: every table that holds some has to be keyed
anew, or stays an island. The old key serves for that, by `cvault pseudonymize --generation N`, until
--withdraw N deletes it from the keyring, for good. Make a new copy of the keyring afterwards.

Examples:
  cvault keys rotate-pseudonym-key --domain warehouse --data /var/lib/customer-vault
  cvault keys rotate-pseudonym-key --domain warehouse --withdraw 1 --data /var/lib/customer-vault
  cvault keys rotate-pseudonym-key --domain warehouse --list --data /var/lib/customer-vault
"""


def register(group: typer.Typer) -> None:
    """Adds the command to the group `keys`."""
    group.command(
        "rotate-pseudonym-key",
        **texts(_ROTATE, "Rotate the key of a domain's pseudonyms."),
        no_args_is_help=True,
    )(rotate_pseudonym_key)


def rotate_pseudonym_key(
    domain: Annotated[str, typer.Option("--domain", metavar="NAME", help="Whose pseudonyms.")],
    data: DataDir = DEFAULT_DATA,
    withdraw: Annotated[
        int | None, typer.Option("--withdraw", metavar="N", help="End generation N instead.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Change nothing; show the generations that there are.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Rotates the key of a domain's pseudonyms."""
    from vault.core import pseudonymkeys

    with opened(data, passphrase_file) as (engine, trail):
        if withdraw is not None:
            pseudonymkeys.withdraw_pseudonym_key(engine, trail, domain, withdraw)
        elif not listing:
            pseudonymkeys.rotate_pseudonym_key(engine, trail, domain)
        prefixes = {
            generation: key.prefix for generation, key in pseudonymkeys.domain_keys(engine, domain).items()
        }
    newest = max(prefixes, default=0)
    if as_json:
        print_json(
            {
                "domain": domain,
                "generation": newest,
                "available": [{"generation": each, "prefix": prefixes[each]} for each in prefixes],
            }
        )
        return
    if not prefixes:
        print_line("no key yet: the first pseudonym makes it")
        return
    print_line(f"new pseudonyms of {domain} are of generation {newest} and begin with {prefixes[newest]}")
    for generation, prefix in prefixes.items():
        if generation != newest:
            print_line(f"still available: generation {generation}, {prefix}")
    if withdraw is None and not listing:
        print_remark("pseudonyms given out before do not join with new ones; see docs/pseudonyms.md")
