"""Search: customers by value."""

from collections.abc import Iterator, Mapping

from customervault._exchanges import search as verbs
from customervault._sync.transport import Transport
from customervault.search_results import DuplicateGroup, FoundCustomer, SearchEntry
from customervault.values import LawfulBasis


class SearchVerbs(Transport):
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
    ) -> Iterator[FoundCustomer]:
        """Customers that hold all of these values, fetched page by page as they are read.

        Args:
            values: One value by field class, in any spelling; several for a compound that the vault declares.
            purpose: Why they are looked for; the client's own when None.
            basis: The lawful basis that the search stands on; by default the purpose's first one.
            region: ISO 3166-1 alpha-2 code of where phone numbers without a country code are dialled.
            domain: Of the tokens; the client's own when None.
            page_size: Customers per request, at most 1,000.

        Raises:
            VaultError: The search is refused, or its index is not complete.
        """
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
    ) -> Iterator[DuplicateGroup]:
        """Customers that share a value of a class, or the values of a compound, group by group.

        Raises:
            VaultError: The listing is refused, its index is not complete, or keys were rotated meanwhile.
        """
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

    def search_status(self) -> list[SearchEntry]:
        """What can be searched, and how far the index of it is.

        Raises:
            VaultError: You may not know.
        """
        return self._run(verbs.status())
