"""`cvault tokens`: tokens that expire, read once, are bound to one principal, or carry tags."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vault.cli.connection import online
from vault.cli.customer_ref import By, ByOption, named
from vault.cli.customer_terms import moment
from vault.cli.exits import UsageError
from vault.cli.options import Json, Limit
from vault.cli.output import plural, print_facts, print_json, print_line, print_table, when, when_json
from vault.cli.texts import texts

if TYPE_CHECKING:
    from customervault import Vault
    from customervault.issued_results import IssuedToken

_GROUP = """Issued tokens: they expire, read once, are bound to one principal, or carry tags.

Example:
  cvault tokens list customer-4711
"""
_ISSUE = """Issue a further token for the value of another. It reads the value, and does nothing else.

A tag is KEY=VALUE, may be searched for, and is never personal data: what looks like it is refused.

Examples:
  cvault tokens issue cv1_1f0c5a9e3b7d4468a2c1e0f9d8b7a6c5 --single-use --expires 2027-01-31
  cvault tokens issue cv1_1f0c5a9e3b7d4468a2c1e0f9d8b7a6c5 --principal mailer --tag campaign=spring
"""
_SHOW = """Show an issued token: its state, limits and tags. Never the value.

Example:
  cvault tokens show cv1_9b1d5a9e3b7d4468a2c1e0f9d8b7a6c5
"""
_LIST = """List issued tokens of a customer, or of all customers by tag. With --json: one a line.

Examples:
  cvault tokens list customer-4711
  cvault tokens list --tag campaign=spring --json
"""
_REVOKE = """End an issued token, at once. Its value and the value's other tokens stay.

Example:
  cvault tokens revoke cv1_9b1d5a9e3b7d4468a2c1e0f9d8b7a6c5
"""

Token = Annotated[str, typer.Argument(metavar="TOKEN", show_default=False)]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be given again.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(**texts(_GROUP, "Tokens that expire, read once, or are bound."), no_args_is_help=True)
    group.command("issue", **texts(_ISSUE, "Issue a further token for a value."))(issue)
    group.command("show", **texts(_SHOW, "Show an issued token."))(show)
    group.command("list", **texts(_LIST, "List issued tokens."))(list_all)
    group.command("revoke", **texts(_REVOKE, "End an issued token."))(revoke)
    app.add_typer(group, name="tokens")


@online
def issue(
    vault: "Vault",
    token: Token,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="From when on it reads nothing.")
    ] = "",
    single_use: Annotated[bool, typer.Option("--single-use", help="It reads its value once.")] = False,
    principal: Annotated[
        str, typer.Option("--principal", metavar="NAME", help="The only one who may read with it.")
    ] = "",
    tag: Tags = None,
    domain: Annotated[
        str, typer.Option("--domain", metavar="NAME", help="Of the new token; by default that of TOKEN.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Issues a token."""
    issued = vault.issue_token(
        token,
        expires=moment(expires, "--expires"),
        single_use=single_use,
        principal=principal,
        tags=_tags(tag),
        domain=domain,
    )
    if as_json:
        print_json(_as_json(issued))
    else:
        print_line(issued.token)


@online
def show(vault: "Vault", token: Token, as_json: Json = False) -> None:
    """Shows a token."""
    found = vault.get_token(token)
    if as_json:
        print_json(_as_json(found))
        return
    print_facts(
        [
            ("state", found.state),
            ("class", found.field_class or "-"),
            ("domain", found.domain),
            ("customer", found.customer_token),
            ("created", when(found.created)),
            ("expires", when(found.expires)),
            ("uses", "one" if found.single_use else "any number"),
            ("principal", found.principal or "any"),
            ("ended", when(found.ended)),
            ("tags", _shown(found)),
        ]
    )


@online
def list_all(
    vault: "Vault",
    customer: Annotated[
        str, typer.Argument(metavar="[CUSTOMER]", help="External id, or any token of the customer.")
    ] = "",
    tag: Tags = None,
    by: ByOption = By.AUTO,
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Lists tokens."""
    from itertools import islice

    if not (customer or tag):
        raise UsageError("name a customer, or a tag to look for: --tag KEY=VALUE")
    whose = named(customer, by) if customer else {}
    found = vault.list_tokens(**whose, tags=_tags(tag), page_size=min(limit, 1000) or 1000)
    chosen = islice(found, limit or None)
    if as_json:
        for each in chosen:
            print_json(_as_json(each))
        return
    rows = [
        (
            each.token,
            each.state,
            each.field_class,
            when(each.expires),
            "one" if each.single_use else "any",
            each.principal or "any",
            _shown(each),
        )
        for each in chosen
    ]
    print_table(("TOKEN", "STATE", "CLASS", "EXPIRES", "USES", "WHO", "TAGS"), rows, empty="No tokens.")
    if rows:
        print_line(plural(len(rows), "token"))


@online
def revoke(vault: "Vault", token: Token, as_json: Json = False) -> None:
    """Ends a token."""
    vault.revoke_token(token)
    if as_json:
        print_json({"token": token, "revoked": True})
    else:
        print_line("revoked")


def _tags(given: list[str] | None) -> dict[str, str]:
    tags: dict[str, str] = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not equals:
            raise UsageError("a tag is KEY=VALUE")
        if key in tags:
            raise UsageError("a token has one tag of a key")
        tags[key] = value
    return tags


def _shown(token: "IssuedToken") -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(token.tags.items())) or "-"


def _as_json(token: "IssuedToken") -> dict[str, Any]:
    return {
        "token": token.token,
        "state": token.state,
        "field_class": token.field_class,
        "domain": token.domain,
        "customer_token": token.customer_token,
        "created": when_json(token.created),
        "expires": when_json(token.expires),
        "single_use": token.single_use,
        "principal": token.principal or None,
        "ended": when_json(token.ended),
        "tags": dict(token.tags),
    }
