"""`cvault customers restrict`, `lift`, `hold`, `release`, `expire`: what narrows processing, or ends that."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.exits import UsageError
from vault.cli.options import Json
from vault.cli.output import print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Customer as Subject

_RESTRICT = """Restrict processing of a customer (GDPR art. 18): reads end, at once.

Without --purpose for every purpose, without --field-class for every field class. Purposes that the policy
marks with allow_restricted go on. The answer is the id by which `lift` ends it.

Examples:
  cvault customers restrict customer-4711
  cvault customers restrict customer-4711 --purpose marketing --until 2027-01-31
"""
_LIFT = """End a restriction.

Example:
  cvault customers lift customer-4711 812
"""
_HOLD = """Place a legal hold: values are neither deleted, rectified nor shredded.

Without --field-class for every field class. A shred of the customer destroys what is not held, closes the
rest, and is done by itself when the last hold ends. --reference is kept for good: no personal data in it.

Example:
  cvault customers hold customer-4711 --field-class iban --reference "4 O 123/26"
"""
_RELEASE = """End a legal hold, and do the shred that waited for it.

Example:
  cvault customers release customer-4711 813
"""
_EXPIRE = """Set a time from which nothing is revealed, or end one with --clear.

Without --purpose for every purpose, without --field-class for every field class.

Examples:
  cvault customers expire customer-4711 --purpose marketing --at 2027-01-31
  cvault customers expire customer-4711 --clear 814
"""

Purposes = Annotated[
    list[str] | None,
    typer.Option("--purpose", metavar="NAME", help="A purpose; may be given again.", show_default=False),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--field-class", metavar="NAME", help="A field class; may be given again.", show_default=False
    ),
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="When it ends by itself.")]
Id = Annotated[int, typer.Argument(metavar="ID", min=1, help="As the answer or `show` has it.")]


def register(group: typer.Typer) -> None:
    """Adds the commands to the group."""
    group.command("restrict", **texts(_RESTRICT, "Restrict processing of a customer."))(restrict)
    group.command("lift", **texts(_LIFT, "End a restriction."))(lift)
    group.command("hold", **texts(_HOLD, "Place a legal hold."))(hold)
    group.command("release", **texts(_RELEASE, "End a legal hold."))(release)
    group.command("expire", **texts(_EXPIRE, "Set when nothing is revealed any more."))(expire)


@online
def restrict(
    vault: "Vault",
    customer: Customer,
    purposes: Purposes = None,
    field_classes: Classes = None,
    until: Until = "",
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Restricts a customer."""
    made = vault.restrict(
        **named(customer, by),
        purposes=purposes or (),
        field_classes=field_classes or (),
        until=moment(until, "--until"),
    )
    _tell("restriction", made, as_json=as_json)


@online
def lift(
    vault: "Vault", customer: Customer, number: Id, by: ByOption = By.AUTO, as_json: Json = False
) -> None:
    """Ends a restriction."""
    vault.lift(number, **named(customer, by))
    _tell_end("restriction", number, "lifted", as_json=as_json)


@online
def hold(
    vault: "Vault",
    customer: Customer,
    field_classes: Classes = None,
    until: Until = "",
    reference: Annotated[
        str, typer.Option("--reference", metavar="TEXT", help="For example a case number.")
    ] = "",
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Places a legal hold."""
    made = vault.hold(
        **named(customer, by),
        field_classes=field_classes or (),
        until=moment(until, "--until"),
        reference=reference,
    )
    _tell("hold", made, as_json=as_json)


@online
def release(
    vault: "Vault", customer: Customer, number: Id, by: ByOption = By.AUTO, as_json: Json = False
) -> None:
    """Ends a legal hold."""
    vault.release(number, **named(customer, by))
    _tell_end("hold", number, "released", as_json=as_json)


@online
def expire(
    vault: "Vault",
    customer: Customer,
    purposes: Purposes = None,
    field_classes: Classes = None,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="From when on.")] = "",
    clear: Annotated[int, typer.Option("--clear", metavar="ID", min=0, help="End this one instead.")] = 0,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Sets or ends an expiry."""
    begins = moment(at, "--at")
    if (begins is None) == (not clear):
        raise UsageError("say --at TIME to set one, or --clear ID to end one")
    if begins is None:
        vault.clear_expiry(clear, **named(customer, by))
        _tell_end("expiry", clear, "cleared", as_json=as_json)
        return
    made = vault.set_expiry(
        begins, **named(customer, by), purposes=purposes or (), field_classes=field_classes or ()
    )
    _tell("expiry", made, as_json=as_json)


def print_terms(customer: "Subject") -> None:
    """A table of what narrows a customer's processing, if anything does."""
    rows: list[Sequence[object]] = [
        *[(each.id, "restricted", each.purpose, each.field_class, when(each.until), "")
          for each in customer.restrictions],
        *[(each.id, "held", "", each.field_class, when(each.until), each.reference)
          for each in customer.holds],
        *[(each.id, "expiring", each.purpose, each.field_class, when(each.at), "")
          for each in customer.expiries],
    ]  # fmt: skip
    if rows:
        print_line()
        shown = [
            (i, what, purpose or "-", kind or "-", end, text) for i, what, purpose, kind, end, text in rows
        ]
        print_table(("ID", "WHAT", "PURPOSE", "CLASS", "TIME", "REFERENCE"), shown, empty="")


def terms_as_json(customer: "Subject") -> dict[str, Any]:
    """The same for scripts; null stands for every purpose, every field class, no end."""
    return {
        "restrictions": [
            {
                "id": each.id,
                "purpose": each.purpose or None,
                "field_class": each.field_class or None,
                "until": when_json(each.until),
            }
            for each in customer.restrictions
        ],
        "holds": [
            {
                "id": each.id,
                "field_class": each.field_class or None,
                "until": when_json(each.until),
                "reference": each.reference,
            }
            for each in customer.holds
        ],
        "expiries": [
            {
                "id": each.id,
                "purpose": each.purpose or None,
                "field_class": each.field_class or None,
                "at": when_json(each.at),
            }
            for each in customer.expiries
        ],
    }


def moment(text: str, option: str) -> datetime | None:
    """A date or time in ISO 8601, in UTC where it names no zone; None for the empty text.

    Raises:
        UsageError: It is no time.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a date or time, such as 2027-01-31 or 2027-01-31T12:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tell(what: str, number: int, *, as_json: bool) -> None:
    if as_json:
        print_json({f"{what}_id": number})
    else:
        print_line(f"{what} {number}")


def _tell_end(what: str, number: int, verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json({f"{what}_id": number, verb: True})
    else:
        print_line(f"{what} {number} {verb}")
