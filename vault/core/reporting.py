"""What auditors and operators see: the log's state, proofs of it, budgets, the state of the keyring."""

from vault.audit import check
from vault.audit.sealed import proofs
from vault.audit.sealed.log import SealedLog
from vault.core.engine import Engine
from vault.core.sealing import audit_keys
from vault.core.trail import Trail
from vault.errors import PrincipalUnknownError
from vault.keys.unlock import EdkFile
from vault.model.access import Action
from vault.model.controls import BudgetUse
from vault.model.requests import (
    AuditStatus,
    Caller,
    ConsistencyProof,
    InclusionProof,
    KeyringStatus,
)
from vault.policy.decision import Grants
from vault.store.layout import CustomerRow


class Reporting:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

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
            sealed=status.sealed,
        )

    def inclusion_proof(self, caller: Caller, leaf: int) -> InclusionProof:
        """Proof that a record is in the sealed log, under its newest checkpoint. The record itself is in it.

        Raises:
            InvalidRequestError: no such leaf is under a checkpoint yet.
        """
        grants, engine = self._auditor(caller), self._engine
        proof = proofs.inclusion(SealedLog.open(engine.audit_directory), audit_keys(engine), leaf)
        self._trail.act(grants, "GetInclusionProof", leaf=leaf)
        return proof

    def consistency_proof(self, caller: Caller, old_size: int) -> ConsistencyProof:
        """Proof that the sealed log of the newest checkpoint begins with its first `old_size` leaves.

        Raises:
            InvalidRequestError: the log was never so small, or is not so large.
        """
        self._auditor(caller)
        engine = self._engine
        return proofs.consistency(SealedLog.open(engine.audit_directory), audit_keys(engine), old_size)

    def _auditor(self, caller: Caller) -> Grants:
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.AUDIT)
        return grants

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
