"""Who did what and why: the access log, listed and followed."""

from collections.abc import Iterator
from typing import Unpack

from customervault._exchanges import accesses as verbs
from customervault._sync.transport import Transport
from customervault.inputs import AccessFilter
from customervault.results import Access, AccessPage


class AccessVerbs(Transport):
    """Verbs of auditors. Which accesses are listed is said by the keywords of `AccessFilter`."""

    def list_access(self, *, page_size: int = 1000, **wanted: Unpack[AccessFilter]) -> Iterator[Access]:
        """Who did what, newest first, fetched page by page as it is read.

        Args:
            page_size: At most 1,000.
            wanted: See `AccessFilter`.

        Raises:
            ValueError: Both `external_id` and `token` were given, or a time has no zone.
            VaultError: A page could not be fetched.
        """
        return self._pages(lambda page_token: verbs.access_page(page_token, wanted, page_size))

    def recorded_access(self, *, page_size: int = 1000, **wanted: Unpack[AccessFilter]) -> Iterator[Access]:
        """All that was recorded when it is asked for, in the order recorded: the sealed records by leaf.

        Args:
            page_size: At most 1,000.
            wanted: See `AccessFilter`.

        Raises:
            ValueError: Both `external_id` and `token` were given, or a time has no zone.
            VaultError: A page could not be fetched.
        """
        token = ""
        while True:
            page = self._run(verbs.recorded_page(token, wanted, page_size))
            yield from page.accesses
            token = page.next_page_token
            if page.complete:
                return

    def follow_access(
        self,
        *,
        page_token: str = "",
        only_new: bool = True,
        poll_seconds: float = 1.0,
        page_size: int = 1000,
        **wanted: Unpack[AccessFilter],
    ) -> Iterator[AccessPage]:
        """Pages of accesses in the order recorded, as they come, without end; some are empty.

        Nothing is repeated and nothing left out. To go on later, or after an error, hand in the
        `next_page_token` of the last page.

        Args:
            page_token: Where to go on; empty to begin.
            only_new: Begin with what comes from now on, or else with the first that is held.
            poll_seconds: Between looks, when all that was recorded has been seen.
            page_size: At most 1,000.
            wanted: See `AccessFilter`; the same for each `page_token`.

        Raises:
            ValueError: Both `external_id` and `token` were given, or a time has no zone.
            VaultError: A page could not be fetched.
        """
        while True:
            page = self._run(verbs.recorded_page(page_token, wanted, page_size, only_new=only_new))
            yield page
            page_token = page.next_page_token
            if page.complete:
                self._closed.wait(poll_seconds)
