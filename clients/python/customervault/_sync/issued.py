"""Issued tokens: they expire, read once, are bound to one principal, or carry tags."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from customervault._exchanges import issued as verbs
from customervault._sync.transport import Transport
from customervault.inputs import CustomerRef
from customervault.issued_results import IssuedToken


class IssuedVerbs(Transport):
    """Verbs on issued tokens."""

    def issue_token(
        self,
        token: str,
        *,
        expires: datetime | None = None,
        single_use: bool = False,
        principal: str = "",
        tags: Mapping[str, str] | None = None,
        domain: str = "",
        source_domain: str = "",
        request_id: str | None = None,
    ) -> IssuedToken:
        """Issue a further token for the value of another. It reads the value, and does nothing else.

        A token for a single use is used up when the vault reveals its value, also where the answer is lost
        on its way.

        Args:
            token: A token or surrogate of the value; no issued one.
            expires: From when on it reads nothing.
            single_use: It reads its value once.
            principal: Name of the only principal that may read with it.
            tags: At most eight, never personal data; they may be searched for.
            domain: Domain of the new token; that of `token` when empty.
            source_domain: Of a surrogate, for a principal of several domains.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.

        Raises:
            ValueError: `expires` has no time zone.
            VaultError: Nothing was issued, or it is not known whether it was.
        """
        return self._run(
            verbs.issue(
                token,
                expires=expires,
                single_use=single_use,
                principal=principal,
                tags=tags,
                domain=domain,
                source_domain=source_domain,
                request_id=request_id,
            )
        )

    def revoke_token(self, token: str, *, request_id: str | None = None) -> None:
        """End an issued token, effective at once; its value and the value's other tokens stay.

        Raises:
            VaultError: It was not ended, or it is not known whether it was.
        """
        return self._run(verbs.revoke(token, request_id=request_id))

    def get_token(self, token: str) -> IssuedToken:
        """Describe an issued token; never its value.

        Raises:
            VaultError: It is unknown, no issued one, or not the caller's to see.
        """
        return self._run(verbs.get(token))

    def list_tokens(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 1000,
    ) -> Iterator[IssuedToken]:
        """Issued tokens that have all of `tags`, fetched page by page as they are read.

        Of one customer, or of all where neither id nor token is given; that needs a tag.

        Raises:
            VaultError: A page could not be had.
        """
        ref = None if external_id is None and token is None else CustomerRef(external_id, token)
        return self._pages(lambda page_token: verbs.page(page_token, ref=ref, tags=tags, page_size=page_size))
