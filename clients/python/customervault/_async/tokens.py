"""Values in, tokens out, and back for those who may."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from customervault._async.coalescing import Coalescer
from customervault._async.transport import AsyncTransport
from customervault._coalesce import Kind, single
from customervault._exchanges import tokens as verbs
from customervault.inputs import CustomerRef, Entry, Fields
from customervault.results import FieldOutcome, TokenInfo, Tokenized, Translation
from customervault.values import LawfulBasis, Reveal, TokenForm, Values


class AsyncTokenVerbs(AsyncTransport):
    """Verbs on tokens and values."""

    async def tokenize(
        self,
        external_id: str | CustomerRef,
        fields: Fields,
        *,
        jurisdiction: str = "",
        domain: str | None = None,
        request_id: str | None = None,
        atomic: bool = False,
        form: TokenForm = "by_class",
    ) -> Tokenized:
        """Store one customer's fields and get a token for each."""
        return await self._run(
            verbs.tokenize(
                external_id,
                fields,
                jurisdiction=jurisdiction,
                domain=self._config.domain if domain is None else domain,
                request_id=request_id,
                atomic=atomic,
                form=form,
            )
        )

    async def tokenize_many(
        self,
        entries: Iterable[Entry],
        *,
        domain: str | None = None,
        request_id: str | None = None,
        atomic: bool = False,
        form: TokenForm = "by_class",
    ) -> list[Tokenized]:
        """Store many customers' fields; answers in order, a refused entry in its own `Tokenized`."""
        return await self._run_in_turn(
            verbs.tokenize_batches(
                entries,
                domain=self._config.domain if domain is None else domain,
                request_id=request_id,
                atomic=atomic,
                form=form,
                max_batch=self._config.max_batch,
            )
        )

    async def detokenize(
        self,
        tokens: Sequence[str] | str,
        *,
        purpose: str | None = None,
        reveal: Reveal = "best",
        basis: LawfulBasis | None = None,
        domain: str = "",
    ) -> Values:
        """Open tokens for a purpose; values in the order of the tokens."""
        kind = (self._config.purpose if purpose is None else purpose, reveal, basis, domain)
        token = single(tokens) if self._config.coalesce else None
        if token is not None:
            return await self._coalescer.read(token, kind, self._deadline())
        return await self._open(tokens, kind, self._deadline())

    @cached_property
    def _coalescer(self) -> Coalescer:
        return Coalescer(self._open, most=self._config.max_batch, parallel=self._config.channels)

    async def _open(self, tokens: Sequence[str] | str, kind: Kind, deadline: float) -> Values:
        purpose, reveal, basis, domain = kind
        batches = verbs.detokenize_batches(
            tokens,
            purpose=purpose,
            reveal=reveal,
            basis=basis,
            domain=domain,
            max_batch=self._config.max_batch,
        )
        return verbs.join(await self._run_together(batches, deadline))

    async def update(
        self, token: str, value: str, *, domain: str = "", request_id: str | None = None
    ) -> FieldOutcome:
        """Rectify one value; the token stays. `updated`, or `unchanged` for the same value."""
        return await self._run(verbs.update(token, value, domain=domain, request_id=request_id))

    async def delete(self, token: str, *, domain: str = "", request_id: str | None = None) -> None:
        """Delete one value, effective at once."""
        return await self._run(verbs.delete(token, domain=domain, request_id=request_id))

    async def translate(
        self, tokens: Sequence[str], domain: str, *, source_domain: str = ""
    ) -> list[Translation]:
        """Tokens of another domain for the same values, in order, without opening them."""
        parts = await self._run_together(
            verbs.translate_batches(
                tokens, domain, source_domain=source_domain, max_batch=self._config.max_batch
            )
        )
        return [translation for part in parts for translation in part]

    async def inspect(self, token: str, *, domain: str = "") -> TokenInfo:
        """Describe a token; never the value."""
        return await self._run(verbs.inspect(token, domain=domain))
