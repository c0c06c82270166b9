"""`cvault detokenize`: opens tokens for a purpose."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import online
from vault.cli.exits import ExitCode, UsageError, code_for, message_of, reason_of
from vault.cli.options import Basis, Json, Purpose, lawful_basis
from vault.cli.output import print_json, print_line, print_remark, visible
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault, VaultError

_BATCH = 1000

_HELP = """Open tokens for a purpose and print their values, one a line, in the order of the tokens.

Give tokens as arguments, or `-` and one a line on standard input. What is shown is what policy
grants for the purpose: the value or its mask. A token that is not opened leaves an empty line, and
its reason goes to standard error. An empty line of input stays one. With --json: one object a line,
exact to the character.

Exit codes: 0 all opened, 1 some were not, 2 usage, 3 all denied, 4 unavailable.

Examples:
  cvault detokenize cv1_0123456789abcdef0123456789abcdef --purpose support
  tail -n +2 contacts-tokens.csv | cut -d, -f3 | cvault detokenize - --purpose support
"""


class Reveal(StrEnum):
    """How much to ask for."""

    BEST = "best"
    PLAIN = "plain"
    MASKED = "masked"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("detokenize", **texts(_HELP, "Open tokens for a purpose."), no_args_is_help=True)(detokenize)


@online
def detokenize(
    vault: "Vault",
    tokens: Annotated[
        list[str],
        typer.Argument(metavar="TOKEN...|-", help="Tokens, or - for standard input.", show_default=False),
    ],
    purpose: Purpose = "",
    basis: Basis = "",
    reveal: Annotated[
        Reveal,
        typer.Option("--reveal", help="best: what is granted; plain: refuse where only a mask is; masked."),
    ] = Reveal.BEST,
    as_json: Json = False,
) -> None:
    """Opens tokens."""
    if not purpose:
        raise UsageError("say why the values are read: --purpose NAME")
    wanted = (line.strip() for line in sys.stdin) if tokens == ["-"] else iter(tokens)
    opened = number = 0
    codes: set[ExitCode] = set()
    for batch in _batches(wanted):
        values = iter(
            vault.detokenize(
                [each for each in batch if each],
                purpose=purpose,
                reveal=reveal.value,
                basis=lawful_basis(basis),
            )
        )
        for token in batch:
            number += 1
            value = next(values) if token else None
            if value is None:
                _print_value(token, "", None, as_json=as_json)
            elif value.error is None:
                opened += 1
                _print_value(token, value.get(), value.reveal_level, as_json=as_json)
            else:
                codes.add(code_for(reason_of(value.error)))
                _print_failure(number, token, value.error, as_json=as_json)
    if codes:
        raise typer.Exit(ExitCode.PARTIAL if opened or len(codes) > 1 else codes.pop())


def _batches(tokens: Iterable[str]) -> Iterator[Sequence[str]]:
    tokens = iter(tokens)
    for first in tokens:
        yield list(chain((first,), islice(tokens, _BATCH - 1)))


def _print_value(token: str, text: str, reveal: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"token": token, "reveal": reveal, "value": text})
    else:
        print_line(visible(text))


def _print_failure(number: int, token: str, error: "VaultError", *, as_json: bool) -> None:
    if as_json:
        failure = {"reason": reason_of(error), "message": message_of(error)}
        print_json({"token": token, "error": failure})
    else:
        print_line()
        print_remark(f"token {number}: {message_of(error)} [{reason_of(error)}]")
