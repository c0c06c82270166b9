"""Gives a command a connected client, and its help the connection options.

    @online
    def show(vault: Vault, customer: str, as_json: Json = False) -> None: ...

becomes a command without `vault` but with --address, --ca, --certificate and --key, whose client is
closed when the command ends. `@connecting` hands over the `Connection` instead, for commands that
decide themselves whether and how to connect.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from vault.cli.exits import UsageError

if TYPE_CHECKING:
    from customervault import Vault

P = ParamSpec("P")

_OPTIONS = {
    "address": ("CVAULT_ADDRESS", "HOST:PORT", "Address of the vault."),
    "ca": ("CVAULT_CA", "FILE", "Certificate of the CA that the vault's own certificate chains to."),
    "certificate": ("CVAULT_CERTIFICATE", "FILE", "Your certificate: it says which principal you are."),
    "key": ("CVAULT_KEY", "FILE", "Private key of your certificate."),
}


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the vault, and as whom."""

    address: str | None
    ca: str | None
    certificate: str | None
    key: str | None

    def open(self, **settings: Any) -> "Vault":
        """A client; `settings` are further arguments of `customervault.Vault`.

        Raises:
            UsageError: An option is missing.
        """
        for name, (variable, _, _) in _OPTIONS.items():
            if not getattr(self, name):
                raise UsageError(f"no --{name} given, and {variable} is not set")
        from customervault import Vault

        return Vault(self.address, ca=self.ca, certificate=self.certificate, key=self.key, **settings)


def connecting(command: "Callable[Concatenate[Connection, P], None]") -> Callable[..., None]:
    """Makes `command` one that may talk to a vault."""

    @wraps(command)
    def with_connection(*args: Any, **options: Any) -> None:
        connection = Connection(**{name: options.pop(name) for name in _OPTIONS})
        command(connection, *args, **options)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name))
        for name in _OPTIONS
    ]
    # typer reads both of these, and nothing of what `wraps` points it to.
    with_connection.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    with_connection.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
    return with_connection


def online(command: "Callable[Concatenate[Vault, P], None]") -> Callable[..., None]:
    """Makes `command` one that talks to a vault."""

    def with_client(connection: Connection, /, *args: P.args, **options: P.kwargs) -> None:
        with connection.open() as vault:
            command(vault, *args, **options)

    own = list(inspect.signature(command).parameters.values())[1:]
    first = inspect.Parameter("connection", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    with_client.__signature__ = inspect.Signature([first, *own])  # type: ignore[attr-defined]
    with_client.__name__ = command.__name__
    with_client.__doc__ = command.__doc__
    return connecting(with_client)


def _option(name: str) -> Any:
    variable, metavar, text = _OPTIONS[name]
    return Annotated[str | None, typer.Option(f"--{name}", envvar=variable, metavar=metavar, help=text)]
