"""Values in, tokens out, and back for those who may."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from customervault._coalesce import Kind, single
from customervault._exchanges import tokens as verbs
from customervault._sync.coalescing import Coalescer
from customervault._sync.transport import Transport
from customervault.inputs import CustomerRef, Entry, Fields
from customervault.results import FieldOutcome, TokenInfo, Tokenized, Translation
from customervault.values import LawfulBasis, Reveal, TokenForm, Values


class TokenVerbs(Transport):
    """Verbs on tokens and values."""

    def tokenize(
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
        """Store one customer's fields and get a token for each.

        A field held already under the same class and label is updated and keeps its token.

        Args:
            external_id: The caller's own id of the customer, or a `CustomerRef`. A new id creates
                the customer.
            fields: Field class to value, or `Field`s where several share a class. Empty values are
                skipped.
            jurisdiction: ISO 3166-1 alpha-2; counts on creation only.
            domain: Domain of the tokens; the client's own when None.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.
            atomic: Store all fields or none.
            form: `surrogate` for texts of the field class's format where it has any, `token` for tokens,
                `by_class` for what the vault is configured to give.

        Raises:
            VaultError: The call, or the customer as a whole, was refused. Without `atomic` a refused
                field answers in its own `FieldResult`.
        """
        return self._run(
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

    def tokenize_many(
        self,
        entries: Iterable[Entry],
        *,
        domain: str | None = None,
        request_id: str | None = None,
        atomic: bool = False,
        form: TokenForm = "by_class",
    ) -> list[Tokenized]:
        """Store many customers' fields; answers in order, a refused entry in its own `Tokenized`.

        Split into batches that are sent one after the other, each with its own timeout and with a
        request id derived from `request_id`: repeat a failed call with the same entries and id.

        Args:
            entries: One per customer.
            domain: Domain of the tokens; the client's own when None.
            request_id: As in `tokenize`.
            atomic: All or none, in one request that is not split.
            form: As in `tokenize`.

        Raises:
            VaultError: A batch as a whole failed; batches before it are stored.
        """
        return self._run_in_turn(
            verbs.tokenize_batches(
                entries,
                domain=self._config.domain if domain is None else domain,
                request_id=request_id,
                atomic=atomic,
                form=form,
                max_batch=self._config.max_batch,
            )
        )

    def detokenize(
        self,
        tokens: Sequence[str] | str,
        *,
        purpose: str | None = None,
        reveal: Reveal = "best",
        basis: LawfulBasis | None = None,
        domain: str = "",
    ) -> Values:
        """Open tokens for a purpose; values in the order of the tokens.

        Long lists are split and sent over all channels at the same time, under one timeout. Calls for
        one token that are made at the same time travel together, unless the client says otherwise.

        Args:
            tokens: One token or many.
            purpose: Why they are read; the client's own when None.
            reveal: `best` gives what policy grants, `plain` refuses where only a mask is granted,
                `masked` gives the masked form.
            basis: The lawful basis that the read stands on; by default the purpose's first one.
            domain: Of the surrogates among the tokens, for a principal of several domains.

        Raises:
            VaultError: The call failed. Single failures stand in the container, in their place.
        """
        kind = (self._config.purpose if purpose is None else purpose, reveal, basis, domain)
        token = single(tokens) if self._config.coalesce else None
        if token is not None:
            return self._coalescer.read(token, kind, self._deadline())
        return self._open(tokens, kind, self._deadline())

    @cached_property
    def _coalescer(self) -> Coalescer:
        return Coalescer(self._open, most=self._config.max_batch, parallel=self._config.channels)

    def _open(self, tokens: Sequence[str] | str, kind: Kind, deadline: float) -> Values:
        purpose, reveal, basis, domain = kind
        batches = verbs.detokenize_batches(
            tokens,
            purpose=purpose,
            reveal=reveal,
            basis=basis,
            domain=domain,
            max_batch=self._config.max_batch,
        )
        return verbs.join(self._run_together(batches, deadline))

    def update(
        self, token: str, value: str, *, domain: str = "", request_id: str | None = None
    ) -> FieldOutcome:
        """Rectify one value; the token stays. `updated`, or `unchanged` for the same value.

        Raises:
            VaultError: The value was not changed, or it is not known whether it was.
        """
        return self._run(verbs.update(token, value, domain=domain, request_id=request_id))

    def delete(self, token: str, *, domain: str = "", request_id: str | None = None) -> None:
        """Delete one value, effective at once.

        Raises:
            VaultError: The value was not deleted, or it is not known whether it was.
        """
        return self._run(verbs.delete(token, domain=domain, request_id=request_id))

    def translate(self, tokens: Sequence[str], domain: str, *, source_domain: str = "") -> list[Translation]:
        """Tokens of another domain for the same values, in order, without opening them.

        Raises:
            VaultError: The call failed. Single failures answer in their own `Translation`.
        """
        parts = self._run_together(
            verbs.translate_batches(
                tokens, domain, source_domain=source_domain, max_batch=self._config.max_batch
            )
        )
        return [translation for part in parts for translation in part]

    def inspect(self, token: str, *, domain: str = "") -> TokenInfo:
        """Describe a token; never the value.

        Raises:
            VaultError: The token is unknown, or not the caller's to see.
        """
        return self._run(verbs.inspect(token, domain=domain))
