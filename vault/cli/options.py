"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from vault.cli.exits import UsageError

if TYPE_CHECKING:
    from customervault.values import LawfulBasis

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text for people.")]
DataDir = Annotated[
    Path,
    typer.Option("--data", envvar="CVAULT_DATA", metavar="DIR", help="Data directory of the vault."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File with the passphrase of the root key. Without it: CVAULT_PASSPHRASE, else a prompt.",
    ),
]
Domain = Annotated[
    str,
    typer.Option(
        "--domain",
        envvar="CVAULT_DOMAIN",
        metavar="NAME",
        help="Domain of the tokens; by default the first one of your principal.",
    ),
]
Purpose = Annotated[
    str,
    typer.Option(
        "--purpose",
        envvar="CVAULT_PURPOSE",
        metavar="NAME",
        help="Why the values are read; a purpose that the policy names.",
    ),
]
Basis = Annotated[
    str,
    typer.Option(
        "--basis",
        metavar="NAME",
        help="Lawful basis that the read stands on, one of the purpose's; by default its first.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="At most so many; 0 for all.")]
Approval = Annotated[
    str,
    typer.Option(
        "--approval",
        metavar="APPROVAL_ID",
        help="Another person's approval, where the policy asks for one; see `cvault approvals`.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

DEFAULT_DATA = Path("vault-data")


def lawful_basis(name: str) -> "LawfulBasis | None":
    """The lawful basis of this name; None for the empty one.

    Raises:
        UsageError: there is no such basis.
    """
    if not name:
        return None
    for basis in get_args(_bases()):
        if basis == name.replace("-", "_"):
            found: LawfulBasis = basis
            return found
    raise UsageError(f"--basis is one of {', '.join(get_args(_bases()))}")


def _bases() -> object:
    from customervault.values import LawfulBasis

    return LawfulBasis
