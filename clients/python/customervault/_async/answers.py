"""What is told of values without the values."""

from collections.abc import Sequence

from customervault._async.transport import AsyncTransport
from customervault._exchanges import answers as verbs
from customervault.answers import Comparison, Derived, Pseudonym
from customervault.inputs import Question
from customervault.values import LawfulBasis


class AsyncAnswerVerbs(AsyncTransport):
    """Verbs that answer questions about values."""

    async def pseudonymize(
        self,
        tokens: Sequence[str],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str | None = None,
        generation: int = 0,
    ) -> list[Pseudonym]:
        """One-way join keys of values, in the order of the tokens."""
        batches = verbs.pseudonymize_batches(
            tokens,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=self._config.domain if domain is None else domain,
            generation=generation,
            max_batch=self._config.max_batch,
        )
        return [each for part in await self._run_together(batches) for each in part]

    async def compare(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str = "",
    ) -> list[Comparison]:
        """Whether the values of pairs of tokens are equal, in the order of the pairs."""
        batches = verbs.compare_batches(
            pairs,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=domain,
            max_batch=self._config.max_batch,
        )
        return [each for part in await self._run_together(batches) for each in part]

    async def derive(
        self,
        questions: Sequence[Question],
        *,
        purpose: str | None = None,
        basis: LawfulBasis | None = None,
        domain: str = "",
        time_zone: str = "",
    ) -> list[Derived]:
        """Answers that follow from values, in the order of the questions."""
        batches = verbs.derive_batches(
            questions,
            purpose=self._config.purpose if purpose is None else purpose,
            basis=basis,
            domain=domain,
            time_zone=time_zone,
            max_batch=self._config.max_batch,
        )
        return [each for part in await self._run_together(batches) for each in part]
