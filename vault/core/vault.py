"""The facade: every use case of an open vault, one method each.

Each method takes the `Caller` first and raises `VaultError`. The use cases' own modules hold the
rules; this one only joins them, so that a server or a test has one object to talk to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vault.config import Settings
from vault.consent.events import ConsentEvent
from vault.core.accesshistory import AccessHistories
from vault.core.administering import Administering
from vault.core.answering import Answering
from vault.core.approving import Approving
from vault.core.blastradius import BlastRadii
from vault.core.certifying import Certifying
from vault.core.consenting import Consenting
from vault.core.consentreading import ConsentReading
from vault.core.duplicates import Duplicates
from vault.core.engine import Engine, EpochKeys, open_engine
from vault.core.erasurerecord import ErasureRecord
from vault.core.explaining import Explaining
from vault.core.exporting import Exporting
from vault.core.fieldinput import check_limit
from vault.core.inspecting import Inspecting
from vault.core.issuing import Issuing
from vault.core.listing import Listing
from vault.core.narrowing import Narrowing
from vault.core.operations import Operating, Operation
from vault.core.rectifying import Rectifying
from vault.core.reporting import Reporting
from vault.core.rotating import Rotating
from vault.core.searching import Searching
from vault.core.searchlook import SearchPolicy
from vault.core.shredding import Shredding
from vault.core.surrogates import Lookup, domains_of
from vault.core.suspending import Suspending, suspend_due
from vault.core.tokenizing import Tokenizing
from vault.core.tracing import Tracing
from vault.core.trail import Trail
from vault.core.turn import Item, Made
from vault.errors import VaultError
from vault.fields.derived import Question
from vault.model.access import Reveal
from vault.model.answers import Comparisons, DerivedAnswers, Pseudonyms
from vault.model.blast import BlastQuery, BlastRadius
from vault.model.consent import LawfulBasis
from vault.model.consents import (
    ConsentAct,
    ConsentAnswer,
    Evidence,
    PurposeConsent,
    Receipt,
    SignalAnswer,
)
from vault.model.controls import (
    ApprovalInfo,
    ApprovalRequest,
    ApprovalState,
    BudgetUse,
    CustomersRead,
    CustomersReadQuery,
)
from vault.model.erasure import Stage
from vault.model.history import AccessHistory, HistoryQuery
from vault.model.issued import IssuedToken, TokenOrder
from vault.model.requests import (
    AccessPage,
    AccessQuery,
    AuditStatus,
    Caller,
    Certificate,
    ConsistencyProof,
    Customer,
    CustomerRef,
    Entry,
    EntryResult,
    Erasure,
    ExplainQuery,
    Export,
    InclusionProof,
    KeyringStatus,
    Outcome,
    Page,
    PolicyInForce,
    PolicyVersion,
    PrincipalInfo,
    Revealed,
    Scope,
    ShredResult,
    StoredEntry,
    TokenForm,
    TokenInfo,
    Translated,
)
from vault.model.search import DuplicateGroup, DuplicateSearch, Found, Search, SearchEntry
from vault.model.secret import Secret
from vault.policy.explaining import Explanation
from vault.store.entries import TermsKind
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
        self._answering = Answering(engine, self._trail)
        self._inspecting = Inspecting(engine, self._trail)
        self._issuing = Issuing(engine, self._trail)
        self._exporting = Exporting(engine, self._inspecting)
        certifying = Certifying(
            engine.store,
            engine.secrets,
            lambda: engine.now_ms(),
            engine.settings.keys.verified_copies,
            engine.settings.backup.keep_days,
        )
        self._shredding = Shredding(engine, self._trail, certifying)
        self._erasures = ErasureRecord(engine, certifying)
        self._narrowing = Narrowing(engine, self._trail)
        self._consenting = Consenting(engine, self._trail)
        self._consent_reading = ConsentReading(engine, self._trail)
        self._rotating = Rotating(engine, self._trail)
        self._operating = Operating(engine, self._trail)
        self._administering = Administering(engine, self._trail)
        self._listing = Listing(engine, self._trail)
        self._reporting = Reporting(engine, self._trail)
        self._explaining = Explaining(engine, self._trail)
        self._suspending = Suspending(engine, self._trail)
        self._suspending_due = _SuspendingDue(engine, self._trail)
        self._approving = Approving(engine, self._trail)
        self._tracing = Tracing(engine, self._trail)
        self._blast_radii = BlastRadii(engine, self._trail)
        self._histories = AccessHistories(engine, self._trail)
        policy = SearchPolicy()
        self._searching = Searching(engine, self._trail, policy)
        self._duplicates = Duplicates(engine, self._trail, policy)

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

    def each(self, work: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
        """Heavy work around a write, such as converting a batch, in turns; see `turn`."""
        return self.engine.turn.each(work, items)

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
    ) -> list[EntryResult | StoredEntry]:
        """Stores customers' fields; see `tokenizing`."""
        method = "BatchTokenize" if batch else "Tokenize"
        with self._suspending_who_goes_beyond():
            return self._tokenizing.tokenize(
                caller, entries, domain=domain, request_id=request_id, atomic=atomic, method=method, form=form
            )

    def detokenize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        reveal: Reveal,
        basis: LawfulBasis | None = None,
        domain: str = "",
    ) -> Revealed:
        """Opens tokens for a purpose; see `hotpath.detokenize`. `domain` is that of surrogates among them."""
        engine = self.engine
        check_limit("batch_tokens", len(tokens), engine.settings.limits.batch_tokens)
        self._approving.require_grant(caller, purpose)

        def domains(snapshot: Snapshot) -> Sequence[int]:
            return domains_of(engine.directory(snapshot).access.principal(caller.principal), domain)

        lookup = Lookup(engine.store, engine.surrogates, domains)
        with self._suspending_due:
            return engine.hot.detokenize(caller, tokens, purpose, reveal, foreign=lookup, basis=basis)

    def pseudonymize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        *,
        domain: str = "",
        basis: LawfulBasis | None = None,
        generation: int = 0,
    ) -> Pseudonyms:
        """Join keys of values; see `answering`."""
        self._approving.require_grant(caller, purpose)
        with self._suspending_who_goes_beyond():
            return self._answering.pseudonymize(
                caller, tokens, purpose, domain=domain, basis=basis, generation=generation
            )

    def compare(
        self,
        caller: Caller,
        pairs: Sequence[tuple[str, str]],
        purpose: str,
        *,
        domain: str = "",
        basis: LawfulBasis | None = None,
    ) -> Comparisons:
        """Whether the values of pairs are equal; see `answering`."""
        self._approving.require_grant(caller, purpose)
        with self._suspending_who_goes_beyond():
            return self._answering.compare(caller, pairs, purpose, domain=domain, basis=basis)

    def derive(
        self,
        caller: Caller,
        questions: Sequence[tuple[str, Question]],
        purpose: str,
        *,
        domain: str = "",
        basis: LawfulBasis | None = None,
        time_zone: str = "",
    ) -> DerivedAnswers:
        """Answers to questions about values; see `answering`."""
        self._approving.require_grant(caller, purpose)
        with self._suspending_who_goes_beyond():
            return self._answering.derive(
                caller, questions, purpose, domain=domain, basis=basis, time_zone=time_zone
            )

    def update_value(
        self, caller: Caller, token: str, value: Secret, request_id: str, domain: str = ""
    ) -> Outcome:
        """Rectifies one value; see `rectifying`."""
        with self._suspending_who_goes_beyond():
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

    def issue_token(self, caller: Caller, order: TokenOrder, request_id: str) -> IssuedToken:
        """A token that expires, is for a single use, is bound or tagged; see `issuing`."""
        return self._issuing.issue(caller, order, request_id)

    def revoke_token(self, caller: Caller, token: str, request_id: str) -> None:
        """Ends an issued token; see `issuing`."""
        self._issuing.revoke(caller, token, request_id)

    def get_token(self, caller: Caller, token: str) -> IssuedToken:
        """An issued token, without its value; see `issuing`."""
        return self._issuing.get(caller, token)

    def list_tokens(
        self,
        caller: Caller,
        ref: CustomerRef | None,
        tags: Mapping[str, str],
        page_size: int,
        page_token: str,
    ) -> Page[IssuedToken]:
        """Issued tokens of a customer, or with a tag; see `issuing`."""
        return self._issuing.page(caller, ref, tags, _page(page_size), page_token)

    def rotate_epoch(self, caller: Caller, request_id: str, approval_id: str = "") -> Operation:
        """Asks for a new epoch; see `operations`."""
        return self._operating.rotate_epoch(caller, request_id, approval_id)

    def operation(self, caller: Caller, name: str) -> Operation:
        """How far long work is; see `operations`."""
        return self._operating.get(caller, name)

    def create_customer(
        self, caller: Caller, external_id: Secret, jurisdiction: str, domain: str, request_id: str
    ) -> EntryResult | StoredEntry:
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

    def export_customer(
        self,
        caller: Caller,
        ref: CustomerRef,
        purpose: str,
        domain: str,
        basis: LawfulBasis | None = None,
        approval_id: str = "",
    ) -> Export:
        """All values of a customer; see `exporting`."""
        self._approving.require_grant(caller, purpose)
        with self._suspending_who_goes_beyond():
            return self._exporting.export(caller, ref, purpose, domain, basis, approval_id)

    def find(self, caller: Caller, search: Search) -> Page[Found]:
        """Customers that hold some values; see `searching`."""
        self._approving.require_grant(caller, search.purpose)
        with self._suspending_who_goes_beyond():
            return self._searching.find(caller, replace(search, page_size=_page(search.page_size)))

    def list_duplicates(self, caller: Caller, search: DuplicateSearch) -> Page[DuplicateGroup]:
        """Customers that share a value; see `duplicates`."""
        self._approving.require_grant(caller, search.purpose)
        with self._suspending_who_goes_beyond():
            return self._duplicates.list(caller, replace(search, page_size=_page(search.page_size)))

    def search_status(self, caller: Caller) -> list[SearchEntry]:
        """What can be searched, and how far the index is; see `searching`."""
        return self._searching.status(caller)

    def shred(
        self,
        caller: Caller,
        refs: Sequence[CustomerRef],
        *,
        request_id: str,
        validate_only: bool,
        atomic: bool,
        approval_id: str = "",
    ) -> list[ShredResult]:
        """Ends customers; see `shredding`."""
        return self._shredding.shred(
            caller,
            refs,
            request_id=request_id,
            validate_only=validate_only,
            atomic=atomic,
            approval_id=approval_id,
        )

    def restrict_customer(
        self, caller: Caller, ref: CustomerRef, scope: Scope, until_ms: int, request_id: str
    ) -> int:
        """Restricts processing; see `narrowing`."""
        return self._narrowing.restrict(caller, ref, scope, until_ms, request_id)

    def lift_restriction(self, caller: Caller, ref: CustomerRef, number: int, request_id: str) -> None:
        """Ends a restriction; see `narrowing`."""
        self._narrowing.end(caller, ref, TermsKind.RESTRICTED, number, request_id)

    def place_hold(
        self,
        caller: Caller,
        ref: CustomerRef,
        field_classes: Sequence[str],
        until_ms: int,
        reference: str,
        request_id: str,
    ) -> int:
        """Places a legal hold; see `narrowing`."""
        return self._narrowing.hold(caller, ref, field_classes, until_ms, reference, request_id)

    def release_hold(self, caller: Caller, ref: CustomerRef, number: int, request_id: str) -> None:
        """Ends a legal hold, and does the shred that waited for it; see `narrowing`."""
        self._narrowing.end(caller, ref, TermsKind.HELD, number, request_id)

    def set_expiry(self, caller: Caller, ref: CustomerRef, scope: Scope, at_ms: int, request_id: str) -> int:
        """Sets a time from which nothing is revealed; see `narrowing`."""
        return self._narrowing.expire(caller, ref, scope, at_ms, request_id)

    def clear_expiry(self, caller: Caller, ref: CustomerRef, number: int, request_id: str) -> None:
        """Ends an expiry; see `narrowing`."""
        self._narrowing.end(caller, ref, TermsKind.EXPIRING, number, request_id)

    def rotate_dek(self, caller: Caller, ref: CustomerRef, request_id: str) -> tuple[int, int]:
        """A new DEK generation; see `rotating`."""
        return self._rotating.rotate(caller, ref, request_id)

    def record_consents(
        self,
        caller: Caller,
        acts: Sequence[ConsentAct],
        *,
        request_id: str,
        atomic: bool = False,
        method: str = "BatchRecordConsents",
    ) -> list[ConsentAnswer]:
        """What customers say of purposes; see `consenting`."""
        return self._consenting.record(caller, acts, request_id=request_id, atomic=atomic, method=method)

    def record_consent(
        self, caller: Caller, act: ConsentAct, *, request_id: str, method: str = "RecordConsent"
    ) -> ConsentAnswer:
        """What one customer says of one purpose; see `consenting`."""
        (answer,) = self.record_consents(caller, [act], request_id=request_id, method=method)
        if answer.error is not None:
            raise answer.error
        return answer

    def ingest_signal(
        self, caller: Caller, ref: CustomerRef, sec_gpc: str | None, evidence: Evidence, request_id: str
    ) -> SignalAnswer:
        """A browser's signal; see `consenting`."""
        return self._consenting.ingest(caller, ref, sec_gpc, evidence, request_id)

    def consent_state(
        self, caller: Caller, ref: CustomerRef, purposes: Sequence[str] = ()
    ) -> list[PurposeConsent]:
        """Where purposes stand with a customer; see `consentreading`."""
        return self._consent_reading.state(caller, ref, purposes)

    def list_consent_events(
        self, caller: Caller, ref: CustomerRef, purpose: str, page_size: int, page_token: str
    ) -> Page[ConsentEvent]:
        """A customer's consent events; see `consentreading`."""
        return self._consent_reading.events(caller, ref, purpose, _page(page_size), page_token)

    def consent_receipt(self, caller: Caller, ref: CustomerRef, event: int, domain: str) -> Receipt:
        """A signed receipt of one event; see `consentreading`."""
        return self._consent_reading.receipt(caller, ref, event, domain)

    def export_consents(self, caller: Caller, ref: CustomerRef, domain: str) -> bytes:
        """A customer's consent records as JSON-LD; see `consent.records`."""
        return self._consent_reading.export(caller, ref, domain)

    def keyring_status(self, caller: Caller) -> KeyringStatus:
        """State of the keyring; see `reporting`."""
        return self._reporting.keyring_status(caller)

    def get_erasure(self, caller: Caller, shred_id: str) -> Erasure:
        """One erasure; see `erasurerecord`."""
        return self._erasures.get(caller, shred_id)

    def get_certificate(self, caller: Caller, shred_id: str) -> Certificate:
        """The newest certificate of one erasure; see `certifying`."""
        return self._erasures.certificate(caller, shred_id)

    def list_erasures(
        self, caller: Caller, page_size: int, page_token: str, stage: Stage | None = None
    ) -> Page[Erasure]:
        """Erasures, oldest first; see `shredding`."""
        return self._erasures.page(caller, _page(page_size), page_token, stage)

    def list_access(self, caller: Caller, query: AccessQuery) -> AccessPage:
        """Accesses, newest first or in the order recorded; see `listing`."""
        return self._listing.list_access(caller, query)

    def audit_status(self, caller: Caller) -> AuditStatus:
        """State of the access log; see `reporting`."""
        return self._reporting.audit_status(caller)

    def inclusion_proof(self, caller: Caller, leaf: int) -> InclusionProof:
        """That an access record is sealed; see `reporting`."""
        return self._reporting.inclusion_proof(caller, leaf)

    def consistency_proof(self, caller: Caller, old_size: int) -> ConsistencyProof:
        """That the sealed access log only grew; see `reporting`."""
        return self._reporting.consistency_proof(caller, old_size)

    def get_policy(self, caller: Caller, version: int = 0) -> PolicyInForce:
        """The policy in force, or a version of it; see `administering`."""
        return self._administering.get_policy(caller, version)

    def list_policy_versions(self, caller: Caller, page_size: int, page_token: str) -> Page[PolicyVersion]:
        """Versions of the policy, the newest first; see `administering`."""
        return self._administering.list_policy_versions(caller, _page(page_size), page_token)

    def explain(self, caller: Caller, query: ExplainQuery) -> Explanation:
        """Why a read is answered as it is; see `explaining`."""
        return self._explaining.explain(caller, query)

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

    def suspend_principal(self, caller: Caller, name: str, reason: str, request_id: str) -> PrincipalInfo:
        """Suspends a principal; see `suspending`."""
        return self._suspending.suspend(caller, name, reason, request_id)

    def resume_principal(self, caller: Caller, name: str, reason: str, request_id: str) -> PrincipalInfo:
        """Ends a suspension; see `suspending`."""
        return self._suspending.resume(caller, name, reason, request_id)

    def budget_use(self, caller: Caller, name: str) -> list[BudgetUse]:
        """What a principal has used of its budgets; see `reporting`."""
        return self._reporting.budget_use(caller, name)

    def customers_read(self, caller: Caller, query: CustomersReadQuery) -> CustomersRead:
        """Of whom a principal was shown a value; see `tracing`."""
        return self._tracing.customers_read(caller, replace(query, page_size=_page(query.page_size)))

    def blast_radius(self, caller: Caller, query: BlastQuery) -> BlastRadius:
        """Which customers' values were read; see `blastradius`."""
        return self._blast_radii.find(caller, query)

    def access_history(self, caller: Caller, query: HistoryQuery) -> AccessHistory:
        """What was done with one customer's data; see `accesshistory`."""
        return self._histories.page(caller, query)

    def request_approval(self, caller: Caller, wanted: ApprovalRequest, request_id: str) -> ApprovalInfo:
        """Asks another principal to approve an act; see `approving`."""
        return self._approving.request(caller, wanted, request_id)

    def approve(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Approves another principal's request; see `approving`."""
        return self._approving.approve(caller, approval_id, note, request_id)

    def reject(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Refuses another principal's request; see `approving`."""
        return self._approving.reject(caller, approval_id, note, request_id)

    def cancel_approval(self, caller: Caller, approval_id: str, note: str, request_id: str) -> ApprovalInfo:
        """Withdraws a request, or ends what it gave; see `approving`."""
        return self._approving.cancel(caller, approval_id, note, request_id)

    def get_approval(self, caller: Caller, approval_id: str) -> ApprovalInfo:
        """One request for approval; see `approving`."""
        return self._approving.get(caller, approval_id)

    def list_approvals(
        self, caller: Caller, state: ApprovalState | None, page_size: int, page_token: str
    ) -> Page[ApprovalInfo]:
        """Requests for approval, newest first; see `approving`."""
        return self._approving.list(caller, state, _page(page_size), page_token)

    def _suspending_who_goes_beyond(self) -> "_SuspendingDue":
        """Suspends whom a budget says so of, before the call that went beyond it is answered."""
        return self._suspending_due

    def record_refusal(self, principal: str, action: str, error: VaultError) -> None:
        """Records an attempt that was turned away before or inside a use case."""
        with self.engine.store.snapshot() as snapshot:
            known = self.engine.directory(snapshot).principals.get(principal)
        self._trail.refusal(principal, known.id if known else 0, action, error.reason)


class _SuspendingDue:
    """A context that ends so, whatever happens in it. Any number of calls may be in it at the same time."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        if self._engine.budgets.due:
            suspend_due(self._engine, self._trail)


def _page(page_size: int) -> int:
    return min(page_size, _LARGEST_PAGE) if page_size > 0 else _DEFAULT_PAGE
