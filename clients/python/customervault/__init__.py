"""Python client of Customer Vault: tokenize, detokenize, shred.

Names load on first use, so that the pytest plugin in this package costs a test run nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from customervault._async import AsyncVault as AsyncVault
    from customervault._sync import Vault as Vault
    from customervault.errors import VaultError as VaultError
    from customervault.inputs import CustomerRef as CustomerRef
    from customervault.inputs import Entry as Entry
    from customervault.inputs import Field as Field
    from customervault.values import Value as Value
    from customervault.values import Values as Values

_HOMES = {
    "AsyncVault": "customervault._async",
    "CustomerRef": "customervault.inputs",
    "Entry": "customervault.inputs",
    "Field": "customervault.inputs",
    "Value": "customervault.values",
    "Values": "customervault.values",
    "Vault": "customervault._sync",
    "VaultError": "customervault.errors",
}

__all__ = ["AsyncVault", "CustomerRef", "Entry", "Field", "Value", "Values", "Vault", "VaultError"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
