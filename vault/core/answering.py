"""Pseudonymize, Compare, Derive: what is told of values without the values.

Rules:
- Values are compared, and have pseudonyms, by their normalized form: what tokenizing compares them by. A
  value that its class does not accept any more stands for itself.
- Values of two field classes are not compared. Of a pair that is not, nothing is told of either value.
- A domain's first pseudonym makes its key (`pseudonymkeys`), and only if there is one to give.
- A token may be of any domain of the caller; the domain that is asked for says under which key.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vault.audit.records import ReadAction
from vault.core.directory import FIELD_CLASS
from vault.core.engine import Engine
from vault.core.fieldinput import check_limit, normalized
from vault.core.pseudonymkeys import require_first_key
from vault.core.surrogates import Lookup, domains_of
from vault.core.trail import Trail
from vault.errors import InvalidRequestError, KeyUnavailableError, QuestionUnfitError, Reason
from vault.fields.derived import Question, check_question, derive
from vault.fields.field_class import FieldClass
from vault.hotpath.answering import Answers, OpenValue, Work
from vault.hotpath.batch import Batch
from vault.model.access import Denial, Reveal
from vault.model.answers import Comparisons, DerivedAnswers, Pseudonyms
from vault.model.consent import LawfulBasis
from vault.model.requests import Caller
from vault.store.snapshot import Snapshot

Told = TypeVar("Told")


class _NoKeyError(Exception):
    """The domain has no key yet. Nothing was told."""


class Answering:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def pseudonymize(
        self,
        caller: Caller,
        tokens: Sequence[str],
        purpose: str,
        *,
        domain: str,
        basis: LawfulBasis | None = None,
        generation: int = 0,
    ) -> Pseudonyms:
        """The pseudonyms of values in a domain of the caller, by the newest key or that of a `generation`.

        Raises:
            DomainDeniedError: the caller is not in the domain.
            InvalidRequestError: the domain has no key of this generation.
            KeyUnavailableError: the domain's first key cannot be made while a new epoch is.
            VaultError: as reading.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            access = engine.directory(snapshot).access
            number = access.principal(caller.principal).domain(domain)
        name = {each: name for name, each in access.domain_ids.items()}[number]

        def work(batch: Batch, values: Sequence[OpenValue | Reason]) -> Answers[str]:
            key = engine.pseudonym_keys.find(number, generation)
            if key is None and any(isinstance(each, OpenValue) for each in values):
                raise _NoKeyError
            told: list[str | None] = [None] * len(values)
            for index, value in enumerate(values):
                if isinstance(value, OpenValue) and key is not None:
                    told[index] = key.pseudonym(*self._comparable(batch, value))
            used.append(key.generation if key is not None else 0)
            return Answers(told, _reasons(values))

        used: list[int] = []
        for _ in range(2):
            try:
                answers = self._answer(
                    caller, tokens, [Reveal.PSEUDONYM] * len(tokens),
                    purpose, basis, ReadAction.PSEUDONYMIZE, domain, work,
                )  # fmt: skip
            except _NoKeyError:
                require_first_key(engine, self._trail, number, name)
                continue
            return Pseudonyms(used[-1], [each or "" for each in answers.told], _denials(answers))
        raise KeyUnavailableError("the domain's key of pseudonyms was withdrawn meanwhile")

    def compare(
        self,
        caller: Caller,
        pairs: Sequence[tuple[str, str]],
        purpose: str,
        *,
        domain: str = "",
        basis: LawfulBasis | None = None,
    ) -> Comparisons:
        """Whether the values of pairs of tokens are equal; `domain` is that of surrogates among them.

        Raises:
            VaultError: as reading.
        """
        tokens = [token for pair in pairs for token in pair]

        def work(batch: Batch, values: Sequence[OpenValue | Reason]) -> Answers[bool]:
            told: list[bool | None] = []
            reasons: list[Reason | None] = []
            for left, right in zip(values[::2], values[1::2], strict=True):
                equal, reason = self._compared(batch, left, right)
                told += [equal, equal]
                reasons += [
                    reason if reason is Reason.QUESTION_UNFIT else _reason(each) for each in (left, right)
                ]
            return Answers(told, reasons)

        answers = self._answer(
            caller, tokens, [Reveal.COMPARE] * len(tokens),
            purpose, basis, ReadAction.COMPARE, domain, work,
        )  # fmt: skip
        denials = [
            Denial(at, reason)
            for at, pair in enumerate(zip(answers.reasons[::2], answers.reasons[1::2], strict=True))
            if (reason := pair[0] or pair[1]) is not None
        ]
        return Comparisons([told is True for told in answers.told[::2]], denials)

    def derive(
        self,
        caller: Caller,
        questions: Sequence[tuple[str, Question]],
        purpose: str,
        *,
        domain: str = "",
        basis: LawfulBasis | None = None,
        time_zone: str = "",
    ) -> DerivedAnswers:
        """Answers to questions about values, each a token and a question; see `fields.derived`.

        Args:
            caller: who asks.
            questions: at most as many as tokens in a batch.
            purpose: why.
            domain: of surrogates among the tokens.
            basis: the lawful basis that the caller states, if it does.
            time_zone: in which today is meant, an IANA name; UTC where it is empty.

        Raises:
            InvalidRequestError: a question is not on the list, or there is no such time zone.
            VaultError: as reading.
        """
        for _, question in questions:
            check_question(question)
        today = datetime.fromtimestamp(self._engine.now_ms() / 1000, _zone(time_zone)).date()

        def work(batch: Batch, values: Sequence[OpenValue | Reason]) -> Answers[str | bool]:
            told: list[str | bool | None] = [None] * len(values)
            reasons = _reasons(values)
            for index, value in enumerate(values):
                if isinstance(value, OpenValue):
                    try:
                        told[index] = derive(
                            questions[index][1], self._class_of(batch, value), value.text, today
                        )
                    except QuestionUnfitError as error:
                        reasons[index] = error.reason
            return Answers(told, reasons)

        tokens = [token for token, _ in questions]
        levels = [question.kind for _, question in questions]
        answers = self._answer(caller, tokens, levels, purpose, basis, ReadAction.DERIVE, domain, work)
        return DerivedAnswers(answers.told, _denials(answers))

    def _answer(
        self,
        caller: Caller,
        tokens: Sequence[str],
        levels: Sequence[Reveal],
        purpose: str,
        basis: LawfulBasis | None,
        action: ReadAction,
        domain: str,
        work: Work[Told],
    ) -> Answers[Told]:
        engine = self._engine
        check_limit("batch_tokens", len(tokens), engine.settings.limits.batch_tokens)

        def domains(snapshot: Snapshot) -> Sequence[int]:
            return domains_of(engine.directory(snapshot).access.principal(caller.principal), domain)

        lookup = Lookup(engine.store, engine.surrogates, domains)
        return engine.answers.answer(caller, tokens, levels, purpose, basis, action, lookup, work)

    def _compared(
        self, batch: Batch, left: OpenValue | Reason, right: OpenValue | Reason
    ) -> tuple[bool | None, Reason | None]:
        if isinstance(left, Reason) or isinstance(right, Reason):
            return None, None
        if left.field_class != right.field_class:
            return None, Reason.QUESTION_UNFIT
        return self._comparable(batch, left) == self._comparable(batch, right), None

    def _comparable(self, batch: Batch, value: OpenValue) -> tuple[str, bytes]:
        """Name of the class and normalized value."""
        name = self._name_of(batch, value)
        known = name in self._engine.catalog
        return name, normalized(self._engine.catalog.get(name) if known else None, value.text.encode())

    def _class_of(self, batch: Batch, value: OpenValue) -> FieldClass:
        name = self._name_of(batch, value)
        if name not in self._engine.catalog:
            raise QuestionUnfitError("the configuration does not declare this value's class any more")
        return self._engine.catalog.get(name)

    def _name_of(self, batch: Batch, value: OpenValue) -> str:
        return self._engine.directory(batch.snapshot).names[FIELD_CLASS].get(value.field_class, "")


def _zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequestError("no such time zone is known here", field="time_zone") from None


def _reason(value: OpenValue | Reason) -> Reason | None:
    return value if isinstance(value, Reason) else None


def _reasons(values: Sequence[OpenValue | Reason]) -> list[Reason | None]:
    return [_reason(value) for value in values]


def _denials(answers: Answers[Told]) -> list[Denial]:
    return [Denial(at, reason) for at, reason in enumerate(answers.reasons) if reason is not None]
