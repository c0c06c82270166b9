"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

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
