"""Approvals, suspensions, budgets, and who was read."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from customervault._exchanges import controls as verbs
from customervault._sync.transport import Transport
from customervault.control_results import (
    Approval,
    ApprovalAct,
    ApprovalState,
    BudgetUse,
    CustomersReadPage,
)
from customervault.inputs import CustomerRef
from customervault.results import Principal


class ControlVerbs(Transport):
    """Verbs of whoever asks for approval, approves, or oversees others."""

    def request_approval(
        self,
        act: ApprovalAct,
        *,
        reason: str,
        customers: Iterable[str | CustomerRef] = (),
        purpose: str = "",
        minutes: int = 0,
        request_id: str | None = None,
    ) -> Approval:
        """Ask another principal to approve an act; its `approval_id` then goes with the call itself.

        Args:
            act: "shred" or "export" (with `customers`), "rotate_epoch", or "break_glass" (with `purpose` and
                `minutes`).
            reason: Why. It is kept as it is: name no customer in it.
            customers: External ids or references.
            purpose: The break-glass purpose.
            minutes: How long reads for it shall be possible.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.

        Raises:
            ValueError: `act` is none of the four.
            VaultError: Nothing was asked for, or it is not known whether it was.
        """
        return self._run(
            verbs.request_approval(
                act,
                reason=reason,
                customers=customers,
                purpose=purpose,
                minutes=minutes,
                request_id=request_id,
            )
        )

    def get_approval(self, approval_id: str) -> Approval:
        """One request, with its customers.

        Raises:
            ApprovalUnknownError: There is none, or it is none of your business.
            VaultError: The call failed.
        """
        return self._run(verbs.get_approval(approval_id))

    def list_approvals(
        self, *, state: ApprovalState | None = None, page_size: int = 1000
    ) -> Iterator[Approval]:
        """Requests, newest first: all for whoever approves or audits, else your own.

        Raises:
            VaultError: A page could not be fetched.
        """
        return self._pages(
            lambda page_token: verbs.approval_page(page_token, state=state, page_size=page_size)
        )

    def approve(self, approval_id: str, *, note: str = "", request_id: str | None = None) -> Approval:
        """Approve another principal's request.

        Raises:
            ActionDeniedError: You may not approve, or asked for it yourself.
            VaultError: It was not approved, or it is not known whether it was.
        """
        return self._run(verbs.approve(approval_id, note=note, request_id=request_id))

    def reject(self, approval_id: str, *, note: str = "", request_id: str | None = None) -> Approval:
        """Refuse another principal's request.

        Raises:
            ActionDeniedError: You may not approve, or asked for it yourself.
            VaultError: It was not rejected, or it is not known whether it was.
        """
        return self._run(verbs.reject(approval_id, note=note, request_id=request_id))

    def cancel_approval(self, approval_id: str, *, note: str = "", request_id: str | None = None) -> Approval:
        """Withdraw a request, or end an approval or a break-glass grant before its time.

        Raises:
            VaultError: Nothing was ended, or it is not known whether it was.
        """
        return self._run(verbs.cancel_approval(approval_id, note=note, request_id=request_id))

    def suspend_principal(self, name: str, *, reason: str = "", request_id: str | None = None) -> Principal:
        """Suspend a principal, effective on its next call, until it is resumed.

        Raises:
            VaultError: It was not suspended, or it is not known whether it was.
        """
        return self._run(verbs.suspend_principal(name, reason=reason, request_id=request_id))

    def resume_principal(self, name: str, *, reason: str = "", request_id: str | None = None) -> Principal:
        """End a suspension.

        Raises:
            VaultError: It was not ended, or it is not known whether it was.
        """
        return self._run(verbs.resume_principal(name, reason=reason, request_id=request_id))

    def budget_use(self, principal: str = "") -> list[BudgetUse]:
        """How much of its budgets a principal, or you, have used in the windows that run now.

        Raises:
            VaultError: The call failed.
        """
        return self._run(verbs.budget_use(principal))

    def list_customers_read(
        self,
        principal: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        domain: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[CustomersReadPage]:
        """Exactly the customers of whom a principal was shown a value, page by page as they are read.

        Args:
            principal: Whose reads.
            start: Inclusive; with a time zone.
            end: Exclusive; with a time zone. None for now.
            domain: Of the tokens; None for the client's, or else your first one.
            page_size: At most 1,000.

        Raises:
            ValueError: A time has no zone.
            VaultError: A page could not be fetched.
        """
        domain = self._config.domain if domain is None else domain
        return self._pages(
            lambda page_token: verbs.customers_read_page(
                page_token, principal=principal, start=start, end=end, domain=domain, page_size=page_size
            )
        )
