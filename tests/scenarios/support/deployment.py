"""A vault in this process, on a directory of its own, with a key file so that no passphrase is stretched.

`Desk` is one principal at work: the facade's calls with the caller filled in, in words short enough
for a scenario.
"""

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.support.policies import ADMIN, POLICY, PRINCIPALS
from vault.config import Settings, load_settings
from vault.core.founding import Founded, found
from vault.core.vault import Vault
from vault.crypto.hazmat import GuardedMemory, load_key
from vault.errors import Reason
from vault.keys.unlock import unlock
from vault.model.access import Reveal
from vault.model.requests import (
    AccessQuery,
    Caller,
    Customer,
    CustomerRef,
    Entry,
    EntryResult,
    FieldInput,
    Outcome,
    Revealed,
    Scope,
    ShredResult,
)
from vault.model.secret import Secret

SMALL = """\
[audit]
segment_bytes = 1048576
[storage]
low_water_bytes = 1048576
reserve_bytes = 1048576
dek_cache_bytes = 1048576
"""
EVERYTHING = Scope()


def new_id() -> str:
    """A fresh request id."""
    return str(uuid.uuid4())


def by_id(external_id: str) -> CustomerRef:
    """A reference by external id."""
    return CustomerRef(external_id=Secret(external_id))


def by_token(token: str) -> CustomerRef:
    """A reference by any token of the customer."""
    return CustomerRef(token=token)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A founded vault's directory, and what opens it."""

    data_dir: Path
    founded: Founded

    @property
    def settings(self) -> Settings:
        """As `vault.toml` says now."""
        return load_settings(self.data_dir)

    def opened(self, process_name: str = "test") -> AbstractContextManager["Desks"]:
        """The vault, open in this process until the context ends."""
        return open_vault(self.data_dir, process_name)


@contextmanager
def open_vault(data_dir: Path, process_name: str, *, unlocking: bool = False) -> Iterator["Desks"]:
    """A vault opened with its key file; with `unlocking`, really so, else by the epoch key of before."""
    settings = load_settings(data_dir)
    edk = unlock(data_dir, settings, None) if unlocking else _edk(data_dir, settings)
    vault = Vault.open(data_dir, settings, edk, process_name=process_name)
    try:
        yield Desks(vault)
    finally:
        vault.close()


def found_vault(directory: Path, *, settings: str = SMALL, policy: str = POLICY) -> Deployment:
    """Makes a vault under `directory` with the policy of the scenarios."""
    data_dir, key_file = directory / "data", directory / "key-file"
    data_dir.mkdir(parents=True)
    key_file.write_bytes(bytes(range(64)))
    (data_dir / "vault.toml").write_text(f'[keys]\nkey_file = "{key_file}"\n{settings}')
    founded = found(
        data_dir, load_settings(data_dir), None, admin=ADMIN, policy=policy, principals=PRINCIPALS
    )
    return Deployment(data_dir, founded)


def keep_backups(deployment: Deployment, days: int) -> None:
    """Sets for how long replaced data keys are kept for data backups, from the next opening on."""
    with (deployment.data_dir / "vault.toml").open("a") as settings:
        settings.write(f"[backup]\nkeep_days = {days}\n")


def copy_vault(template: Deployment, directory: Path) -> Deployment:
    """The same vault (its id and keys, too) in another directory. Nobody may have it open."""
    data_dir = directory / "data"
    shutil.copytree(template.data_dir, data_dir, symlinks=True)
    return Deployment(data_dir, template.founded)


_EDKS: dict[bytes, bytes] = {}


def _edk(data_dir: Path, settings: Settings) -> GuardedMemory:
    """The epoch key. The child that unlocks it takes longer than most tests, so it is kept here."""
    wrapped = (data_dir / "keyring" / (data_dir / "CURRENT").read_text().strip() / "EDK").read_bytes()
    if wrapped not in _EDKS:
        memory = unlock(data_dir, settings, None)
        _EDKS[wrapped] = bytes(memory.view(0, 32))
        return memory
    memory = GuardedMemory(32)
    load_key(memory.pointer(), _EDKS[wrapped])
    return memory


class Desk:
    """One principal at one open vault."""

    def __init__(self, vault: Vault, principal: str) -> None:
        self.vault = vault
        self.caller = Caller(principal)

    def store(
        self,
        external_id: str,
        fields: Mapping[str, str],
        *,
        request_id: str = "",
        jurisdiction: str = "",
        domain: str = "",
    ) -> EntryResult:
        """Tokenizes one customer's fields; keys are `class` or `class/label`."""
        inputs = []
        for name, value in fields.items():
            field_class, _, label = name.partition("/")
            inputs.append(FieldInput(field_class, Secret(value), label))
        entry = Entry(by_id(external_id), inputs, jurisdiction)
        (result,) = self.vault.tokenize(
            self.caller, [entry], domain=domain, request_id=request_id, atomic=False, batch=False
        )
        if result.error is not None:
            raise result.error
        return result

    def tokens(self, external_id: str, fields: Mapping[str, str], **options: str) -> list[str]:
        """The tokens of `store`, in the order of the fields."""
        return [each.token for each in self.store(external_id, fields, **options).results]

    def read(self, tokens: Sequence[str], purpose: str = "support", reveal: Reveal = Reveal.BEST) -> Revealed:
        """Detokenizes."""
        return self.vault.detokenize(self.caller, tokens, purpose, reveal)

    def plain(self, token: str, purpose: str = "support") -> str:
        """One value, which must be revealed in plain."""
        revealed = self.read([token], purpose)
        got = (list(revealed.reveals), list(revealed.denials))
        assert got == ([Reveal.PLAIN], []), got
        return revealed.values[0]

    def denied(
        self, tokens: Sequence[str], purpose: str = "support", reveal: Reveal = Reveal.BEST
    ) -> list[Reason]:
        """The reasons of a read in which every item is denied."""
        revealed = self.read(tokens, purpose, reveal)
        assert [denial.index for denial in revealed.denials] == list(range(len(tokens)))
        assert not any(revealed.values)
        assert not any(revealed.reveals)
        return [denial.reason for denial in revealed.denials]

    def update(self, token: str, value: str, request_id: str = "") -> Outcome:
        """Rectifies a value."""
        return self.vault.update_value(self.caller, token, Secret(value), request_id)

    def delete(self, token: str, request_id: str = "") -> None:
        """Deletes a value."""
        self.vault.delete_value(self.caller, token, request_id)

    def customer(self, ref: CustomerRef) -> Customer:
        """What is held of a customer."""
        return self.vault.get_customer(self.caller, ref, "")

    def shred(self, ref: CustomerRef, request_id: str = "") -> ShredResult:
        """Shreds one customer, which must succeed."""
        (result,) = self.shred_all([ref], request_id)
        if result.error is not None:
            raise result.error
        return result

    def shred_all(
        self,
        refs: Sequence[CustomerRef],
        request_id: str = "",
        *,
        validate_only: bool = False,
        atomic: bool = False,
    ) -> list[ShredResult]:
        """Shreds customers, or counts what would go."""
        return self.vault.shred(
            self.caller, refs, request_id=request_id, validate_only=validate_only, atomic=atomic
        )

    def hold(
        self,
        ref: CustomerRef,
        *field_classes: str,
        until_ms: int = 0,
        reference: str = "",
        request_id: str = "",
    ) -> int:
        """Places a legal hold; returns its id."""
        return self.vault.place_hold(self.caller, ref, field_classes, until_ms, reference, request_id)

    def release(self, ref: CustomerRef, hold: int, request_id: str = "") -> None:
        """Ends a legal hold."""
        self.vault.release_hold(self.caller, ref, hold, request_id)

    def restrict(
        self, ref: CustomerRef, scope: Scope = EVERYTHING, until_ms: int = 0, request_id: str = ""
    ) -> int:
        """Restricts processing; returns the restriction's id."""
        return self.vault.restrict_customer(self.caller, ref, scope, until_ms, request_id)

    def lift(self, ref: CustomerRef, restriction: int, request_id: str = "") -> None:
        """Ends a restriction."""
        self.vault.lift_restriction(self.caller, ref, restriction, request_id)

    def accesses(self, **query: object) -> list[object]:
        """The newest accesses."""
        return list(self.vault.list_access(self.caller, AccessQuery(**query)).items)  # type: ignore[arg-type]

    def with_deadline(self, seconds: float) -> "Desk":
        """The same principal, willing to wait so long only."""
        desk = Desk(self.vault, self.caller.principal)
        desk.caller = Caller(self.caller.principal, time.monotonic() + seconds)
        return desk


class Desks:
    """The desks of one open vault."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def of(self, principal: str) -> Desk:
        """The desk of any principal."""
        return Desk(self.vault, principal)

    @property
    def admin(self) -> Desk:
        """Policy, principals, keys."""
        return self.of(ADMIN)

    @property
    def crm(self) -> Desk:
        """Writes; reads plain for support, masks for marketing."""
        return self.of("crm")

    @property
    def agent(self) -> Desk:
        """Reads masks for support."""
        return self.of("agent")

    @property
    def nobody(self) -> Desk:
        """Registered, granted nothing."""
        return self.of("nobody")

    @property
    def partner(self) -> Desk:
        """Of another domain."""
        return self.of("partner")

    @property
    def bridge(self) -> Desk:
        """Of both domains; translates."""
        return self.of("bridge")

    @property
    def eraser(self) -> Desk:
        """Shreds."""
        return self.of("eraser")

    @property
    def privacy(self) -> Desk:
        """Exports, audits, restricts and holds."""
        return self.of("privacy")
