"""`cvault customers`: what is held of whom; what narrows their processing is in `customer_terms`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli import customer_accesses, customer_terms
from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, Customer, named
from vault.cli.exits import UsageError, code_for_batch, message_of, reason_of
from vault.cli.options import Approval, Basis, Domain, Json, Limit, Purpose, lawful_basis
from vault.cli.output import plural, print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.results import Customer as Subject
    from customervault.results import ExportedValue

_GROUP = """Customers: what is held of whom, export for the right of access, restrictions and legal holds.

Example:
  cvault customers show customer-4711
"""
_SHOW = """Show what is held of a customer: field classes, labels, tokens, state. Never values.

Example:
  cvault customers show customer-4711
"""
_LIST = """List all customers. With --json: one a line, as they come.

Example:
  cvault customers list --show-shredded --json
"""
_EXPORT = """Print all values of one customer, as far as the purpose reveals them.

Exit codes: 0 all values given, 1 some were not, 3 none were, because policy says no.

Example:
  cvault customers export customer-4711 --purpose access_request --json
"""


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "What is held of whom."), no_args_is_help=True)
    group.command("show", **texts(_SHOW, "Show what is held of a customer."))(show)
    group.command("list", **texts(_LIST, "List all customers."))(list_all)
    group.command("export", **texts(_EXPORT, "Print all values of a customer."))(export)
    customer_accesses.register(group)
    customer_terms.register(group)
    app.add_typer(group, name="customers")


@online
def show(
    vault: "Vault", customer: Customer, by: ByOption = By.AUTO, domain: Domain = "", as_json: Json = False
) -> None:
    """Shows one customer."""
    found = vault.get_customer(**named(customer, by), domain=domain or None)
    if as_json:
        held = [
            {
                "field_class": each.field_class,
                "labels": list(each.labels),
                "token": each.token,
                "version": each.version,
            }
            for each in found.held
        ]
        print_json(_as_json(found) | {"held": held} | customer_terms.terms_as_json(found))
        return
    print_facts(
        [
            ("token", found.customer_token),
            ("state", found.state),
            ("jurisdiction", found.jurisdiction or "-"),
            ("created", when(found.created)),
            ("key generation", found.dek_generation),
            *([("shred id", found.shred_id)] if found.shred_id else []),
        ]
    )
    print_line()
    rows = [(each.field_class, ", ".join(each.labels), each.token, each.version) for each in found.held]
    print_table(("CLASS", "LABELS", "TOKEN", "VERSION"), rows, empty="No values.")
    customer_terms.print_terms(found)


@online
def list_all(
    vault: "Vault",
    show_shredded: Annotated[bool, typer.Option("--show-shredded", help="Shredded customers, too.")] = False,
    limit: Limit = 0,
    domain: Domain = "",
    as_json: Json = False,
) -> None:
    """Lists customers."""
    from itertools import islice

    found = vault.list_customers(
        domain=domain or None, show_shredded=show_shredded, page_size=min(limit, 1000) or 1000
    )
    chosen = islice(found, limit or None)
    if as_json:
        for customer in chosen:
            print_json(_as_json(customer))
        return
    rows = [
        (each.customer_token, each.state, each.jurisdiction or "-", when(each.created), each.shred_id or "-")
        for each in chosen
    ]
    print_table(("TOKEN", "STATE", "LAW", "CREATED", "SHRED ID"), rows, empty="No customers.")
    if rows:
        print_line(plural(len(rows), "customer"))


@online
def export(
    vault: "Vault",
    customer: Customer,
    purpose: Purpose = "",
    basis: Basis = "",
    by: ByOption = By.AUTO,
    domain: Domain = "",
    approval: Approval = "",
    as_json: Json = False,
) -> None:
    """Prints all values of a customer."""
    if not purpose:
        raise UsageError("say why the values are read: --purpose NAME")
    answer = vault.export(
        **named(customer, by),
        purpose=purpose,
        domain=domain or None,
        basis=lawful_basis(basis),
        approval_id=approval,
    )
    if as_json:
        values = [_value_as_json(each) for each in answer.values]
        print_json({"customer": _as_json(answer.customer), "values": values})
    else:
        rows = [(each.field_class, ", ".join(each.labels), *_shown(each)) for each in answer.values]
        print_table(("CLASS", "LABELS", "REVEAL", "VALUE"), rows, empty="No values.")
    reasons = [each.value.error.reason for each in answer.values if each.value.error is not None]
    raise typer.Exit(code_for_batch(reasons, len(answer.values)))


def _as_json(customer: "Subject") -> dict[str, Any]:
    return {
        "customer_token": customer.customer_token,
        "state": customer.state,
        "jurisdiction": customer.jurisdiction,
        "created": when_json(customer.created),
        "dek_generation": customer.dek_generation,
        "shred_id": customer.shred_id or None,
    }


def _value_as_json(exported: "ExportedValue") -> dict[str, Any]:
    document: dict[str, Any] = {
        "field_class": exported.field_class,
        "labels": list(exported.labels),
        "token": exported.token,
    }
    error = exported.value.error
    if error is not None:
        return document | {"error": {"reason": reason_of(error), "message": message_of(error)}}
    return document | {"reveal": exported.value.reveal_level, "value": exported.value.get()}


def _shown(exported: "ExportedValue") -> tuple[str, str]:
    error = exported.value.error
    if error is not None:
        return "-", f"[{reason_of(error)}]"
    return str(exported.value.reveal_level), exported.value.get()
