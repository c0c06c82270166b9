"""The facade: every use case of an open vault, one method each.

Each method takes the `Caller` first and raises `VaultError`. The use cases' own modules hold the
rules; this one only joins them, so that a server or a test has one object to talk to.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from vault.config import Settings
from vault.core.administering import Administering
from vault.core.engine import Engine, EpochKeys, open_engine
from vault.core.exporting import Exporting
from vault.core.fieldinput import check_limit
from vault.core.inspecting import Inspecting
from vault.core.operations import Operating, Operation
from vault.core.rectifying import Rectifying
from vault.core.reporting import Reporting
from vault.core.rotating import Rotating
from vault.core.shredding import Shredding
from vault.core.surrogates import Lookup, domains_of
from vault.core.tokenizing import Tokenizing
from vault.core.trail import Trail
from vault.errors import VaultError
from vault.model.access import Reveal
from vault.model.erasure import Stage
from vault.model.requests import (
    Access,
    AccessQuery,
    AuditStatus,
    Caller,
    Certificate,
    Customer,
    CustomerRef,
    Entry,
    EntryResult,
    Erasure,
    Export,
    KeyringStatus,
    Outcome,
    Page,
    PolicyInForce,
    PrincipalInfo,
    Revealed,
    ShredResult,
    TokenForm,
    TokenInfo,
    Translated,
)
from vault.model.secret import Secret
from vault.store.snapshot import Snapshot

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000


class Vault:
    """One process's handle on an open vault."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._trail = Trail(engine.audit)
        self._tokenizing = Tokenizing(engine, self._trail)
        self._rectifying = Rectifying(engine, self._trail)
        self._inspecting = Inspecting(engine, self._trail)
        self._exporting = Exporting(engine, self._inspecting)
        self._shredding = Shredding(engine, self._trail)
        self._rotating = Rotating(engine, self._trail)
        self._operating = Operating(engine, self._trail)
        self._administering = Administering(engine, self._trail)
        self._reporting = Reporting(engine, self._trail)

    @classmethod
    def open(cls, data_dir: Path, settings: Settings, edks: EpochKeys, *, process_name: str) -> "Vault":
        """Opens a vault in this process; `edks` are freed by `close`.

        Raises:
            StorageFormatError, KeyUnavailableError, InvalidRequestError: see `engine.open_engine`.
        """
        return cls(open_engine(data_dir, settings, edks, process_name))

    def close(self) -> None:
        """Finishes waiting writes, syncs the access log, zeroes keys."""
        self.engine.close()

    def turn(self) -> AbstractContextManager[None]:
        """A turn for heavy work around a write, such as converting a batch; see `turn`."""
        return self.engine.turn.ordinary()

    def tokenize(
        self,
        caller: Caller,
        entries: Sequence[Entry],
        *,
        domain: str,
        request_id: str,
        atomic: bool,
        batch: bool,
        form: TokenForm = TokenForm.BY_CLASS,
    ) -> list[EntryResult]:
        """Stores customers' fields; see `tokenizing`."""
        method = "BatchTokenize" if batch else "Tokenize"
        return self._tokenizing.tokenize(
            caller, entries, domain=domain, request_id=request_id, atomic=atomic, method=method, form=form
        )

    def detokenize(
        self, caller: Caller, tokens: Sequence[str], purpose: str, reveal: Reveal, domain: str = ""
    ) -> Revealed:
        """Opens tokens for a purpose; see `hotpath.detokenize`. `domain` is that of surrogates among them."""
        engine = self.engine
        check_limit("batch_tokens", len(tokens), engine.settings.limits.batch_tokens)

        def domains(snapshot: Snapshot) -> Sequence[int]:
            return domains_of(engine.directory(snapshot).access.principal(caller.principal), domain)

        lookup = Lookup(engine.store, engine.surrogates, domains)
        return engine.hot.detokenize(caller, tokens, purpose, reveal, foreign=lookup)

    def update_value(
        self, caller: Caller, token: str, value: Secret, request_id: str, domain: str = ""
    ) -> Outcome:
        """Rectifies one value; see `rectifying`."""
        return self._rectifying.update(caller, token, value, request_id, domain)

    def delete_value(self, caller: Caller, token: str, request_id: str, domain: str = "") -> None:
        """Deletes one value; see `rectifying`."""
        self._rectifying.delete(caller, token, request_id, domain)

    def translate(
        self, caller: Caller, tokens: Sequence[str], target_domain: str, source_domain: str = ""
    ) -> Translated:
        """Tokens of another domain; see `inspecting`."""
        return self._inspecting.translate(caller, tokens, target_domain, source_domain)

    def inspect(self, caller: Caller, token: str, domain: str = "") -> TokenInfo:
        """Describes a token; see `inspecting`."""
        return self._inspecting.inspect(caller, token, domain)

    def rotate_epoch(self, caller: Caller, request_id: str) -> Operation:
        """Asks for a new epoch; see `operations`."""
        return self._operating.rotate_epoch(caller, request_id)

    def operation(self, caller: Caller, name: str) -> Operation:
        """How far long work is; see `operations`."""
        return self._operating.get(caller, name)

    def create_customer(
        self, caller: Caller, external_id: Secret, jurisdiction: str, domain: str, request_id: str
    ) -> EntryResult:
        """A customer without values; the existing one when the id is held."""
        entry = Entry(CustomerRef(external_id=external_id), (), jurisdiction)
        (result,) = self._tokenizing.tokenize(
            caller, [entry], domain=domain, request_id=request_id, atomic=False, method="CreateCustomer"
        )
        if result.error is not None:
            raise result.error
        return result

    def get_customer(self, caller: Caller, ref: CustomerRef, domain: str) -> Customer:
        """What is held of a customer; see `inspecting`."""
        return self._inspecting.get(caller, ref, domain)

    def list_customers(
        self, caller: Caller, page_size: int, page_token: str, domain: str, show_shredded: bool
    ) -> Page[Customer]:
        """Customers by number; see `inspecting`."""
        return self._inspecting.list(caller, _page(page_size), page_token, domain, show_shredded)

    def export_customer(self, caller: Caller, ref: CustomerRef, purpose: str, domain: str) -> Export:
        """All values of a customer; see `exporting`."""
        return self._exporting.export(caller, ref, purpose, domain)

    def shred(
        self,
        caller: Caller,
        refs: Sequence[CustomerRef],
        *,
        request_id: str,
        validate_only: bool,
        atomic: bool,
    ) -> list[ShredResult]:
        """Ends customers; see `shredding`."""
        return self._shredding.shred(
            caller, refs, request_id=request_id, validate_only=validate_only, atomic=atomic
        )

    def rotate_dek(self, caller: Caller, ref: CustomerRef, request_id: str) -> tuple[int, int]:
        """A new DEK generation; see `rotating`."""
        return self._rotating.rotate(caller, ref, request_id)

    def keyring_status(self, caller: Caller) -> KeyringStatus:
        """State of the keyring; see `reporting`."""
        return self._reporting.keyring_status(caller)

    def get_erasure(self, caller: Caller, shred_id: str) -> Erasure:
        """One erasure; see `shredding`."""
        return self._shredding.get_erasure(caller, shred_id)

    def get_certificate(self, caller: Caller, shred_id: str) -> Certificate:
        """The newest certificate of one erasure; see `certifying`."""
        return self._shredding.get_certificate(caller, shred_id)

    def list_erasures(
        self, caller: Caller, page_size: int, page_token: str, stage: Stage | None = None
    ) -> Page[Erasure]:
        """Erasures, oldest first; see `shredding`."""
        return self._shredding.list_erasures(caller, _page(page_size), page_token, stage)

    def list_access(self, caller: Caller, query: AccessQuery) -> Page[Access]:
        """Accesses, newest first; see `reporting`."""
        return self._reporting.list_access(caller, query)

    def audit_status(self, caller: Caller) -> AuditStatus:
        """State of the access log; see `reporting`."""
        return self._reporting.audit_status(caller)

    def get_policy(self, caller: Caller) -> PolicyInForce:
        """The policy in force; see `administering`."""
        return self._administering.get_policy(caller)

    def apply_policy(
        self, caller: Caller, document: str, *, validate_only: bool, request_id: str
    ) -> PolicyInForce:
        """Puts a policy in force; see `administering`."""
        return self._administering.apply_policy(
            caller, document, validate_only=validate_only, request_id=request_id
        )

    def create_principal(
        self, caller: Caller, name: str, certificate_request_pem: str, certificate_days: int, request_id: str
    ) -> PrincipalInfo:
        """Registers a principal; see `administering`."""
        return self._administering.create_principal(
            caller, name, certificate_request_pem, certificate_days, request_id
        )

    def list_principals(self, caller: Caller, page_size: int, page_token: str) -> Page[PrincipalInfo]:
        """Principals by name; see `administering`."""
        return self._administering.list_principals(caller, _page(page_size), page_token)

    def revoke_principal(self, caller: Caller, name: str, request_id: str) -> PrincipalInfo:
        """Revokes a principal; see `administering`."""
        return self._administering.revoke_principal(caller, name, request_id)

    def record_refusal(self, principal: str, action: str, error: VaultError) -> None:
        """Records an attempt that was turned away before or inside a use case."""
        with self.engine.store.snapshot() as snapshot:
            known = self.engine.directory(snapshot).principals.get(principal)
        self._trail.refusal(principal, known.id if known else 0, action, error.reason)


def _page(page_size: int) -> int:
    return min(page_size, _LARGEST_PAGE) if page_size > 0 else _DEFAULT_PAGE
