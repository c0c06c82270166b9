"""Options by which `audit list`, `tail` and `export` choose accesses, and how they show one."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vault.cli.customer_ref import By, named
from vault.cli.exits import UsageError
from vault.cli.output import when, when_json

if TYPE_CHECKING:
    from customervault.inputs import AccessFilter
    from customervault.results import Access


class DecisionName(StrEnum):
    """What became of a value, or of an act."""

    PLAIN = "plain"
    MASKED = "masked"
    DENIED = "denied"


CustomerOption = Annotated[
    str, typer.Option("--customer", metavar="ID", help="Only this customer, by external id or token.")
]
PrincipalOption = Annotated[
    str, typer.Option("--principal", metavar="NAME", help="Only what this principal did.")
]
ClassOption = Annotated[
    str, typer.Option("--class", metavar="NAME", help="Only values of this field class; counts are of them.")
]
PurposeOption = Annotated[str, typer.Option("--purpose", metavar="NAME", help="Only for this purpose.")]
ActionOption = Annotated[
    list[str] | None,
    typer.Option("--action", metavar="NAME", help="Only this call or act; give it once for each."),
]
DecisionOption = Annotated[
    DecisionName | None,
    typer.Option("--decision", help="Only where a value was so decided, or an act denied."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Not before; inclusive.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Not after; exclusive.")]

HEADINGS: Final = (
    *("TIME", "PRINCIPAL", "ACTION", "PURPOSE", "BASIS", "PLAIN", "MASKED", "DENIED", "CUSTOMERS"),
    *("CLASSES", "WHY"),
)
_AGO = re.compile(r"(\d{1,6})([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def wanted(
    customer: str,
    by: By,
    principal: str,
    field_class: str,
    purpose: str,
    actions: list[str] | None,
    decision: DecisionName | None,
    since: str,
    until: str,
) -> "AccessFilter":
    """What the options ask for.

    Raises:
        UsageError: a time is none.
    """
    asked: AccessFilter = {
        "principal": principal,
        "field_class": field_class,
        "purpose": purpose,
        "actions": actions or (),
        "decision": decision.value if decision is not None else None,
        "start": parse_time(since, "--since"),
        "end": parse_time(until, "--until"),
    }
    if customer:
        who = named(customer, by)
        asked["external_id"], asked["token"] = who.get("external_id"), who.get("token")
    return asked


def parse_time(text: str, option: str, now: datetime | None = None) -> datetime | None:
    """A moment in UTC; None for the empty text. A time without a zone is taken as UTC.

    Raises:
        UsageError: It is neither a time nor a span.
    """
    if not text:
        return None
    try:
        if ago := _AGO.match(text):
            span = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return (now or datetime.now(UTC)) - span
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} is a time such as 2026-05-01T12:00:00Z, or 90s, 15m, 2h, 7d") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_row(access: "Access") -> tuple[object, ...]:
    """An access as a line of a table with `HEADINGS`."""
    return (
        when(access.time),
        access.principal or "-",
        f"{access.action} (break glass)" if access.break_glass else access.action,
        access.purpose or "-",
        (access.basis or "-").replace("_", " "),
        access.values_plain,
        access.values_masked,
        access.values_denied,
        access.customers,
        ", ".join(access.field_classes),
        ", ".join(access.reasons) or access.detail,
    )


def as_json(access: "Access") -> dict[str, object]:
    """An access as a JSON object; the names are those of docs/audit.md."""
    return {
        "leaf": access.leaf,
        "time": when_json(access.time),
        "principal": access.principal,
        "action": access.action,
        "purpose": access.purpose,
        "basis": access.basis,
        "break_glass": access.break_glass,
        "values_plain": access.values_plain,
        "values_masked": access.values_masked,
        "values_denied": access.values_denied,
        "customers": access.customers,
        "field_classes": list(access.field_classes),
        "reasons": list(access.reasons),
        "detail": access.detail,
    }
