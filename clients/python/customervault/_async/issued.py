"""Issued tokens: they expire, read once, are bound to one principal, or carry tags."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from customervault._async.transport import AsyncTransport
from customervault._exchanges import issued as verbs
from customervault.inputs import CustomerRef
from customervault.issued_results import IssuedToken


class AsyncIssuedVerbs(AsyncTransport):
    """Verbs on issued tokens."""

    async def issue_token(
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
        """Issue a further token for the value of another. It reads the value, and does nothing else."""
        return await self._run(
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

    async def revoke_token(self, token: str, *, request_id: str | None = None) -> None:
        """End an issued token, effective at once; its value and the value's other tokens stay."""
        return await self._run(verbs.revoke(token, request_id=request_id))

    async def get_token(self, token: str) -> IssuedToken:
        """Describe an issued token; never its value."""
        return await self._run(verbs.get(token))

    def list_tokens(
        self,
        *,
        external_id: str | None = None,
        token: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[IssuedToken]:
        """Issued tokens that have all of `tags`, fetched page by page as they are read."""
        ref = None if external_id is None and token is None else CustomerRef(external_id, token)
        return self._pages(lambda page_token: verbs.page(page_token, ref=ref, tags=tags, page_size=page_size))
