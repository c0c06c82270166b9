"""Approvals, suspensions, budgets, and who was read."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from customervault._async.transport import AsyncTransport
from customervault._exchanges import controls as verbs
from customervault.control_results import (
    Approval,
    ApprovalAct,
    ApprovalState,
    BudgetUse,
    CustomersReadPage,
)
from customervault.inputs import CustomerRef
from customervault.results import Principal


class AsyncControlVerbs(AsyncTransport):
    """Verbs of whoever asks for approval, approves, or oversees others."""

    async def request_approval(
        self,
        act: ApprovalAct,
        *,
        reason: str,
        customers: Iterable[str | CustomerRef] = (),
        purpose: str = "",
        minutes: int = 0,
        request_id: str | None = None,
    ) -> Approval:
        """Ask another principal to approve an act; its `approval_id` then goes with the call itself."""
        return await self._run(
            verbs.request_approval(
                act,
                reason=reason,
                customers=customers,
                purpose=purpose,
                minutes=minutes,
                request_id=request_id,
            )
        )

    async def get_approval(self, approval_id: str) -> Approval:
        """One request, with its customers."""
        return await self._run(verbs.get_approval(approval_id))

    def list_approvals(
        self, *, state: ApprovalState | None = None, page_size: int = 1000
    ) -> AsyncIterator[Approval]:
        """Requests, newest first: all for whoever approves or audits, else your own."""
        return self._pages(
            lambda page_token: verbs.approval_page(page_token, state=state, page_size=page_size)
        )

    async def approve(self, approval_id: str, *, note: str = "", request_id: str | None = None) -> Approval:
        """Approve another principal's request."""
        return await self._run(verbs.approve(approval_id, note=note, request_id=request_id))

    async def reject(self, approval_id: str, *, note: str = "", request_id: str | None = None) -> Approval:
        """Refuse another principal's request."""
        return await self._run(verbs.reject(approval_id, note=note, request_id=request_id))

    async def cancel_approval(
        self, approval_id: str, *, note: str = "", request_id: str | None = None
    ) -> Approval:
        """Withdraw a request, or end an approval or a break-glass grant before its time."""
        return await self._run(verbs.cancel_approval(approval_id, note=note, request_id=request_id))

    async def suspend_principal(
        self, name: str, *, reason: str = "", request_id: str | None = None
    ) -> Principal:
        """Suspend a principal, effective on its next call, until it is resumed."""
        return await self._run(verbs.suspend_principal(name, reason=reason, request_id=request_id))

    async def resume_principal(
        self, name: str, *, reason: str = "", request_id: str | None = None
    ) -> Principal:
        """End a suspension."""
        return await self._run(verbs.resume_principal(name, reason=reason, request_id=request_id))

    async def budget_use(self, principal: str = "") -> list[BudgetUse]:
        """How much of its budgets a principal, or you, have used in the windows that run now."""
        return await self._run(verbs.budget_use(principal))

    def list_customers_read(
        self,
        principal: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        domain: str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[CustomersReadPage]:
        """Exactly the customers of whom a principal was shown a value, page by page as they are read."""
        domain = self._config.domain if domain is None else domain
        return self._pages(
            lambda page_token: verbs.customers_read_page(
                page_token, principal=principal, start=start, end=end, domain=domain, page_size=page_size
            )
        )
