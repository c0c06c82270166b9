"""How far reads reached: blast radius, and a customer's access history."""

from collections.abc import Iterator
from datetime import datetime

from customervault._exchanges import reach as verbs
from customervault._sync.transport import Transport
from customervault.errors import InvalidRequestError
from customervault.inputs import CustomerRef
from customervault.reach_results import AccessHistoryPage, BlastRadius, BlastRadiusPage


class ReachVerbs(Transport):
    """Verbs of whoever has to tell who was affected, and of whoever answers a customer."""

    def blast_radius_pages(
        self,
        *,
        principal: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        purpose: str = "",
        domain: str | None = None,
        page_size: int = 5000,
    ) -> Iterator[BlastRadiusPage]:
        """Exactly which customers' values were read, page by page as they are read.

        Args:
            principal: Whose reads; all if empty. Give a principal, a time, or both.
            start: Inclusive; with a time zone.
            end: Exclusive; with a time zone. None for now.
            purpose: Only reads for this purpose.
            domain: Of the tokens; None for the client's, or else your first one.
            page_size: Customers; at most 5,000.

        Raises:
            ValueError: A time has no zone.
            VaultError: A page could not be fetched.
        """
        domain = self._config.domain if domain is None else domain
        return self._pages(
            lambda page_token: verbs.blast_radius_page(
                page_token,
                principal=principal,
                start=start,
                end=end,
                purpose=purpose,
                domain=domain,
                page_size=page_size,
            )
        )

    def blast_radius(
        self,
        *,
        principal: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        purpose: str = "",
        domain: str | None = None,
    ) -> BlastRadius:
        """All pages of `blast_radius_pages` together; begun anew if the log changed between them.

        Raises:
            ValueError: A time has no zone.
            VaultError: A page could not be fetched.
        """
        attempt = 0
        while True:
            pages = self.blast_radius_pages(
                principal=principal, start=start, end=end, purpose=purpose, domain=domain
            )
            try:
                return BlastRadius.of(pages)
            except InvalidRequestError as error:
                attempt += 1
                if attempt == verbs.TRIES or not verbs.has_changed(error):
                    raise

    def access_history(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        locale: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[AccessHistoryPage]:
        """What was done with one customer's data, in plain words, newest first, page by page.

        Args:
            external_id: The customer; or `token`.
            token: Any token of the customer.
            locale: Language of the texts: `en`, `de`, `fr` or `es`, or a tag that begins so.
            start: Inclusive; with a time zone.
            end: Exclusive; with a time zone.
            page_size: Events; at most 1,000.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given, or a time has no zone.
            VaultError: A page could not be fetched; the customer is unknown, or was erased.
        """
        customer = CustomerRef(external_id, token)
        return self._pages(
            lambda page_token: verbs.access_history_page(
                page_token, customer=customer, locale=locale, start=start, end=end, page_size=page_size
            )
        )
