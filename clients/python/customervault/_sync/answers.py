"""What is told of values without the values."""

from collections.abc import Sequence

from customervault._exchanges import answers as verbs
from customervault._sync.transport import Transport
from customervault.answers import Comparison, Derived, Pseudonym
from customervault.inputs import Question
from customervault.values import LawfulBasis


class AnswerVerbs(Transport):
    """Verbs that answer questions about values."""

    def pseudonymize(
        self,
        tokens: Sequence[str],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str | None = None,
        generation: int = 0,
    ) -> list[Pseudonym]:
        """One-way join keys of values, in the order of the tokens.

        Equal values of one field class have equal pseudonyms in one domain, and unlinkable ones in two.

        Args:
            tokens: Of any domain of the caller.
            purpose: Why; the client's own when None.
            basis: As for `detokenize`.
            domain: Whose pseudonyms; the client's own when None.
            generation: Of the domain's key; 0 for the newest.

        Raises:
            VaultError: The call failed. Single failures answer in their own `Pseudonym`.
        """
        batches = verbs.pseudonymize_batches(
            tokens,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=self._config.domain if domain is None else domain,
            generation=generation,
            max_batch=self._config.max_batch,
        )
        return [each for part in self._run_together(batches) for each in part]

    def compare(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str = "",
    ) -> list[Comparison]:
        """Whether the values of pairs of tokens are equal, in the order of the pairs.

        Args:
            pairs: Of tokens whose values have one field class.
            purpose: Why; the client's own when None.
            basis: As for `detokenize`.
            domain: Of the surrogates among the tokens, for a principal of several domains.

        Raises:
            VaultError: The call failed. Single failures answer in their own `Comparison`.
        """
        batches = verbs.compare_batches(
            pairs,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=domain,
            max_batch=self._config.max_batch,
        )
        return [each for part in self._run_together(batches) for each in part]

    def derive(
        self,
        questions: Sequence[Question],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str = "",
        time_zone: str = "",
    ) -> list[Derived]:
        """Answers that follow from values, in the order of the questions.

        Args:
            questions: Each of one token.
            purpose: Why; the client's own when None.
            basis: As for `detokenize`.
            domain: Of the surrogates among the tokens, for a principal of several domains.
            time_zone: In which today is meant, such as `Europe/Berlin`; UTC when empty.

        Raises:
            VaultError: The call failed. Single failures answer in their own `Derived`.
        """
        batches = verbs.derive_batches(
            questions,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=domain,
            time_zone=time_zone,
            max_batch=self._config.max_batch,
        )
        return [each for part in self._run_together(batches) for each in part]
