"""Search: customers by value."""

from collections.abc import AsyncIterator, Mapping

from customervault._async.transport import AsyncTransport
from customervault._exchanges import search as verbs
from customervault.search_results import DuplicateGroup, FoundCustomer, SearchEntry
from customervault.values import LawfulBasis


class AsyncSearchVerbs(AsyncTransport):
    """Verbs of whoever looks customers up, or cleans up."""

    def find(
        self,
        values: Mapping[str, str],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        region: str = "",
        domain: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[FoundCustomer]:
        """Customers that hold all of these values, fetched page by page as they are read."""
        return self._pages(
            lambda page_token: verbs.find_page(
                page_token,
                values=values,
                purpose=self._config.purpose if purpose is None else purpose,
                basis=basis,
                region=region,
                domain=self._config.domain if domain is None else domain,
                page_size=page_size,
            )
        )

    def list_duplicates(
        self,
        field_class: str,
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[DuplicateGroup]:
        """Customers that share a value of a class, or the values of a compound, group by group."""
        return self._pages(
            lambda page_token: verbs.duplicates_page(
                page_token,
                field_class=field_class,
                purpose=self._config.purpose if purpose is None else purpose,
                basis=basis,
                domain=self._config.domain if domain is None else domain,
                page_size=page_size,
            )
        )

    async def search_status(self) -> list[SearchEntry]:
        """What can be searched, and how far the index of it is."""
        return await self._run(verbs.status())
