"""A short life of a vault, and what must be true after each of its steps.

    python -m tests.scenarios.support.crash_power.scenario DATA MARKS

founds a vault in DATA, performs the steps one after the other in this one process, and writes one line of
JSON to MARKS before each step (`begin`) and one after its acknowledgement (`done`, with the tokens it gave).

`World` is the oracle. It is computed from the steps alone, never from the vault.
"""

import copy
import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vault.config import Settings, load_settings
from vault.core.founding import found
from vault.core.vault import Vault
from vault.errors import Reason
from vault.keys.unlock import unlock
from vault.model.requests import Caller, CustomerRef, Entry, FieldInput
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER, development_policy

ADMIN = "admin"
DOMAIN = "crm"
_FIRST_POLICY = development_policy(ADMIN)
_NAMESPACE = uuid.UUID("7f3b2f6e-6f0c-4b53-8a2b-0c1d5a1e9f00")


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `customer` is the scenario's name of a customer, see `external_id`.

    Fields go by class; `name/2` is the `name` that was stored after the first was deleted.
    """

    verb: str
    customer: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # further customers of a batch
    text: str = ""

    @property
    def customers(self) -> dict[str, Mapping[str, str]]:
        """Every customer of the step with its fields."""
        return {self.customer: self.fields, **self.others}


def external_id(customer: str) -> str:
    """`ada/2` is the customer that was created under `ada`'s external id after `ada` was shredded."""
    return "crm-" + customer.partition("/")[0]


STEPS = (
    Step("create", "ada"),
    Step("store", "ada", {"email": "ada@example.org", "name": "Ada Lovelace"}),
    Step("store", "grace", {"email": "grace@example.org", "name": "Grace Hopper", "note": "x" * 9000}),
    Step("update", "ada", {"email": "ada.l@example.org"}),
    Step(
        "store", "joan", {"name": "Joan Clarke"}, {"mary": {"name": "Mary Ward", "email": "mary@example.org"}}
    ),
    Step("delete", "grace", {"email": ""}),
    Step("rotate", "ada"),
    Step("shred", "joan"),
    Step("store", "ada", {"name": "Ada King", "phone": "+442079460958"}),
    Step("policy", text="# second\n"),
    Step("rotate", "grace"),
    Step("store", "joan/2", {"name": "Joan Murray", "email": "joan@example.org"}),
    Step("principal", text="crm-batch"),
    Step("update", "joan/2", {"email": "joan.m@example.org"}),
    Step("shred", "ada", others={"mary": {}}),
    Step("store", "kay", {"name": "Kay McNulty"}, {f"row-{n}": {"name": f"Row {n}"} for n in range(12)}),
    Step("revoke", text="crm-batch"),
    Step("update", "kay", {"name": "Kay Mauchly"}),
    Step("rotate", "kay"),
    Step("delete", "kay", {"name": ""}),
    Step("store", "ada/2", {"name": "Ada again", "email": "ada@example.org"}),
    Step("store", "kay", {"name/2": "Kay Antonelli"}),
    Step("shred", "kay", others={f"row-{n}": {} for n in range(6)}),
    Step("rotate", "ada/2"),
    Step("update", "grace", {"note": "y" * 12000}),
    Step("policy", text="# third\n"),
    Step("shred", "grace"),
    Step("update", "ada/2", {"name": "Ada Byron"}),
    Step("rotate", "ada/2"),
    Step("store", "fran", {"name": "Frances Bilas", "email": "fran@example.org"}),
)


class World:
    """What the vault holds: customers by name with fields (value, version), policy, principals, shreds."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.holders: dict[str, str] = {}  # external id -> customer
        self.policy = 1
        self.revoked: dict[str, bool] = {ADMIN: False, DEVELOPER: False}
        self.erasures = 0

    def after(self, step: Step) -> "World":
        """The world after a step took effect."""
        world = copy.deepcopy(self)
        getattr(world, f"_{step.verb}")(step)
        return world

    def _create(self, step: Step) -> None:
        self._hold(step.customer)

    def _store(self, step: Step) -> None:
        for name, fields in step.customers.items():
            held = self._hold(name)["fields"]
            for field_class, value in fields.items():
                held[field_class] = (value, held.get(field_class, ("", 0))[1] + 1)

    def _update(self, step: Step) -> None:
        held = self.customers[step.customer]["fields"]
        for field_class, value in step.fields.items():
            held[field_class] = (value, held[field_class][1] + 1)

    def _delete(self, step: Step) -> None:
        for field_class in step.fields:
            self.customers[step.customer]["fields"][field_class] = Reason.VALUE_DELETED

    def _rotate(self, step: Step) -> None:
        self.customers[step.customer]["generation"] += 1

    def _shred(self, step: Step) -> None:
        for name in step.customers:
            self.customers[name] = {"shredded": True}
            del self.holders[external_id(name)]
            self.erasures += 1

    def _policy(self, step: Step) -> None:
        self.policy += 1

    def _principal(self, step: Step) -> None:
        self.revoked[step.text] = False

    def _revoke(self, step: Step) -> None:
        self.revoked[step.text] = True

    def _hold(self, name: str) -> dict[str, Any]:
        self.holders[external_id(name)] = name
        return self.customers.setdefault(name, {"generation": 1, "fields": {}})


def worlds() -> list[World]:
    """The world before the first step and after each one."""
    found_so_far = [World()]
    for step in STEPS:
        found_so_far.append(found_so_far[-1].after(step))
    return found_so_far


def perform(vault: Vault, number: int, tokens: Mapping[str, str]) -> dict[str, str]:
    """Performs step `number` with its own request id; returns the tokens that it gave, by `customer.field`.

    Raises:
        VaultError: as the use case does.
    """
    step, request_id = STEPS[number], str(uuid.uuid5(_NAMESPACE, str(number)))
    caller = Caller(DEVELOPER)
    ref = CustomerRef(token=tokens.get(step.customer, ""))
    match step.verb:
        case "create":
            made = vault.create_customer(caller, _secret_id(step.customer), "GB", DOMAIN, request_id)
            return {step.customer: made.customer_token}
        case "store":
            return _store(vault, caller, step, request_id)
        case "update":
            for field_class, value in step.fields.items():
                vault.update_value(
                    caller, tokens[f"{step.customer}.{field_class}"], Secret(value), request_id
                )
        case "delete":
            for field_class in step.fields:
                vault.delete_value(caller, tokens[f"{step.customer}.{field_class}"], request_id)
        case "rotate":
            vault.rotate_dek(caller, ref, request_id)
        case "shred":
            refs = [CustomerRef(token=tokens[name]) for name in step.customers]
            results = vault.shred(caller, refs, request_id=request_id, validate_only=False, atomic=True)
            for result in results:
                if result.error is not None:
                    raise result.error
        case "policy":
            vault.apply_policy(caller, _FIRST_POLICY + step.text, validate_only=False, request_id=request_id)
        case "principal":
            vault.create_principal(caller, step.text, "", 0, request_id)
        case "revoke":
            vault.revoke_principal(caller, step.text, request_id)
    return {}


def _store(vault: Vault, caller: Caller, step: Step, request_id: str) -> dict[str, str]:
    entries = [
        Entry(
            CustomerRef(external_id=_secret_id(customer)),
            [FieldInput(name.partition("/")[0], Secret(value)) for name, value in fields.items()],
        )
        for customer, fields in step.customers.items()
    ]
    results = vault.tokenize(
        caller, entries, domain=DOMAIN, request_id=request_id, atomic=True, batch=bool(step.others)
    )
    tokens = {}
    for (name, fields), result in zip(step.customers.items(), results, strict=True):
        if result.error is not None:
            raise result.error
        tokens[name] = result.customer_token
        for field_class, stored in zip(fields, result.results, strict=True):
            tokens[f"{name}.{field_class}"] = stored.token
    return tokens


def _secret_id(customer: str) -> Secret:
    return Secret(external_id(customer))


def found_vault(data: Path, settings: Settings) -> None:
    """Founds the scenario's vault; its root key is sealed by the key file of the settings."""
    found(data, settings, None, admin=ADMIN, policy=_FIRST_POLICY, principals=(DEVELOPER,))


def live(data: Path, marks: int) -> None:
    """The whole life, marked step by step."""

    def mark(**content: object) -> None:
        os.write(marks, json.dumps(content).encode() + b"\n")

    settings = load_settings(data)
    found_vault(data, settings)
    mark(done=-1, tokens={})
    vault = Vault.open(data, settings, unlock(data, settings, None), process_name="worker-1")
    tokens: dict[str, str] = {}
    for number in range(len(STEPS)):
        mark(begin=number)
        given = perform(vault, number, tokens)
        tokens |= given
        mark(done=number, tokens=given)
    vault.close()


if __name__ == "__main__":
    live(Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
