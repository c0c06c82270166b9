"""`cvault tokenize`: stores one customer's values."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from customervault.tables.plan import Place

from vault.cli.connection import online
from vault.cli.exits import UsageError, code_for_batch, message_of, reason_of
from vault.cli.importing.plan import checked_jurisdiction
from vault.cli.options import Domain, Json
from vault.cli.output import print_json, print_line, print_table
from vault.cli.texts import texts
from vault.model.ids import is_label, is_name

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import FieldResult

_MAX_INPUT_CHARACTERS = 4 * 2**20

_HELP = """Store one customer's values and print a token for each.

A value that is held already under its class and label is updated and keeps its token. An external
id that is new creates the customer.

Values given as arguments stay in the shell's history and are seen in the list of processes. Give
`-` instead and a JSON object on standard input: {"CLASS": "VALUE", "CLASS:LABEL": "VALUE"}.

Exit codes: 0 all stored, 1 some were refused, 2 usage, 3 denied, 4 unavailable.

Examples:
  cvault tokenize customer-4711 - < fields.json
  cvault tokenize customer-4711 email=ada@example.org phone:mobile="+44 20 7946 0018"
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("tokenize", **texts(_HELP, "Store one customer's values."), no_args_is_help=True)(tokenize)


@online
def tokenize(
    vault: "Vault",
    external_id: Annotated[
        str, typer.Argument(metavar="EXTERNAL_ID", help="Your own id of the customer.", show_default=False)
    ],
    fields: Annotated[
        list[str],
        typer.Argument(
            metavar="CLASS[:LABEL]=VALUE...|-", help="Values, or - for standard input.", show_default=False
        ),
    ],
    jurisdiction: Annotated[
        str, typer.Option("--jurisdiction", metavar="CODE", help="Country whose law governs a new customer.")
    ] = "",
    domain: Domain = "",
    request_id: Annotated[
        str,
        typer.Option("--request-id", metavar="UUID", help="Repeat with the same one to retry safely."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Stores values."""
    from customervault import Field

    pairs = _from_stdin() if fields == ["-"] else _from_arguments(fields)
    answer = vault.tokenize(
        external_id,
        [Field(place.field_class, value, place.label) for place, value in pairs],
        jurisdiction=checked_jurisdiction(jurisdiction),
        domain=domain or None,
        request_id=request_id or None,
    )
    if as_json:
        print_json(
            {
                "customer_token": answer.customer_token,
                "created": answer.created,
                "fields": [_as_json(result) for result in answer.results],
            }
        )
    else:
        print_line(f"customer {answer.customer_token}{' (new)' if answer.created else ''}")
        rows = [(each.field_class, each.label, each.outcome, _shown(each)) for each in answer.results]
        print_table(("CLASS", "LABEL", "OUTCOME", "TOKEN"), rows, empty="No values.")
    reasons = [result.error.reason for result in answer.results if result.error is not None]
    raise typer.Exit(code_for_batch(reasons, len(answer.results)))


def _from_arguments(texts: list[str]) -> list[tuple[Place, str]]:
    pairs = []
    for number, text in enumerate(texts, 1):
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"argument {number} after the id is not CLASS=VALUE")
        pairs.append((_place(name, f"argument {number} after the id"), value))
    return pairs


def _from_stdin() -> list[tuple[Place, str]]:
    text = sys.stdin.read(_MAX_INPUT_CHARACTERS + 1)
    if len(text) > _MAX_INPUT_CHARACTERS:
        raise UsageError(f"more than {_MAX_INPUT_CHARACTERS} characters on standard input")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise UsageError('standard input has to be a JSON object of texts: {"CLASS": "VALUE"}')
    return [
        (_place(name, f"key {number} on standard input"), value)
        for number, (name, value) in enumerate(document.items(), 1)
    ]


def _place(name: str, where: str) -> Place:
    # The text may be a value in the wrong place, so no message repeats it.
    field_class, _, label = name.partition(":")
    if not is_name(field_class) or not is_label(label):
        raise UsageError(
            f"{where}: CLASS is written like birth_date, LABEL with at most 32 of a-z, 0-9, _ and -"
        )
    return Place(field_class, label)


def _as_json(result: "FieldResult") -> dict[str, object]:
    document: dict[str, object] = {
        "field_class": result.field_class,
        "label": result.label,
        "outcome": result.outcome,
        "token": result.token or None,
    }
    if result.error is not None:
        document["error"] = {"reason": reason_of(result.error), "message": message_of(result.error)}
    return document


def _shown(result: "FieldResult") -> str:
    if result.error is not None:
        return f"{message_of(result.error)} [{reason_of(result.error)}]"
    return result.token or "-"
