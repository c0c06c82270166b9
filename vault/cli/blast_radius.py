"""`cvault audit blast-radius`: whose values were read, by a principal or within a time, and how many.

CSV, one row a customer, by ascending customer number:

    customer_token, jurisdiction, first_time, last_time    RFC 3339 in UTC; an empty jurisdiction is none
    plain, masked, denied, values, answered                counts; `values` are the different ones revealed
    <class>_plain, <class>_masked, <class>_denied          by field class, for each class of the answer

No value and no external id stands in it. Customers who have been shredded since have no row.
"""

import csv
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vault.cli.connection import online
from vault.cli.exits import UsageError
from vault.cli.options import Domain, Json
from vault.cli.output import (
    plural,
    print_json,
    print_line,
    print_remark,
    print_table,
    visible,
    when,
    when_json,
)
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.reach_results import BlastRadius, CustomerReads, LogCoverage, ReadCounts

_HELP = """Show exactly whose values were read, and how many: after a credential was stolen, or a bad hour.

Give a principal, a time, or both. What comes first is for people; --csv writes a row for each customer (token
and counts, never a value), --json prints totals and rows. Times are RFC 3339 (2026-05-01T12:00:00Z), a
date, or how long ago: 90s, 15m, 2h, 7d.

The answer ends with what it rests on: how much of it is sealed, which gaps the log has, and whether retention
has removed records of that time.

Example:
  cvault audit blast-radius --principal crm-service --from 2026-05-01T00:00Z --to 2h --csv affected.csv
"""
_HEADER = (
    *("customer_token", "jurisdiction", "first_time", "last_time"),
    *("plain", "masked", "denied", "values", "answered"),
)


def register(group: typer.Typer) -> None:
    """Adds the command."""
    group.command("blast-radius", **texts(_HELP, "Show whose values were read."))(blast_radius)


@online
def blast_radius(
    vault: "Vault",
    principal: Annotated[str, typer.Option("--principal", metavar="NAME", help="Whose reads.")] = "",
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Not before; inclusive.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Not after; exclusive.")] = "",
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="NAME", help="Only reads for this purpose.")
    ] = "",
    csv_file: Annotated[
        str,
        typer.Option("--csv", metavar="FILE", help="Write a row for each customer; - for stdout."),
    ] = "",
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Shows whose values were read."""
    from vault.cli.audit_filter import parse_time

    if not (principal or start or end):
        raise UsageError("say whose reads, or of when: --principal NAME, --from TIME, --to TIME")
    if as_json and csv_file == "-":
        raise UsageError("--json and --csv - both want standard output")
    found = vault.blast_radius(
        principal=principal,
        start=parse_time(start, "--from"),
        end=parse_time(end, "--to"),
        purpose=purpose,
        domain=domain or None,
    )
    if csv_file:
        _write(csv_file, _as_csv(found))
    if as_json:
        print_json(_as_json(found))
    elif csv_file == "-":
        for line in _sentences(found, principal):
            print_remark(line)
    else:
        _print(found, principal)


def _write(name: str, content: str) -> None:
    if name == "-":
        sys.stdout.write(content)
        return
    try:
        Path(name).write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"the file cannot be written: {error.strerror}") from error


def _print(found: "BlastRadius", principal: str) -> None:
    totals = found.totals
    first, *rest = _sentences(found, principal)
    print_line(first)
    print_line()
    print_table(
        ("CLASS", "PLAIN", "MASKED", "DENIED", "DIFFERENT VALUES", "ANSWERED"),
        [(name or "-", *(f"{count:,}" for count in each)) for name, each in sorted(totals.by_class.items())],
        empty="No values.",
    )
    print_line()
    print_table(
        ("LAW", "CUSTOMERS", "PLAIN", "MASKED", "DENIED"),
        [
            (name or "-", *(f"{count:,}" for count in (totals.customers_in[name], *each[:3])))
            for name, each in sorted(totals.by_jurisdiction.items())
        ],
        empty="No customers.",
    )
    print_line()
    for line in rest:
        print_line(line)


def _sentences(found: "BlastRadius", principal: str) -> Iterator[str]:
    """The answer in sentences: what was read, what could not be named, and what all this rests on."""
    totals = found.totals
    page = totals.last_page
    assert page is not None  # noqa: S101 - there is always a first page
    shown, denied = _sum(totals.by_class)
    who = visible(principal) or "Everyone together"
    yield (
        f"{who} read {plural(shown, 'value')} of {plural(totals.customers_revealed, 'customer')}"
        f"{_between(when(page.first), when(page.last)) if page.first else ''}."
    )
    if told := sum(each.answered for each in totals.by_class.values()):
        yield f"Told of values, without seeing them (pseudonyms and the like): {plural(told, 'answer')}."
    if denied:
        only = totals.customers - totals.customers_revealed
        alone = f"; of {plural(only, 'customer')} nothing else" if only else ""
        yield f"Denied: {plural(denied, 'attempt')}{alone}."
    if totals.gone_locators:
        gone_shown, gone_denied = _sum(totals.gone)
        yield (
            f"Cannot be named: {plural(totals.gone_locators, 'name')} in the log of customers shredded since"
            f" ({plural(gone_shown, 'value')} read, {gone_denied:,} denied)."
        )
    if page.unnamed:
        reasons = ", ".join(f"{reason} {items:,}" for reason, items in sorted(page.unnamed.items()))
        yield f"Denied without a customer: {reasons}."
    calls = [
        f"{visible(each.action)}{' (break glass)' if each.break_glass else ''}"
        f"{f' (refused: {each.reason})' if each.reason else ''} {each.calls:,}"
        for each in page.calls
    ]
    if calls:
        yield f"Calls: {', '.join(calls)}."
    yield from _coverage(page.coverage, when(page.end))


def _between(first: str, last: str) -> str:
    return f", from {first} to {last}"


def _coverage(coverage: "LogCoverage", end: str) -> Iterator[str]:
    records = plural(coverage.records, "record")
    if coverage.unsealed is None:
        yield f"Sealed: everything up to {end}, {records}."
    else:
        yield (
            f"Sealed: {coverage.records_sealed:,} of {records}; of {when(coverage.unsealed)} and later,"
            " some are not sealed yet."
        )
    for gap in coverage.gaps:
        between = f"between {when(gap.start)} and {when(gap.end)}"
        yield f"GAP: records may be missing {between}: {visible(gap.cause)}."
    if coverage.gap_count > len(coverage.gaps):
        yield f"GAPS: {coverage.gap_count - len(coverage.gaps)} more."
    if coverage.removed:
        yield (
            f"INCOMPLETE: retention has removed records of this time, up to {when(coverage.removed_until)}:"
            f" {plural(coverage.removed, 'leaf', 'leaves')} that may have counted."
        )
    if coverage.damaged:
        yield f"INCOMPLETE: {plural(coverage.damaged, 'place')} of the log cannot be read."
    if coverage.complete:
        yield "Complete: the log knows of no gap in this time, and nothing of it was removed."


def _sum(counts: "Mapping[str, ReadCounts]") -> tuple[int, int]:
    """Values revealed, and denied."""
    shown = sum(each.plain + each.masked for each in counts.values())
    return shown, sum(each.denied for each in counts.values())


def _as_csv(found: "BlastRadius") -> str:
    classes = sorted(found.totals.by_class)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    kinds = ("plain", "masked", "denied")
    writer.writerow([*_HEADER, *(f"{name or 'unknown'}_{kind}" for name in classes for kind in kinds)])
    for row in found.customers:
        writer.writerow(_csv_row(row, classes))
    return out.getvalue()


def _csv_row(row: "CustomerReads", classes: list[str]) -> list[object]:
    sums = [sum(column) for column in zip(*row.counts.values(), strict=True)]
    by_class = [row.counts.get(name, (0, 0, 0))[:3] for name in classes]
    return [
        row.customer_token,
        row.jurisdiction,
        when_json(row.first),
        when_json(row.last),
        *sums,
        *(count for counts in by_class for count in counts),
    ]


def _as_json(found: "BlastRadius") -> dict[str, object]:
    totals = found.totals
    page = totals.last_page
    assert page is not None  # noqa: S101 - there is always a first page
    coverage = page.coverage
    return {
        "end": when_json(page.end),
        "first": when_json(page.first),
        "last": when_json(page.last),
        "customers_count": totals.customers,
        "customers_revealed": totals.customers_revealed,
        "by_class": _counts_as_json(totals.by_class),
        "by_jurisdiction": {
            name: {"customers": totals.customers_in[name]} | counts._asdict()
            for name, counts in sorted(totals.by_jurisdiction.items())
        },
        "shredded_since": {"names": totals.gone_locators, "by_class": _counts_as_json(totals.gone)},
        "denied_without_customer": dict(page.unnamed),
        "calls": [
            {
                "action": each.action,
                "break_glass": each.break_glass,
                "reason": each.reason or None,
                "calls": each.calls,
            }
            for each in page.calls
        ],
        "coverage": {
            "complete": coverage.complete,
            "leaves": coverage.leaves,
            "records": coverage.records,
            "records_sealed": coverage.records_sealed,
            "unsealed": when_json(coverage.unsealed),
            "gaps": [
                {"start": when_json(gap.start), "end": when_json(gap.end), "cause": gap.cause}
                for gap in coverage.gaps
            ],
            "gap_count": coverage.gap_count,
            "removed": coverage.removed,
            "removed_until": when_json(coverage.removed_until),
            "damaged": coverage.damaged,
        },
        "customers": [
            {
                "customer_token": row.customer_token,
                "jurisdiction": row.jurisdiction,
                "first": when_json(row.first),
                "last": when_json(row.last),
                "by_class": _counts_as_json(row.counts),
            }
            for row in found.customers
        ],
    }


def _counts_as_json(counts: "Mapping[str, ReadCounts]") -> dict[str, dict[str, int]]:
    return {name: each._asdict() for name, each in sorted(counts.items())}
