"""Consents: what customers have agreed to."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from customervault._exchanges import consents as verbs
from customervault._sync.transport import Transport
from customervault.consents import (
    ConsentDecision,
    ConsentEntry,
    ConsentEvent,
    ConsentReceipt,
    ConsentResult,
    Evidence,
    IngestedSignal,
    PurposeConsent,
)
from customervault.inputs import CustomerRef


class ConsentVerbs(Transport):
    """Verbs on consents."""

    def record_consent(
        self,
        purpose: str,
        decision: ConsentDecision = "given",
        *,
        external_id: str | None = None,
        token: str | None = None,
        evidence: Evidence | None = None,
        expires: datetime | None = None,
        request_id: str | None = None,
    ) -> ConsentResult:
        """Record that a customer gives consent to a purpose, or has `refused` it.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: Nothing was recorded, or it is not known whether it was.
        """
        ref = CustomerRef(external_id, token)
        return self._run(
            verbs.record(ref, purpose, decision, evidence=evidence, expires=expires, request_id=request_id)
        )

    def record_consents(
        self, entries: Iterable[ConsentEntry], *, atomic: bool = False, request_id: str | None = None
    ) -> list[ConsentResult]:
        """Record what many customers say; failures stay in the answers unless `atomic`, within a batch.

        Raises:
            VaultError: A batch was not recorded, or it is not known whether it was.
        """
        return self._run_in_turn(
            verbs.record_batches(
                entries, atomic=atomic, request_id=request_id, max_batch=self._config.max_batch
            )
        )

    def withdraw_consent(
        self,
        purpose: str,
        *,
        external_id: str | None = None,
        token: str | None = None,
        evidence: Evidence | None = None,
        request_id: str | None = None,
    ) -> ConsentResult:
        """Record that a customer withdraws consent; effective for every read that starts afterwards.

        Raises:
            VaultError: Nothing was recorded, or it is not known whether it was.
        """
        ref = CustomerRef(external_id, token)
        return self._run(verbs.withdraw(ref, purpose, evidence=evidence, request_id=request_id))

    def record_objection(
        self,
        purpose: str,
        *,
        external_id: str | None = None,
        token: str | None = None,
        evidence: Evidence | None = None,
        request_id: str | None = None,
    ) -> ConsentResult:
        """Record that a customer objects to a purpose; for direct marketing that ends it on every basis.

        Raises:
            VaultError: Nothing was recorded, or it is not known whether it was.
        """
        ref = CustomerRef(external_id, token)
        return self._run(verbs.objection(ref, purpose, evidence=evidence, request_id=request_id))

    def consent_state(
        self, *purposes: str, external_id: str | None = None, token: str | None = None
    ) -> list[PurposeConsent]:
        """Where purposes stand with a customer; without names, all that there are."""
        return self._run(verbs.state(CustomerRef(external_id, token), purposes))

    def list_consent_events(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        purpose: str = "",
        page_size: int = 1000,
    ) -> Iterator[ConsentEvent]:
        """A customer's consent events, oldest first, fetched page by page as they are read."""
        ref = CustomerRef(external_id, token)
        return self._pages(
            lambda page_token: verbs.event_page(page_token, ref=ref, purpose=purpose, page_size=page_size)
        )

    def consent_receipt(
        self,
        event: int,
        *,
        external_id: str | None = None,
        token: str | None = None,
        domain: str | None = None,
    ) -> ConsentReceipt:
        """A signed receipt of one event, by its number."""
        return self._run(
            verbs.receipt(
                CustomerRef(external_id, token),
                event,
                domain=self._config.domain if domain is None else domain,
            )
        )

    def export_consents(
        self, *, external_id: str | None = None, token: str | None = None, domain: str | None = None
    ) -> bytes:
        """All consent records of a customer: JSON-LD after ISO/IEC TS 27560, in terms of the W3C DPV."""
        return self._run(
            verbs.export(
                CustomerRef(external_id, token), domain=self._config.domain if domain is None else domain
            )
        )

    def ingest_signal(
        self,
        sec_gpc: str | None,
        *,
        external_id: str | None = None,
        token: str | None = None,
        evidence: Evidence | None = None,
        request_id: str | None = None,
    ) -> IngestedSignal:
        """Pass on a browser's header `Sec-GPC`, None where it sent none; only exactly `1` is a signal."""
        ref = CustomerRef(external_id, token)
        return self._run(verbs.signal(ref, sec_gpc, evidence=evidence, request_id=request_id))
