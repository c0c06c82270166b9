"""`cvault pseudonymize`, `compare`, `derive`: something is told of values, which stay in the vault."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from vault.cli.connection import online
from vault.cli.exits import ExitCode, UsageError, code_for, message_of, reason_of
from vault.cli.options import Basis, Domain, Json, Purpose, lawful_basis
from vault.cli.output import print_json, print_line, print_remark, visible
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault, VaultError

Item = TypeVar("Item")

_BATCH = 1000
_PSEUDONYMIZE = """Print a pseudonym for each token: a join key for analytics that nobody can turn back.

Equal values of one field class have equal pseudonyms in one domain, and unlinkable ones in two. Give
tokens as arguments, or `-` and one a line on standard input. Prints CSV, token and pseudonym, with a
heading; a token that has none leaves an empty pseudonym, and its reason goes to standard error. With
--json: one object a line.

Exit codes: 0 all done, 1 some were not, 2 usage, 3 all denied, 4 unavailable.

Examples:
  cvault pseudonymize cv1_0123456789abcdef0123456789abcdef --purpose analytics
  cut -d, -f3 contacts.csv | cvault pseudonymize - --purpose analytics --domain warehouse > keys.csv
"""
_COMPARE = """Say whether two tokens hold equal values of one field class, without revealing them.

Values are compared as they are normalized: `Ada@Example.org` equals `ada@example.org`. Customers are counted
against the budgets for comparing.

Exit codes: 0 equal, 1 not equal or refused, 2 usage, 3 denied, 4 unavailable.

Example:
  cvault compare cv1_0123456789abcdef0123456789abcdef cv1_fedcba9876543210fedcba9876543210 --purpose dedup
"""
_DERIVE = """Answer a question about the values of tokens, without revealing them.

  age-over        has the person completed --age years?           birth dates
  country         where is the number, where the account?         phones, IBANs
  email-domain    what follows the @                              e-mail addresses
  postcode-area   first part of the postcode, in --country        addresses
  card-bin        first six digits: the issuer                    cards

Give tokens as arguments, or `-` and one a line on standard input. Prints one answer a line; a token without
one leaves an empty line, and its reason goes to standard error. With --json: one object a line.

Exit codes: 0 all answered, 1 some were not, 2 usage, 3 all denied, 4 unavailable.

Examples:
  cvault derive age-over cv1_0123456789abcdef0123456789abcdef --age 18 --purpose age_check
  cvault derive country - --purpose statistics < phone-tokens.txt
"""


class Kind(StrEnum):
    """What can be asked."""

    AGE_OVER = "age-over"
    COUNTRY = "country"
    EMAIL_DOMAIN = "email-domain"
    POSTCODE_AREA = "postcode-area"
    CARD_BIN = "card-bin"


Tokens = Annotated[
    list[str],
    typer.Argument(metavar="TOKEN...|-", help="Tokens, or - for standard input.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("pseudonymize", **texts(_PSEUDONYMIZE, "Join keys for analytics."), no_args_is_help=True)(
        pseudonymize
    )
    app.command("compare", **texts(_COMPARE, "Are two values equal?"), no_args_is_help=True)(compare)
    app.command("derive", **texts(_DERIVE, "Answers without the value."), no_args_is_help=True)(derive)


@online
def pseudonymize(
    vault: "Vault",
    tokens: Tokens,
    purpose: Purpose = "",
    basis: Basis = "",
    domain: Domain = "",
    generation: Annotated[
        int,
        typer.Option("--generation", metavar="N", min=0, help="Of the domain's key; 0 for the newest."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Prints pseudonyms."""
    _require(purpose)
    if not as_json:
        print_line("token,pseudonym")
    tally = _Tally(as_json=as_json)
    for batch in _batches(_given(tokens), _BATCH):
        told = vault.pseudonymize(
            batch, purpose=purpose, basis=lawful_basis(basis), domain=domain or None, generation=generation
        )
        for token, each in zip(batch, told, strict=True):
            if tally.failed(token, each.error):
                if not as_json:
                    print_line(_row(token, ""))
            elif as_json:
                print_json({"token": token, "pseudonym": each.text, "generation": each.generation})
            else:
                print_line(_row(token, each.text))
    tally.finish()


@online
def compare(
    vault: "Vault",
    left: Annotated[str, typer.Argument(metavar="TOKEN", help="Of one value.", show_default=False)],
    right: Annotated[str, typer.Argument(metavar="TOKEN", help="Of the other.", show_default=False)],
    purpose: Purpose = "",
    basis: Basis = "",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Compares two values."""
    _require(purpose)
    (told,) = vault.compare([(left, right)], purpose=purpose, basis=lawful_basis(basis), domain=domain)
    equal = told.get()
    if as_json:
        print_json({"equal": equal})
    else:
        print_line("equal" if equal else "not equal")
    if not equal:
        raise typer.Exit(ExitCode.PARTIAL)


@online
def derive(
    vault: "Vault",
    question: Annotated[Kind, typer.Argument(help="What is asked.", show_default=False)],
    tokens: Tokens,
    purpose: Purpose = "",
    basis: Basis = "",
    domain: Domain = "",
    age: Annotated[
        int | None, typer.Option("--age", metavar="YEARS", min=0, help="For age-over: completed years.")
    ] = None,
    country: Annotated[
        str, typer.Option("--country", metavar="CODE", help="For postcode-area: of the address, such as DE.")
    ] = "",
    time_zone: Annotated[
        str,
        typer.Option("--time-zone", metavar="ZONE", help="In which today is meant; by default UTC."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Prints derived answers."""
    from customervault._convert import QUESTION_KINDS
    from customervault.inputs import Question

    _require(purpose)
    if (question is Kind.AGE_OVER) != (age is not None):
        raise UsageError("age-over takes --age YEARS, and nothing else does")
    if (question is Kind.POSTCODE_AREA) != bool(country):
        raise UsageError("postcode-area takes --country CODE, and nothing else does")
    kind = QUESTION_KINDS[question.value.replace("-", "_")]
    tally = _Tally(as_json=as_json)
    for batch in _batches(_given(tokens), _BATCH):
        told = vault.derive(
            [Question(token, kind, age or 0, country) for token in batch],
            purpose=purpose,
            basis=lawful_basis(basis),
            domain=domain,
            time_zone=time_zone,
        )
        for token, each in zip(batch, told, strict=True):
            if tally.failed(token, each.error):
                if not as_json:
                    print_line()
            elif as_json:
                print_json({"token": token, "answer": each.get()})
            else:
                answer = each.get()
                print_line(visible(answer) if isinstance(answer, str) else "yes" if answer else "no")
    tally.finish()


class _Tally:
    """Prints the failures of a call, and knows its exit code."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._number = self._told = 0
        self._codes: set[ExitCode] = set()

    def failed(self, token: str, error: "VaultError | None") -> bool:
        """Counts an item; whether it failed."""
        self._number += 1
        if error is None:
            self._told += 1
            return False
        self._codes.add(code_for(reason_of(error)))
        if self._as_json:
            print_json({"token": token, "error": {"reason": reason_of(error), "message": message_of(error)}})
        else:
            print_remark(f"token {self._number}: {message_of(error)} [{reason_of(error)}]")
        return True

    def finish(self) -> None:
        """Ends the command with its exit code, unless that is 0."""
        if self._codes:
            raise typer.Exit(ExitCode.PARTIAL if self._told or len(self._codes) > 1 else self._codes.pop())


def _require(purpose: str) -> None:
    if not purpose:
        raise UsageError("say why it is asked: --purpose NAME")


def _given(tokens: Sequence[str]) -> Iterator[str]:
    given: Iterable[str] = sys.stdin if list(tokens) == ["-"] else tokens
    return (token for line in given if (token := line.strip()))


def _batches(tokens: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(tokens, size)):
        yield batch


def _row(*cells: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
