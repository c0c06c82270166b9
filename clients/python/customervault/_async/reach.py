"""How far reads reached: blast radius, and a customer's access history."""

from collections.abc import AsyncIterator
from datetime import datetime

from customervault._async.transport import AsyncTransport
from customervault._exchanges import reach as verbs
from customervault.errors import InvalidRequestError
from customervault.inputs import CustomerRef
from customervault.reach_results import AccessHistoryPage, BlastRadius, BlastRadiusPage


class AsyncReachVerbs(AsyncTransport):
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
    ) -> AsyncIterator[BlastRadiusPage]:
        """Exactly which customers' values were read, page by page as they are read."""
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

    async def blast_radius(
        self,
        *,
        principal: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        purpose: str = "",
        domain: str | None = None,
    ) -> BlastRadius:
        """All pages of `blast_radius_pages` together; begun anew if the log changed between them."""
        attempt = 0
        while True:
            pages = self.blast_radius_pages(
                principal=principal, start=start, end=end, purpose=purpose, domain=domain
            )
            try:
                return BlastRadius.of([page async for page in pages])
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
    ) -> AsyncIterator[AccessHistoryPage]:
        """What was done with one customer's data, in plain words, newest first, page by page."""
        customer = CustomerRef(external_id, token)
        return self._pages(
            lambda page_token: verbs.access_history_page(
                page_token, customer=customer, locale=locale, start=start, end=end, page_size=page_size
            )
        )
