"""RecordConsent, WithdrawConsent, RecordObjection, IngestSignal: what customers say, written down.

Rules:
- A withdrawal or an objection needs the permission to record consents and nothing else: no approval, no
  evidence, and not even that the policy still declares the purpose.
- While the customer's erasure waits for a hold, no consent is given; it can be ended as ever.
- Saying again what holds already writes nothing: a withdrawal where consent is withdrawn, refused, expired
  or objected to; an objection where there is one. A consent given while one holds is a renewal.
- What ends a consent has an entry in the vault's ledger, in the same commit.
- The answer says which lawful bases remain. None of them is used unless a reader states it.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from vault.consent.events import HASH_BYTES, Actor, ConsentEvent, Kind, is_locale
from vault.consent.signals import GPC_METHOD, opts_out, sells_or_shares
from vault.consent.standing import remaining_bases
from vault.core.consents import ENDINGS, consent_of
from vault.core.directory import PURPOSE, Directory
from vault.core.engine import Engine
from vault.core.fieldinput import check_limit
from vault.core.holding import require_open
from vault.core.opencustomer import OpenCustomer
from vault.core.references import named_id, require
from vault.core.replay import Part
from vault.core.trail import Trail
from vault.errors import (
    BatchAbortedError,
    CallerError,
    DataLossError,
    IntegrityFailedError,
    InvalidRequestError,
    PurposeUnknownError,
    Reason,
    VaultError,
    error_for,
)
from vault.model.access import Action
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.consents import ConsentAct, ConsentAnswer, Evidence, Saying, SignalAnswer
from vault.model.requests import Caller, CustomerRef
from vault.policy.decision import Grants
from vault.policy.rules import Purpose
from vault.store.entries import ConsentEnded
from vault.store.session import WriteSession

_MAX_NOTICE: Final = 128
_CLOCK_TOLERANCE_MS: Final = 5 * 60_000  # a caller's clock that is ahead does not stop a withdrawal
_METHOD: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
_ACTORS: Final = frozenset({Actor.CUSTOMER, Actor.AGENT, Actor.GUARDIAN})
_KINDS: Final = {
    Saying.GIVEN: Kind.GIVEN,
    Saying.REFUSED: Kind.REFUSED,
    Saying.WITHDRAWN: Kind.WITHDRAWN,
    Saying.OBJECTED: Kind.OBJECTED,
}
_SAID_BEFORE: Final = {
    Saying.WITHDRAWN: (ConsentState.WITHDRAWN, ConsentState.OBJECTED),
    Saying.OBJECTED: (ConsentState.OBJECTED,),
}


class Consenting:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def record(
        self, caller: Caller, acts: Sequence[ConsentAct], *, request_id: str, atomic: bool, method: str
    ) -> list[ConsentAnswer]:
        """Records what customers say, in one durable commit. Answers are in the order of the acts.

        Raises:
            DeniedError: the caller may not record consents.
            BatchAbortedError: `atomic`, and one act could not be recorded; none was.
        """
        engine = self._engine
        check_limit("batch_entries", len(acts), engine.settings.limits.batch_entries)
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.CONSENT)
        request = engine.request(grants.id, request_id, method, _body(acts, atomic))

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            directory = engine.directory(session)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.CONSENT)
            if atomic and len(acts) > 1:
                self._require_all(session, directory, grants, acts)
            answers = [self._answer(session, directory, grants, act, method) for act in acts]
            request.remember(session, answers)
            return answers

        ending = all(_KINDS[act.saying] in ENDINGS for act in acts)
        answers = engine.committer.submit(job, erase=ending, deadline=caller.deadline_monotonic)
        return [_read(act, answer) for act, answer in zip(acts, answers, strict=True)]

    def ingest(
        self, caller: Caller, ref: CustomerRef, sec_gpc: str | None, evidence: Evidence, request_id: str
    ) -> SignalAnswer:
        """Takes the value of a request's `Sec-GPC` header, None without one; see `consent.signals`.

        Raises:
            DeniedError: the caller may not record consents.
            CustomerUnknownError, ShreddedError: there is nobody to record it of.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            access = engine.directory(snapshot).access
            access.principal(caller.principal).require(Action.CONSENT)
        if not opts_out(sec_gpc):
            return SignalAnswer(recognized=False)
        evidence = evidence._replace(method=GPC_METHOD, acted=Actor.CUSTOMER.value)
        acts = [
            ConsentAct(ref, name, Saying.OBJECTED, evidence)
            for name, purpose in access.policy.purposes.items()
            if sells_or_shares(purpose)
        ]
        answers = self.record(caller, acts, request_id=request_id, atomic=False, method="IngestSignal")
        for answer in answers:
            if answer.error is not None:
                raise answer.error  # all are of one customer: what refuses one refuses all
        return SignalAnswer(recognized=True, answers=answers)

    def _require_all(
        self, session: WriteSession, directory: Directory, grants: Grants, acts: Sequence[ConsentAct]
    ) -> None:
        """Raises BatchAbortedError unless every act can be recorded; before anything is written."""
        engine = self._engine
        for index, act in enumerate(acts):
            try:
                _purpose(directory, act)
                _require_fit(act, session.now_ms)
                customer_no = require(engine, grants, session, act.customer)
                with engine.book.open(session, session, customer_no, named_id(act.customer)) as customer:
                    _require_takes(customer, act)
            except VaultError as error:
                raise BatchAbortedError(
                    f"act {index} cannot be recorded: {error}", index=str(index), cause=error.reason
                ) from error

    def _answer(
        self, session: WriteSession, directory: Directory, grants: Grants, act: ConsentAct, method: str
    ) -> dict[str, Any]:
        """One act's answer as it is remembered. What a moment may mend is raised, and not remembered."""
        try:
            return self._act(session, directory, grants, act, method)
        except (CallerError, DataLossError, IntegrityFailedError) as error:
            return {"error": error.reason.value, "text": str(error)}

    def _act(
        self, session: WriteSession, directory: Directory, grants: Grants, act: ConsentAct, method: str
    ) -> dict[str, Any]:
        engine, name = self._engine, act.purpose
        number, declared = _purpose(directory, act)
        _require_fit(act, session.now_ms)
        customer_no = require(engine, grants, session, act.customer)
        with engine.book.open(session, session, customer_no, named_id(act.customer)) as customer:
            _require_takes(customer, act)
            before = consent_of(customer, number, session.now_ms)
            kind, unchanged = _KINDS[act.saying], before in _SAID_BEFORE.get(act.saying, ())
            if kind is Kind.GIVEN and before is ConsentState.GIVEN:
                kind = Kind.RENEWED
            locator = customer.dek.locator(engine.book.key(customer_no))
            record = self._trail.taking if kind in ENDINGS else self._trail.act
            record(grants, method, locators=[locator], purpose=name, kind=kind.value, changed=not unchanged)
            event = None if unchanged else self._write(session, customer, grants, act, kind, number)
            state = consent_of(customer, number, session.now_ms)
            place = customer.row.jurisdiction
        bases = remaining_bases(declared, place, state) if declared is not None else ()
        answer: dict[str, Any] = {"state": int(state), "bases": [each.value for each in bases]}
        return answer if event is None else answer | {"event": event.seq, "time": event.time_ms}

    def _write(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        grants: Grants,
        act: ConsentAct,
        kind: Kind,
        purpose: int,
    ) -> ConsentEvent:
        engine, said = self._engine, act.evidence
        event = ConsentEvent(
            kind=kind,
            purpose=purpose,
            purpose_name=act.purpose,
            time_ms=session.now_ms,
            notice_version=said.notice_version,
            text_sha256=said.text_sha256,
            locale=said.locale,
            method=said.method,
            acted=Actor(said.acted),
            principal=grants.name,
            acted_ms=said.acted_ms,
            expires_ms=act.expires_ms,
        )
        made = engine.consents.record(session, customer, event)
        ending = ENDINGS.get(kind)
        if ending is not None:
            session.append(ConsentEnded(engine.region, customer.number, ending, purpose, made.time_ms))
        engine.book.save(session, customer)
        return made


def _purpose(directory: Directory, act: ConsentAct) -> tuple[int, Purpose | None]:
    """The purpose's number, and what the policy says of it: nothing, once it is not declared any more.

    Raises:
        PurposeUnknownError: it never was, or is not and consent is to be given to it.
    """
    declared = directory.access.policy.purposes.get(act.purpose)
    number = directory.numbers[PURPOSE].get(act.purpose)
    if number is None or (declared is None and act.saying is Saying.GIVEN):
        raise PurposeUnknownError("the policy declares no such purpose")
    return number, declared


def _require_takes(customer: OpenCustomer, act: ConsentAct) -> None:
    """Raises HeldError where consent is given by a customer whose erasure waits for a hold."""
    if act.saying is Saying.GIVEN:
        require_open(customer.terms)


def _require_fit(act: ConsentAct, now_ms: int) -> None:
    """Raises InvalidRequestError unless an act's particulars have their form."""
    said = act.evidence
    if act.expires_ms and (act.saying is not Saying.GIVEN or act.expires_ms <= now_ms):
        raise InvalidRequestError("only a consent has an end, and it lies ahead", field="expire_time")
    if len(said.notice_version) > _MAX_NOTICE or not said.notice_version.isprintable():
        raise InvalidRequestError(
            f"a notice version has up to {_MAX_NOTICE} printable characters",
            field="notice_version",
        )
    if len(said.text_sha256) not in (0, HASH_BYTES):
        raise InvalidRequestError("a SHA-256 has 32 bytes", field="text_sha256")
    if said.locale and not is_locale(said.locale):
        raise InvalidRequestError("a locale is a BCP 47 language tag", field="locale")
    if said.method and _METHOD.match(said.method) is None:
        raise InvalidRequestError("a method has up to 64 characters of [a-z0-9_.-]", field="method")
    if said.acted not in _ACTORS:
        raise InvalidRequestError("a customer, an agent or a guardian acts", field="actor")
    if not 0 <= said.acted_ms <= now_ms + _CLOCK_TOLERANCE_MS:
        raise InvalidRequestError("nobody acts in the future", field="act_time")


def _body(acts: Sequence[ConsentAct], atomic: bool) -> list[Part]:
    body: list[Part] = [bytes([atomic])]
    for act in acts:
        said = act.evidence
        numbers = f"{int(act.saying)} {act.expires_ms} {said.acted_ms}"
        body += [act.customer.external_id, (act.customer.token or "").lower(), act.purpose, numbers]
        body += [said.notice_version, said.text_sha256, said.locale, said.method, said.acted]
    return body


def _read(act: ConsentAct, answer: dict[str, Any]) -> ConsentAnswer:
    if "error" in answer:
        error_class = error_for(Reason(answer["error"]))
        text = () if answer["error"] == Reason.INTEGRITY_FAILED.value else (answer["text"],)
        return ConsentAnswer(act.purpose, error=error_class(*text))
    return ConsentAnswer(
        purpose=act.purpose,
        event=answer.get("event", 0),
        time_ms=answer.get("time", 0),
        state=ConsentState(answer["state"]),
        remaining_bases=tuple([LawfulBasis(each) for each in answer["bases"]]),
    )
