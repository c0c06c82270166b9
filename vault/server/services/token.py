"""`TokenService`: values in, tokens out, and back."""

from collections import Counter
from collections.abc import Sequence

from customervault.v1 import token_service_pb2 as pb

from vault.core.vault import Vault
from vault.errors import InvalidRequestError
from vault.model.requests import Caller, Entry, EntryResult, Outcome, StoredEntry
from vault.model.secret import Secret
from vault.server import columns, convert, convert_issued, metrics, wire
from vault.server import convert_answers as answers


class TokenService:
    """Issues tokens for values and opens them for a stated purpose."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def tokenize(self, caller: Caller, request: pb.TokenizeRequest) -> pb.TokenizeResponse:
        """Stores fields of one customer; a refused entry fails the call."""
        if not request.HasField("entry"):
            raise InvalidRequestError("entry: is missing", field="entry")
        entries = [convert.to_entry(request.entry)]
        result = self._store(caller, entries, request, batch=False)[0]
        if result.error:
            raise result.error
        return pb.TokenizeResponse(result=convert.entry_result(result))

    def batch_tokenize(self, caller: Caller, request: columns.BatchCall) -> bytes:
        """Stores fields of many customers."""
        message, entries = request
        results = self._store(
            caller, entries or self._vault.each(convert.to_entry, message.entries), message, batch=True
        )
        return b"".join(self._vault.each(columns.answer, results))

    def detokenize(self, caller: Caller, request: wire.DetokenizeCall) -> bytes:
        """Opens tokens for a purpose. The hot path: no work per value here."""
        tokens, asked = request
        reveal, basis = convert.to_reveal(asked.reveal), convert.to_basis(asked.lawful_basis)
        revealed = self._vault.detokenize(caller, tokens, asked.purpose, reveal, basis, asked.domain)
        denials = revealed.denials
        for denial in denials:
            metrics.DENIED.labels(denial.reason.value).inc()
        metrics.GATHERING.reveal(len(tokens) - len(denials))
        return wire.answer(
            revealed.values,
            revealed.reveals,
            (lambda response: convert.add_denials(response.errors, denials)) if denials else None,
        )

    def pseudonymize(self, caller: Caller, request: pb.PseudonymizeRequest) -> pb.PseudonymizeResponse:
        """Join keys of a domain."""
        return answers.pseudonyms(
            self._vault.pseudonymize(
                caller,
                list(request.tokens),
                request.purpose,
                domain=request.domain,
                basis=convert.to_basis(request.lawful_basis),
                generation=request.generation,
            )
        )

    def compare(self, caller: Caller, request: pb.CompareRequest) -> pb.CompareResponse:
        """Whether values are equal."""
        pairs = [(pair.left, pair.right) for pair in request.pairs]
        basis = convert.to_basis(request.lawful_basis)
        return answers.comparisons(
            self._vault.compare(caller, pairs, request.purpose, domain=request.domain, basis=basis)
        )

    def derive(self, caller: Caller, request: pb.DeriveRequest) -> pb.DeriveResponse:
        """Answers that follow from values."""
        return answers.derived(
            self._vault.derive(
                caller,
                [(each.token, answers.to_question(each)) for each in request.questions],
                request.purpose,
                domain=request.domain,
                basis=convert.to_basis(request.lawful_basis),
                time_zone=request.time_zone,
            )
        )

    def update_value(self, caller: Caller, request: pb.UpdateValueRequest) -> pb.UpdateValueResponse:
        """Rectifies one value."""
        outcome = self._vault.update_value(
            caller, request.token, Secret(request.value), request.request_id, request.domain
        )
        return pb.UpdateValueResponse(outcome=pb.FieldOutcome.ValueType(outcome))

    def delete_value(self, caller: Caller, request: pb.DeleteValueRequest) -> pb.DeleteValueResponse:
        """Deletes one value."""
        self._vault.delete_value(caller, request.token, request.request_id, request.domain)
        return pb.DeleteValueResponse()

    def translate_tokens(
        self, caller: Caller, request: pb.TranslateTokensRequest
    ) -> pb.TranslateTokensResponse:
        """Gives the same values' tokens in another domain."""
        tokens = list(request.tokens)
        return convert.translated(
            self._vault.translate(caller, tokens, request.target_domain, request.source_domain)
        )

    def inspect_token(self, caller: Caller, request: pb.InspectTokenRequest) -> pb.InspectTokenResponse:
        """Describes a token."""
        return convert.token_info(self._vault.inspect(caller, request.token, request.domain))

    def issue_token(self, caller: Caller, request: pb.IssueTokenRequest) -> pb.IssueTokenResponse:
        """Issues a further token for a value."""
        issued = self._vault.issue_token(caller, convert_issued.to_order(request), request.request_id)
        return pb.IssueTokenResponse(issued_token=convert_issued.issued_token(issued))

    def revoke_token(self, caller: Caller, request: pb.RevokeTokenRequest) -> pb.RevokeTokenResponse:
        """Ends an issued token."""
        self._vault.revoke_token(caller, request.token, request.request_id)
        return pb.RevokeTokenResponse()

    def get_token(self, caller: Caller, request: pb.GetTokenRequest) -> pb.GetTokenResponse:
        """Describes an issued token."""
        issued = self._vault.get_token(caller, request.token)
        return pb.GetTokenResponse(issued_token=convert_issued.issued_token(issued))

    def list_tokens(self, caller: Caller, request: pb.ListTokensRequest) -> pb.ListTokensResponse:
        """Lists issued tokens."""
        page = self._vault.list_tokens(
            caller,
            convert.to_ref(request.customer) if request.HasField("customer") else None,
            dict(request.tags),
            convert.to_page_size(request.page_size),
            request.page_token,
        )
        return pb.ListTokensResponse(
            issued_tokens=[convert_issued.issued_token(each) for each in page.items],
            next_page_token=page.next_page_token,
        )

    def _store(
        self,
        caller: Caller,
        entries: Sequence[Entry],
        request: pb.TokenizeRequest | pb.BatchTokenizeRequest,
        *,
        batch: bool,
    ) -> list[EntryResult | StoredEntry]:
        results = self._vault.tokenize(
            caller,
            entries,
            domain=request.domain,
            request_id=request.request_id,
            atomic=convert.to_atomic(request.mode),
            batch=batch,
            form=convert.to_form(request.form),
        )
        for outcomes, entries_alike in Counter([_outcomes(entry) for entry in results]).items():
            for outcome, count in Counter(outcomes).items():
                metrics.STORED.labels(Outcome(outcome).name).inc(count * entries_alike)
        return results


def _outcomes(result: EntryResult | StoredEntry) -> tuple[int, ...]:
    if isinstance(result, StoredEntry):
        return result.outcomes
    return tuple(int(field.outcome) for field in result.results)
