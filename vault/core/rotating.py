"""RotateDek: a customer's values re-sealed under a new DEK generation because somebody asks for it."""

from typing import Any

from vault.core.engine import Engine
from vault.core.references import named_id, require
from vault.core.resealing import Resealing
from vault.core.trail import Trail
from vault.model.access import Action
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, CustomerRef
from vault.policy.decision import Grants
from vault.store.session import WriteSession


class Rotating:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._resealing = Resealing(engine)

    def rotate(self, caller: Caller, ref: CustomerRef, request_id: str) -> tuple[int, int]:
        """Gives a customer a new DEK; returns its generation and how many values were re-sealed.

        Raises:
            DeniedError: the caller may not rotate.
            CustomerUnknownError, ShreddedError: there is nothing to rotate.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ROTATE)
        named = [ref.external_id, (ref.token or "").lower()]
        request = engine.request(grants.id, request_id, "RotateDek", named)

        def reseal(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            engine.directory(session).access.principal(caller.principal).require(Action.ROTATE)
            answer = self._reseal(session, grants, ref)
            request.remember(session, answer)
            return answer

        number, generation, resealed = engine.committer.submit(reseal, deadline=caller.deadline_monotonic)
        engine.committer.submit(lambda session: self._destroy_old(session, CustomerNo(number)), erase=True)
        engine.hot.forget(engine.book.key(CustomerNo(number)))
        return generation, resealed

    def _reseal(self, session: WriteSession, grants: Grants, ref: CustomerRef) -> list[int]:
        number = require(self._engine, grants, session, ref)

        def record(locator: bytes) -> None:
            self._trail.act(grants, "RotateDek", locators=[locator])

        done = self._resealing.reseal(session, number, record, named_id(ref))
        return [number, done.generation, done.values]

    def _destroy_old(self, session: WriteSession, number: CustomerNo) -> None:
        self._resealing.destroy_old(session, number)
