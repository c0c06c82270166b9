"""ExportCustomer: all values of one customer, as far as the stated purpose reveals them.

The values go through the hot path in batches, so decisions and access records are the same ones as
for detokenization.
"""

from vault.audit.records import ReadAction
from vault.core.again import look_again
from vault.core.engine import Engine
from vault.core.inspecting import Inspecting
from vault.core.references import named_id, require
from vault.errors import Reason, ShreddedError, error_for
from vault.model.access import Action, Reveal
from vault.model.consent import LawfulBasis
from vault.model.requests import Caller, CustomerRef, CustomerState, Export, ExportedValue
from vault.model.secret import Secret


class Exporting:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, inspecting: Inspecting) -> None:
        self._engine = engine
        self._inspecting = inspecting

    @look_again
    def export(
        self, caller: Caller, ref: CustomerRef, purpose: str, domain: str, basis: LawfulBasis | None = None
    ) -> Export:
        """Everything held of a customer.

        Raises:
            DeniedError: the caller may not export.
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
            customer, _ = self._inspecting.describe(
                snapshot, keys, directory, number, domain_id, named_id(ref)
            )
        if customer.state == CustomerState.SHREDDED:
            raise ShreddedError("the customer was shredded")
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


def _text(reason: Reason) -> tuple[str, ...]:
    return () if reason == Reason.INTEGRITY_FAILED else ("this value is not revealed for the purpose",)
