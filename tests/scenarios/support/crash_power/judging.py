"""Opens a vault as a loss of power left it, and holds it against what its callers were told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.scenarios.support.crash_power import scenario
from tests.scenarios.support.crash_power.disk import Disk
from tests.scenarios.support.crash_power.recording import Call, Kind
from tests.scenarios.support.crash_power.scenario import STEPS, World
from vault.config import Settings
from vault.core.checking import check
from vault.core.vault import Vault
from vault.crypto.hazmat import GuardedMemory, load_key
from vault.errors import CustomerUnknownError, DataLossError, Reason
from vault.keys.unlock import EDK_BYTES
from vault.model.access import Reveal
from vault.model.requests import Caller, CustomerRef, CustomerState, Entry, FieldInput
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER
from vault.store.session import WriteSession

_CALLER = Caller(DEVELOPER)
_READ_FOR = "support"
_NOT_YET = (Reason.DATA_LOSS, Reason.TOKEN_UNKNOWN)  # of a token that nobody was given


@dataclass(frozen=True, slots=True)
class Cut:
    """The power is lost after `calls` calls. Steps up to `done` were acknowledged, `begun` was sent.

    Before the vault was founded `done` is -2, then -1.
    """

    calls: int
    done: int
    begun: int

    @property
    def in_flight(self) -> bool:
        """Whether a step was sent and not acknowledged."""
        return self.begun > self.done


def cuts(calls: Sequence[Call]) -> Iterator[Cut]:
    """Every moment between two calls."""
    done, begun = -2, -1
    for number, call in enumerate(calls, 1):
        if call.kind is Kind.MARK:
            mark = json.loads(call.data)
            done, begun = mark.get("done", done), mark.get("begin", begun)
        yield Cut(number, done, begun)


def tokens_given(calls: Sequence[Call]) -> list[dict[str, str]]:
    """The tokens that each step gave, by its number."""
    marks = [json.loads(call.data) for call in calls if call.kind is Kind.MARK]
    return [mark["tokens"] for mark in marks if mark.get("done", -1) >= 0]


class Judge:
    """Knows what may be seen after each cut."""

    def __init__(self, settings: Settings, edk: bytes, tokens: Sequence[Mapping[str, str]]) -> None:
        self._settings = settings
        self._edk = edk
        self._tokens = tokens
        self._worlds = scenario.worlds()
        self._all_tokens = {name: token for given in tokens for name, token in given.items()}

    def judge(self, root: Path, cut: Cut) -> None:
        """Asserts that the vault in `root` is what its callers may expect after this cut."""
        last = cut.begun if cut.in_flight else cut.done
        allowed = self._worlds[cut.done + 1 : last + 2]
        acknowledged = self._given(cut.done)
        vault = Vault.open(root, self._settings, self._guarded_edk(), process_name="worker-1")
        try:
            seen = self._expect(vault, allowed, self._all_tokens, "as opened")
            vault.engine.committer.submit(_nothing)
            later = allowed[allowed.index(seen) :]
            self._expect(vault, later, self._all_tokens, "after recovery")
            if last >= 0:
                given = self._repeat(vault, last, acknowledged, in_flight=cut.in_flight)
                now = acknowledged | given
                self._expect(vault, _or_a_generation_further(allowed[-1]), now, "after the step was repeated")
            self._expect_new_numbers(vault, set(acknowledged.values()))
        finally:
            vault.close()
        self.expect_clean(root)

    def expect_clean(self, root: Path) -> None:
        """Asserts that the offline check finds no error."""
        edk = self._guarded_edk()
        try:
            errors = [found for found in check(root, self._settings, edk) if found.severity == "error"]
        finally:
            edk.free()
        assert not errors, f"the offline check found {errors}"

    def _repeat(
        self, vault: Vault, number: int, acknowledged: Mapping[str, str], *, in_flight: bool
    ) -> Mapping[str, str]:
        """Sends a step's request again; returns the tokens that it gives."""
        given = scenario.perform(vault, number, acknowledged)
        assert in_flight or given == self._tokens[number], "a repeated request was answered differently"
        return given

    def _given(self, last: int) -> dict[str, str]:
        return {name: token for given in self._tokens[: last + 1] for name, token in given.items()}

    def _guarded_edk(self) -> GuardedMemory:
        memory = GuardedMemory(EDK_BYTES)
        load_key(memory.pointer(0), self._edk)
        return memory

    def _expect(self, vault: Vault, allowed: Sequence[World], tokens: Mapping[str, str], when: str) -> World:
        seen = observe(vault, tokens)
        for world in allowed:
            if seen == vars(world):
                return world
        differences = [_difference(seen, vars(world)) for world in allowed]
        raise AssertionError(f"{when}, the vault is in no allowed state: {differences}")

    def _expect_new_numbers(self, vault: Vault, given: set[str]) -> None:
        entry = Entry(CustomerRef(external_id=Secret("crm-new")), [FieldInput("name", Secret("New"))])
        (made,) = vault.tokenize(
            _CALLER, [entry], domain=scenario.DOMAIN, request_id="", atomic=False, batch=False
        )
        assert made.customer_created
        assert {made.customer_token, made.results[0].token}.isdisjoint(given), "a number was used again"


def _nothing(_session: WriteSession) -> None:
    """A write of nothing: only what the ledger says is unfinished gets done."""


def rebuilt(calls: Sequence[Call], chosen: Sequence[Cut]) -> Iterator[tuple[Cut, Disk]]:
    """The disk at each of the chosen cuts, which are in order."""
    disk, taken = Disk(), 0
    for cut in chosen:
        for call in calls[taken : cut.calls]:
            disk.take(call)
        taken = cut.calls
        yield cut, disk


def observe(vault: Vault, tokens: Mapping[str, str]) -> dict[str, Any]:
    """What the vault shows, in the form of `vars(World)`."""
    customers: dict[str, dict[str, Any]] = {}
    holders: dict[str, str] = {}
    for name in [name for name in tokens if "." not in name]:
        shown = _customer(vault, name, tokens)
        if shown is not None:
            customers[name] = shown
        _note_holder(vault, name, tokens[name], holders)
    principals = vault.list_principals(_CALLER, 100, "").items
    return {
        "customers": customers,
        "holders": holders,
        "policy": vault.get_policy(_CALLER).version,
        "revoked": {principal.name: principal.revoked for principal in principals},
        "erasures": sum(
            each.shred_id.startswith("shr_") for each in vault.list_erasures(_CALLER, 1000, "").items
        ),
    }


def _customer(vault: Vault, name: str, tokens: Mapping[str, str]) -> dict[str, Any] | None:
    fields = {
        key.removeprefix(f"{name}."): token for key, token in tokens.items() if key.startswith(f"{name}.")
    }
    read = _read(vault, fields)
    try:
        customer = vault.get_customer(_CALLER, CustomerRef(token=tokens[name]), scenario.DOMAIN)
    except (CustomerUnknownError, DataLossError):
        assert read == {}, f"{name} is unknown, yet its values are there: {sorted(read)}"
        return None
    if customer.state is CustomerState.SHREDDED:
        assert set(read.values()) <= {Reason.SHREDDED}, f"{name} is shredded, yet shows {sorted(read)}"
        return {"shredded": True}
    versions = {held.token: held.version for held in customer.held}
    shown = {}
    for field_class, value in read.items():
        if isinstance(value, Reason):
            assert fields[field_class] not in versions, f"{name}.{field_class} is held and gives {value}"
            shown[field_class] = value
        else:
            shown[field_class] = (value, versions[fields[field_class]])
    return {"generation": customer.dek_generation, "fields": shown}


def _read(vault: Vault, fields: Mapping[str, str]) -> dict[str, str | Reason]:
    """Values by field class, or why there is none; without those that are not there yet."""
    if not fields:
        return {}
    revealed = vault.detokenize(_CALLER, list(fields.values()), _READ_FOR, Reveal.PLAIN)
    read: dict[str, str | Reason] = dict(zip(fields, revealed.values, strict=True))
    names = list(fields)
    for denial in revealed.denials:
        if denial.reason in _NOT_YET:
            del read[names[denial.index]]
        else:
            read[names[denial.index]] = denial.reason
    return read


def _note_holder(vault: Vault, name: str, token: str, holders: dict[str, str]) -> None:
    ref = CustomerRef(external_id=Secret(scenario.external_id(name)))
    try:
        holder = vault.get_customer(_CALLER, ref, scenario.DOMAIN)
    except CustomerUnknownError:
        return
    if holder.customer_token == token:
        holders[scenario.external_id(name)] = name


def _or_a_generation_further(world: World) -> list[World]:
    """The world, and one for each customer whose new key the attempt before had wrapped already.

    A generation's number is used once: one whose key reached the keyring, but no value, is passed over.
    """
    worlds = [world]
    for name, customer in world.customers.items():
        if "generation" in customer:
            further = deepcopy(world)
            further.customers[name]["generation"] += 1
            worlds.append(further)
    return worlds


def _difference(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Where two worlds differ, as (seen, wanted)."""
    differences: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(seen[name], dict):
            for key in {**value, **seen[name]}:
                pair = seen[name].get(key), value.get(key)
                if pair[0] != pair[1]:
                    differences[f"{name}.{key}"] = pair
        elif value != seen[name]:
            differences[name] = seen[name], value
    return differences


def describe(cut: Cut) -> str:
    """For messages."""
    step = STEPS[cut.begun] if cut.in_flight and cut.done >= -1 else None
    doing = f", during {step.verb} {step.customer or step.text.strip()!r}" if step else ""
    return f"after call {cut.calls}, steps up to {cut.done} acknowledged{doing}"
