"""`cvault consent`: what customers have agreed to, and the proof of it."""

import hashlib
import sys
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli import consent_verify
from vault.cli.certificates import write_new
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.exits import UsageError
from vault.cli.options import Domain, Json, Limit
from vault.cli.output import print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.consents import ConsentEvent, ConsentResult, Evidence, PurposeConsent

_GROUP = """Consents: what customers agreed to, withdrew, refused and objected to, with the proof of it.

Example:
  cvault consent state customer-4711
"""
_RECORD = """Record that a customer gives consent to a purpose or, with --refused, has refused it.

Example:
  cvault consent record customer-4711 marketing --notice 2026-03 --text-file notice.txt --method web_form
"""
_WITHDRAW = """Record that a customer withdraws consent. Said again, it changes nothing.

The answer names the lawful bases that remain. None of them is used unless a reader states it.

Example:
  cvault consent withdraw customer-4711 marketing --method verbal --actor agent
"""
_OBJECT = """Record that a customer objects to a purpose. For direct marketing that is absolute.

Example:
  cvault consent object customer-4711 profiling
"""
_STATE = """Show where purposes stand with a customer: all of them, or those named.

Example:
  cvault consent state customer-4711 marketing
"""
_LIST = """List a customer's consent events, oldest first. With --json: one a line, as they come.

Example:
  cvault consent list customer-4711 --purpose marketing
"""
_RECEIPT = """Get a signed receipt of one event, by its number.

It goes to --out, which is never replaced, else to standard output, without a line end: its bytes are
what was signed. With --json: key id and the receipt as a text.

Example:
  cvault consent receipt customer-4711 3 --out receipt.json
"""
_EXPORT = """Export a customer's consent records: JSON-LD after ISO/IEC TS 27560, in terms of the W3C DPV.

It goes to --out, which is never replaced, else to standard output. It is JSON with or without --json.

Example:
  cvault consent export customer-4711 --out records.jsonld
"""
_INGEST = """Pass on a browser's Global Privacy Control: the value of its header Sec-GPC.

Exactly 1 opts out of every purpose that sells or shares. Anything else is no signal, and changes nothing.

Example:
  cvault consent ingest customer-4711 --sec-gpc 1
"""


class ActorName(StrEnum):
    """What `--actor` takes."""

    CUSTOMER = "customer"
    AGENT = "agent"
    GUARDIAN = "guardian"


PurposeName = Annotated[str, typer.Argument(metavar="PURPOSE", show_default=False)]
Notice = Annotated[str, typer.Option("--notice", metavar="VERSION", help="Version of the notice shown.")]
TextFile = Annotated[
    Path | None,
    typer.Option("--text-file", metavar="FILE", help="The text that was shown; only its SHA-256 is sent."),
]
Locale = Annotated[str, typer.Option("--locale", metavar="TAG", help="Its language, as BCP 47: de-AT.")]
Method = Annotated[
    str, typer.Option("--method", metavar="NAME", help="How it was said: web_form, verbal, api, ...")
]
ActorOption = Annotated[ActorName, typer.Option("--actor", help="Who acted.")]
Acted = Annotated[
    datetime | None, typer.Option("--acted", help="When (UTC), if not now.", show_default=False)
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it here, with mode 0600.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "What customers have agreed to."), no_args_is_help=True)
    group.command("record", **texts(_RECORD, "Record a consent, or its refusal."))(record)
    group.command("withdraw", **texts(_WITHDRAW, "Record a withdrawal."))(withdraw)
    group.command("object", **texts(_OBJECT, "Record an objection."))(object_to)
    group.command("state", **texts(_STATE, "Show where purposes stand."))(state)
    group.command("list", **texts(_LIST, "List a customer's consent events."))(list_all)
    group.command("receipt", **texts(_RECEIPT, "Get a signed receipt."))(receipt)
    group.command("export", **texts(_EXPORT, "Export a customer's consent records."))(export)
    group.command("ingest", **texts(_INGEST, "Pass on Global Privacy Control."))(ingest)
    consent_verify.register(group)
    app.add_typer(group, name="consent")


@online
def record(
    vault: "Vault",
    customer: Customer,
    purpose: PurposeName,
    refused: Annotated[bool, typer.Option("--refused", help="The customer said no.")] = False,
    expires: Annotated[
        datetime | None, typer.Option("--expires", help="End of the consent (UTC).", show_default=False)
    ] = None,
    notice: Notice = "",
    text_file: TextFile = None,
    locale: Locale = "",
    method: Method = "",
    actor: ActorOption = ActorName.CUSTOMER,
    acted: Acted = None,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Records a consent or a refusal."""
    answer = vault.record_consent(
        purpose,
        "refused" if refused else "given",
        **named(customer, by),
        evidence=_evidence(notice, text_file, locale, method, actor, acted),
        expires=_utc(expires),
    )
    _print_result(answer, as_json=as_json)


@online
def withdraw(
    vault: "Vault",
    customer: Customer,
    purpose: PurposeName,
    notice: Notice = "",
    text_file: TextFile = None,
    locale: Locale = "",
    method: Method = "",
    actor: ActorOption = ActorName.CUSTOMER,
    acted: Acted = None,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Records a withdrawal."""
    evidence = _evidence(notice, text_file, locale, method, actor, acted)
    answer = vault.withdraw_consent(purpose, **named(customer, by), evidence=evidence)
    _print_result(answer, as_json=as_json)


@online
def object_to(
    vault: "Vault",
    customer: Customer,
    purpose: PurposeName,
    notice: Notice = "",
    text_file: TextFile = None,
    locale: Locale = "",
    method: Method = "",
    actor: ActorOption = ActorName.CUSTOMER,
    acted: Acted = None,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Records an objection."""
    evidence = _evidence(notice, text_file, locale, method, actor, acted)
    answer = vault.record_objection(purpose, **named(customer, by), evidence=evidence)
    _print_result(answer, as_json=as_json)


@online
def state(
    vault: "Vault",
    customer: Customer,
    purposes: Annotated[list[str] | None, typer.Argument(metavar="[PURPOSE]...", show_default=False)] = None,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Shows where purposes stand."""
    found = vault.consent_state(*(purposes or ()), **named(customer, by))
    if as_json:
        print_json([_state_as_json(each) for each in found])
        return
    rows = [
        (
            each.purpose,
            each.state,
            when(each.since),
            when(each.expires),
            each.notice_version or "-",
            "yes" if each.needs_consent else "no",
            ", ".join(each.other_bases) or "-",
        )
        for each in found
    ]
    headings = ("PURPOSE", "STATE", "SINCE", "EXPIRES", "NOTICE", "NEEDS CONSENT", "OTHER BASES")
    print_table(headings, rows, empty="No purposes.")


@online
def list_all(
    vault: "Vault",
    customer: Customer,
    purpose: Annotated[str, typer.Option("--purpose", metavar="NAME", help="Of this purpose only.")] = "",
    limit: Limit = 0,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Lists a customer's events."""
    found = vault.list_consent_events(
        **named(customer, by), purpose=purpose, page_size=min(limit, 1000) or 1000
    )
    chosen = islice(found, limit or None)
    if as_json:
        for event in chosen:
            print_json(_event_as_json(event))
        return
    rows = [
        (
            each.number,
            when(each.time),
            each.kind,
            each.purpose,
            each.evidence.actor,
            each.evidence.method or "-",
            each.evidence.notice_version or "-",
            each.principal or "-",
        )
        for each in chosen
    ]
    headings = ("NO", "TIME", "KIND", "PURPOSE", "ACTOR", "METHOD", "NOTICE", "RECORDED BY")
    print_table(headings, rows, empty="No consent events.")


@online
def receipt(
    vault: "Vault",
    customer: Customer,
    event: Annotated[int, typer.Argument(metavar="EVENT", min=1, show_default=False)],
    out: Out = None,
    by: ByOption = By.AUTO,
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Gets a receipt."""
    found = vault.consent_receipt(event, **named(customer, by), domain=domain or None)
    if out is not None:
        write_new(out, found.content)
    if as_json:
        print_json({"key_id": found.key_id, "receipt": found.content.decode()})
    elif out is not None:
        print_line(f"{out}, signed by {found.key_id}")
    else:
        _write_bytes(found.content)


@online
def export(
    vault: "Vault",
    customer: Customer,
    out: Out = None,
    by: ByOption = By.AUTO,
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Exports a customer's consent records."""
    content = vault.export_consents(**named(customer, by), domain=domain or None)
    if out is None:
        _write_bytes(content + b"\n")
        return
    write_new(out, content)
    if as_json:
        print_json({"file": str(out)})
    else:
        print_line(str(out))


@online
def ingest(
    vault: "Vault",
    customer: Customer,
    sec_gpc: Annotated[
        str | None, typer.Option("--sec-gpc", metavar="VALUE", help="The header's value, exactly.")
    ] = None,
    by: ByOption = By.AUTO,
    as_json: Json = False,
) -> None:
    """Passes on a browser's signal."""
    answer = vault.ingest_signal(sec_gpc, **named(customer, by))
    if as_json:
        results = [_result_as_json(each) for each in answer.results]
        print_json({"recognized": answer.recognized, "results": results})
    elif not answer.recognized:
        print_line("No signal; nothing was changed.")
    else:
        rows = [(each.purpose, each.state, each.event or "said before") for each in answer.results]
        print_table(("PURPOSE", "STATE", "EVENT"), rows, empty="No purpose sells or shares.")


def _evidence(
    notice: str, text_file: Path | None, locale: str, method: str, actor: ActorName, acted: datetime | None
) -> "Evidence":
    from customervault.consents import Evidence

    try:
        digest = hashlib.sha256(text_file.read_bytes()).digest() if text_file is not None else b""
    except OSError as error:
        raise UsageError(f"{text_file} cannot be read") from error
    return Evidence(notice, digest, locale, method, actor.value, _utc(acted))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None else None


def _print_result(answer: "ConsentResult", *, as_json: bool) -> None:
    if as_json:
        print_json(_result_as_json(answer))
        return
    event = answer.event or "none: it had been said before"
    bases = ", ".join(answer.remaining_bases) or "none"
    print_facts(
        [("purpose", answer.purpose), ("state", answer.state), ("event", event), ("other bases", bases)]
    )


def _result_as_json(answer: "ConsentResult") -> dict[str, Any]:
    return {
        "purpose": answer.purpose,
        "state": answer.state,
        "event": answer.event or None,
        "time": when_json(answer.time),
        "remaining_bases": list(answer.remaining_bases),
    }


def _state_as_json(found: "PurposeConsent") -> dict[str, Any]:
    return {
        "purpose": found.purpose,
        "state": found.state,
        "since": when_json(found.since),
        "expires": when_json(found.expires),
        "notice_version": found.notice_version,
        "event": found.event or None,
        "needs_consent": found.needs_consent,
        "other_bases": list(found.other_bases),
    }


def _event_as_json(event: "ConsentEvent") -> dict[str, Any]:
    said = event.evidence
    return {
        "number": event.number,
        "kind": event.kind,
        "purpose": event.purpose,
        "time": when_json(event.time),
        "notice_version": said.notice_version,
        "text_sha256": said.text_sha256.hex() or None,
        "locale": said.locale,
        "method": said.method,
        "actor": said.actor,
        "acted": when_json(said.acted),
        "expires": when_json(event.expires),
        "principal": event.principal,
        "jurisdiction": event.jurisdiction,
        "sha256": event.sha256.hex(),
        "previous_sha256": event.previous_sha256.hex(),
    }


def _write_bytes(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
