"""Restrictions, legal holds and expiries of customers."""

from collections.abc import Sequence
from datetime import datetime

from customervault._exchanges import terms as verbs
from customervault._sync.transport import Transport
from customervault.inputs import CustomerRef


class TermsVerbs(Transport):
    """Verbs that narrow what is done with a customer, or end that."""

    def restrict(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        purposes: Sequence[str] = (),
        field_classes: Sequence[str] = (),
        until: datetime | None = None,
        request_id: str | None = None,
    ) -> int:
        """Restrict processing (GDPR art. 18); returns the id by which it is lifted.

        Args:
            external_id: Names the customer, or `token` does.
            token: Any token of the customer.
            purposes: None for every purpose.
            field_classes: None for every field class.
            until: When it ends by itself; None for never.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        return self._run(
            verbs.restrict(
                CustomerRef(external_id, token),
                purposes=purposes,
                field_classes=field_classes,
                until=until,
                request_id=request_id,
            )
        )

    def lift(
        self,
        restriction_id: int,
        *,
        external_id: str | None = None,
        token: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """End a restriction.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        self._run(
            verbs.lift(CustomerRef(external_id, token), restriction_id=restriction_id, request_id=request_id)
        )

    def hold(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        field_classes: Sequence[str] = (),
        until: datetime | None = None,
        reference: str = "",
        request_id: str | None = None,
    ) -> int:
        """Keep values from being deleted, rectified or shredded; returns the id of the hold.

        Args:
            external_id: Names the customer, or `token` does.
            token: Any token of the customer.
            field_classes: None for every field class.
            until: When it ends by itself; None for never.
            reference: For example a case number. No personal data: it is kept for good.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        return self._run(
            verbs.hold(
                CustomerRef(external_id, token),
                field_classes=field_classes,
                until=until,
                reference=reference,
                request_id=request_id,
            )
        )

    def release(
        self,
        hold_id: int,
        *,
        external_id: str | None = None,
        token: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """End a legal hold, and do the shred that waited for it.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        self._run(verbs.release(CustomerRef(external_id, token), hold_id=hold_id, request_id=request_id))

    def set_expiry(
        self,
        at: datetime,
        *,
        external_id: str | None = None,
        token: str | None = None,
        purposes: Sequence[str] = (),
        field_classes: Sequence[str] = (),
        request_id: str | None = None,
    ) -> int:
        """Set a time from which nothing is revealed; returns the id by which it is cleared.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        return self._run(
            verbs.set_expiry(
                CustomerRef(external_id, token),
                at=at,
                purposes=purposes,
                field_classes=field_classes,
                request_id=request_id,
            )
        )

    def clear_expiry(
        self,
        expiry_id: int,
        *,
        external_id: str | None = None,
        token: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """End an expiry.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: It was not done, or it is not known whether it was.
        """
        self._run(
            verbs.clear_expiry(CustomerRef(external_id, token), expiry_id=expiry_id, request_id=request_id)
        )
