"""Explain: why a read of a customer, or of anybody in a situation, is answered as it is. Reveals no value."""

import time

from vault.core.again import look_again
from vault.core.directory import FIELD_CLASS, Directory
from vault.core.engine import Engine
from vault.core.references import named_id, require
from vault.core.situations import situation_of
from vault.core.trail import Trail
from vault.errors import PrincipalUnknownError, VaultError
from vault.model.access import Action
from vault.model.requests import Caller, CustomerRef, ExplainQuery
from vault.model.situation import Situation
from vault.policy.decision import Grants
from vault.policy.explaining import Explanation, Question, explain
from vault.policy.reads import of_class
from vault.store.snapshot import Snapshot


class Explaining:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    @look_again
    def explain(self, caller: Caller, query: ExplainQuery) -> Explanation:
        """Explains a read.

        Of itself a principal may ask anything about situations. To ask of another principal, or of a given
        customer, takes `admin` or `audit`.

        Raises:
            ActionDeniedError: the caller may not ask this.
            PrincipalUnknownError: the principal is not registered, or was revoked.
            CustomerUnknownError, ShreddedError: there is no such customer.
        """
        engine = self._engine
        locators: list[bytes] = []
        situation = query.situation
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
            access = directory.access
            asking = access.principal(caller.principal)
            name = query.principal or caller.principal
            others = query.customer is not None or name != caller.principal
            if others and not asking.may(Action.ADMIN):
                asking.require(Action.AUDIT)
            now_ms = max(time.time_ns() // 1_000_000, snapshot.meta.time_floor_ms)
            if query.customer is not None:
                number = directory.numbers[FIELD_CLASS].get(query.field_class, 0)
                found, locator = self._situation(snapshot, directory, asking, query, query.customer, now_ms)
                situation, locators = of_class(found, number), [locator]
        if query.customer is not None:
            self._trail.act(asking, "Explain", locators=locators, of=name, purpose=query.purpose[:64])
        try:
            grants = access.principal(name)
        except VaultError as error:
            raise PrincipalUnknownError("no such principal is registered and active") from error
        question = Question(
            principal=name,
            purpose=query.purpose,
            field_class=query.field_class,
            reveal=query.reveal,
            basis=query.basis,
            situation=situation,
            trained=grants.trained_at(now_ms),
            break_glass=grants.glass_broken_at(query.purpose, now_ms),
        )
        return explain(access.compiled, grants.judge, question)

    def _situation(
        self,
        snapshot: Snapshot,
        directory: Directory,
        asking: Grants,
        query: ExplainQuery,
        ref: CustomerRef,
        now_ms: int,
    ) -> tuple[Situation, bytes]:
        """A customer's situation as the purpose sees it now, and the customer's name in the access log."""
        engine = self._engine
        purpose = directory.access.purpose_ids.get(query.purpose, 0)
        with engine.store.keyring() as keys:
            number = require(engine, asking, keys, ref)
            with engine.book.open(snapshot, keys, number, named_id(ref)) as customer:
                situation = situation_of(customer, purpose, now_ms)
                return situation, customer.dek.locator(engine.book.key(number))
