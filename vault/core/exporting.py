"""ExportCustomer: all values of one customer, as far as the stated purpose reveals them.

The values go through the hot path in batches, so decisions and access records are the same ones as
for detokenization.
"""

from vault.audit.records import ReadAction
from vault.core.again import look_again
from vault.core.approvals import covering, spend
from vault.core.engine import Engine
from vault.core.inspecting import Inspecting
from vault.core.references import named_id, require
from vault.errors import Reason, ShreddedError, error_for
from vault.model.access import Action, Reveal
from vault.model.consent import LawfulBasis
from vault.model.controls import ApprovalAct
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, CustomerRef, CustomerState, Export, ExportedValue
from vault.model.secret import Secret
from vault.store.session import WriteSession


class Exporting:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, inspecting: Inspecting) -> None:
        self._engine = engine
        self._inspecting = inspecting

    @look_again
    def export(
        self,
        caller: Caller,
        ref: CustomerRef,
        purpose: str,
        domain: str,
        basis: LawfulBasis | None = None,
        approval_id: str = "",
    ) -> Export:
        """Everything held of a customer.

        Raises:
            DeniedError: the caller may not export.
            ApprovalRequiredError: it has exported as many customers today as the policy lets it alone.
            CustomerUnknownError, ShreddedError: there is nothing to export.
            AuditUnavailableError: the access could not be recorded.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.EXPORT)
            domain_id = grants.domain(domain)
            number = require(engine, grants, keys, ref)
            customer, locators = self._inspecting.describe(
                snapshot, keys, directory, number, domain_id, named_id(ref)
            )
        if customer.state == CustomerState.SHREDDED:
            raise ShreddedError("the customer was shredded")
        limit = directory.access.policy.controls.approvals.export_customers
        if limit is not None and not engine.budgets.exports(grants, locators[0], limit):
            self._spend(caller, number, approval_id)
        values: list[ExportedValue] = []
        held = list(customer.held)
        while len(values) < len(held):
            start = len(values)
            batch = held[start : start + engine.settings.limits.batch_tokens]
            tokens = [line.token for line in batch]
            revealed = engine.hot.detokenize(
                caller, tokens, purpose, Reveal.BEST, ReadAction.EXPORT_CUSTOMER, basis
            )
            denied = {denial.index: denial.reason for denial in revealed.denials}
            for index, line in enumerate(batch):
                reason = denied.get(index)
                if reason == Reason.REPLY_FULL:
                    break  # the next batch begins with it
                error = None if reason is None else error_for(reason)(*_text(reason))
                reveal = Reveal(revealed.reveals[index])
                values.append(ExportedValue(line, Secret(revealed.values[index]), reveal, error))
        return Export(customer, values)

    def _spend(self, caller: Caller, number: CustomerNo, approval_id: str) -> None:
        """Takes a customer from an approval, before anything is revealed."""
        engine = self._engine

        def job(session: WriteSession) -> None:
            grants = engine.directory(session).access.principal(caller.principal)
            approval = covering(engine, session, grants, approval_id, ApprovalAct.EXPORT, (number,))
            spend(engine, session, approval, (number,))

        engine.committer.submit(job, deadline=caller.deadline_monotonic)


def _text(reason: Reason) -> tuple[str, ...]:
    return () if reason == Reason.INTEGRITY_FAILED else ("this value is not revealed for the purpose",)
