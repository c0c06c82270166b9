"""Customers: the data subjects, and the end of their data."""

from collections.abc import AsyncIterator, Iterable

from customervault._async.transport import AsyncTransport
from customervault._exchanges import customers as verbs
from customervault.inputs import CustomerRef
from customervault.results import (
    Certificate,
    CreatedCustomer,
    Customer,
    Erasure,
    ErasureStage,
    Export,
    Shredded,
)
from customervault.values import LawfulBasis


class AsyncCustomerVerbs(AsyncTransport):
    """Verbs on customers and erasures."""

    async def create_customer(
        self,
        external_id: str,
        *,
        jurisdiction: str = "",
        domain: str | None = None,
        request_id: str | None = None,
    ) -> CreatedCustomer:
        """Create a customer without values, or get the one that the id names already."""
        return await self._run(
            verbs.create(
                external_id,
                jurisdiction=jurisdiction,
                domain=self._config.domain if domain is None else domain,
                request_id=request_id,
            )
        )

    async def get_customer(
        self, *, external_id: str | None = None, token: str | None = None, domain: str | None = None
    ) -> Customer:
        """What is held of a customer: classes, labels, tokens, state. Never values."""
        return await self._run(
            verbs.get(
                CustomerRef(external_id, token), domain=self._config.domain if domain is None else domain
            )
        )

    def list_customers(
        self, *, domain: str | None = None, show_shredded: bool = False, page_size: int = 1000
    ) -> AsyncIterator[Customer]:
        """All customers, fetched page by page as they are read, without their held values."""
        return self._pages(
            lambda page_token: verbs.page(
                page_token,
                domain=self._config.domain if domain is None else domain,
                show_shredded=show_shredded,
                page_size=page_size,
            )
        )

    async def export(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        purpose: str | None = None,
        domain: str | None = None,
        basis: LawfulBasis | None = None,
        approval_id: str = "",
    ) -> Export:
        """All values of one customer, for the right of access."""
        return await self._run(
            verbs.export(
                CustomerRef(external_id, token),
                purpose=self._config.purpose if purpose is None else purpose,
                domain=self._config.domain if domain is None else domain,
                basis=basis,
                approval_id=approval_id,
            )
        )

    async def shred(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        missing_ok: bool = False,
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Shredded:
        """Destroy the customer's key, and with it every value."""
        return await self._run(
            verbs.shred(
                CustomerRef(external_id, token),
                missing_ok=missing_ok,
                validate_only=validate_only,
                request_id=request_id,
            )
        )

    async def shred_many(
        self,
        customers: Iterable[str | CustomerRef],
        *,
        missing_ok: bool = False,
        validate_only: bool = False,
        request_id: str | None = None,
        approval_id: str = "",
    ) -> list[Shredded]:
        """Shred many customers; answers in order, failures in their own `Shredded`."""
        return await self._run_in_turn(
            verbs.shred_batches(
                customers,
                missing_ok=missing_ok,
                validate_only=validate_only,
                request_id=request_id,
                max_batch=self._config.max_batch,
                approval_id=approval_id,
            )
        )

    async def get_erasure(self, shred_id: str) -> Erasure:
        """The record of one shred."""
        return await self._run(verbs.get_erasure(shred_id))

    async def certificate(self, shred_id: str) -> Certificate:
        """The certificate of one shred, at the stage that it has reached."""
        return await self._run(verbs.certificate(shred_id))

    def list_erasures(
        self, *, page_size: int = 1000, stage: ErasureStage | None = None
    ) -> AsyncIterator[Erasure]:
        """All shreds, or those at one stage, oldest first, fetched page by page as they are read."""
        return self._pages(
            lambda page_token: verbs.erasure_page(page_token, page_size=page_size, stage=stage)
        )
