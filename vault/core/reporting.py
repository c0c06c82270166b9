"""What auditors and operators see: accesses, the state of the log, the state of the keyring."""

from vault.audit import check, reader
from vault.audit.folding import AccessSummary
from vault.core.again import look_again
from vault.core.directory import FIELD_CLASS, PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.references import named_id, require
from vault.core.trail import Trail
from vault.errors import PrincipalUnknownError
from vault.keys.unlock import EdkFile
from vault.model.access import Action
from vault.model.controls import BudgetUse
from vault.model.ids import CustomerNo
from vault.model.requests import Access, AccessQuery, AuditStatus, Caller, KeyringStatus, Page
from vault.store.layout import CustomerRow
from vault.store.snapshot import KeyringSnapshot, Snapshot


class Reporting:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    @look_again
    def list_access(self, caller: Caller, query: AccessQuery) -> Page[Access]:
        """Accesses, newest first.

        A shredded customer has none: the key that names it in the log is gone.

        Raises:
            CustomerUnknownError, PrincipalUnknownError: the query names nobody.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.AUDIT)
            locators = None
            if query.customer is not None:
                number = require(engine, grants, keys, query.customer)
                locators = frozenset(self._locators(snapshot, keys, number, named_id(query.customer)))
            principal_id = None
            if query.principal:
                known = directory.principals.get(query.principal)
                if known is None:
                    raise PrincipalUnknownError("no such principal")
                principal_id = known.id
        wanted = reader.AccessFilter(
            locators, principal_id, query.start_ms, query.end_ms, query.page_size, query.page_token
        )
        page = reader.list_access(self._engine.audit_directory, wanted)
        self._trail.act(grants, "ListAccess", locators=sorted(locators or ()), listed=len(page.accesses))
        return Page([_access(found, directory) for found in page.accesses], page.next_page_token)

    def budget_use(self, caller: Caller, name: str) -> list[BudgetUse]:
        """What a principal, the caller itself if `name` is empty, has used of its budgets now.

        Raises:
            ActionDeniedError: it is another one, and the caller neither administers nor audits.
            PrincipalUnknownError: nobody has this name.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
        grants = directory.access.principal(caller.principal)
        if name and name != caller.principal and not grants.may(Action.AUDIT):
            grants.require(Action.ADMIN)
        known = directory.principals.get(name or caller.principal)
        if known is None:
            raise PrincipalUnknownError("no such principal")
        budgets = directory.access.policy.controls.budgets_of(known.name)
        return engine.budgets.use(known.id, budgets)

    def audit_status(self, caller: Caller) -> AuditStatus:
        """Segments, records, bytes, free space."""
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
        if not grants.may(Action.ADMIN):
            grants.require(Action.AUDIT)
        status = check.status(self._engine.audit_directory, self._engine.settings.audit.segment_bytes)
        interval = self._engine.settings.audit.sync_interval_ms
        return AuditStatus(
            segments=status.segments,
            records=status.records,
            bytes=status.bytes,
            free_bytes=status.free_bytes,
            writable=status.writable and self._engine.audit.status().writable,
            sync_interval_ms=0 if self._engine.settings.audit.sync == "always" else interval,
            gaps=status.gaps,
        )

    def keyring_status(self, caller: Caller) -> KeyringStatus:
        """Epoch, provider and counts."""
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            if not grants.may(Action.ROTATE):
                grants.require(Action.ADMIN)
            edk = EdkFile.read(engine.data_dir / "keyring" / str(snapshot.meta.epoch))
            customers = shredded = 0
            for _, row in snapshot.customers(None):
                customers += 1
                shredded += CustomerRow.unpack(row).shredded
            return KeyringStatus(
                vault_id=engine.vault_id.hex(),
                epoch=snapshot.meta.epoch,
                epoch_created_ms=edk.created_ms,
                provider=edk.provider,
                assurance=edk.assurance,
                root_key_id=edk.root_key_id,
                signing_key_id=engine.secrets.signing_key.key_id,
                customers=customers,
                shredded_customers=shredded,
                wrapped_deks=keys.count_deks(),
                token_key_generation=engine.secrets.token_key_generation,
                ledger_entries=engine.store.ledger_entries(),
                ledger_applied=snapshot.meta.applied,
            )

    def _locators(
        self, snapshot: Snapshot, keys: KeyringSnapshot, number: CustomerNo, external_id: bytes
    ) -> list[bytes]:
        """Every name under which the customer stands in the log: one for each DEK generation."""
        book = self._engine.book
        with book.open(snapshot, keys, number, external_id) as customer:
            return [*customer.past_locators, customer.dek.locator(book.key(number))]


def _access(found: AccessSummary, directory: Directory) -> Access:
    classes = (directory.names[FIELD_CLASS].get(number, "") for number in found.field_class_ids)
    return Access(
        time_ms=found.time_ms,
        principal=found.principal or directory.principal_names.get(found.principal_id, ""),
        action=found.action,
        purpose=directory.names[PURPOSE].get(found.purpose_id, ""),
        values_plain=found.values_plain,
        values_masked=found.values_masked,
        values_denied=found.values_denied,
        customers=found.customers,
        field_classes=sorted(name for name in classes if name),
        reasons=sorted(reason.value for reason in found.reasons),
        detail=found.detail,
        basis=found.basis,
        break_glass=found.break_glass,
    )
