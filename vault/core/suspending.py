"""Suspension: a principal that may do nothing until it is resumed.

Rules:
- Effective on the principal's next call in every worker, over open connections, too: the registry row and
  the access version change in one commit, and every call looks at that version.
- The last active administrator cannot be suspended, by nobody and by no budget: nobody could undo it.
- A budget with `suspend` suspends in the name of the principal itself, as soon as a call is refused.
- A suspension is no revocation: certificate, grants and budgets' windows stay as they are. The ledger does
  not hold it, so a restore brings back whoever was suspended after the backup.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from vault.core.administering import PRINCIPALS, principal_info
from vault.core.directory import Directory, RegisteredPrincipal, changed
from vault.core.engine import Engine
from vault.core.trail import Trail
from vault.errors import InvalidRequestError, LimitExceededError, PrincipalUnknownError
from vault.model.access import Action
from vault.model.requests import Caller, PrincipalInfo
from vault.store.session import WriteSession

MAX_REASON_CHARACTERS: Final = 500


class Suspending:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def suspend(self, caller: Caller, name: str, reason: str, request_id: str) -> PrincipalInfo:
        """Suspends a principal; one that is suspended stays so.

        Raises:
            PrincipalUnknownError: nobody has this name.
            InvalidRequestError: it was revoked, or it is the last active administrator.
        """

        def suspended(directory: Directory, known: RegisteredPrincipal) -> RegisteredPrincipal:
            if known.suspended_ms:
                return known
            require_another_administrator(directory, name)
            return replace(known, suspended_ms=self._engine.now_ms())

        return self._change(caller, "SuspendPrincipal", name, reason, request_id, suspended)

    def resume(self, caller: Caller, name: str, reason: str, request_id: str) -> PrincipalInfo:
        """Ends a suspension; a principal that is not suspended stays as it is.

        Raises:
            PrincipalUnknownError: nobody has this name.
            InvalidRequestError: it was revoked, which is for good.
        """
        return self._change(
            caller,
            "ResumePrincipal",
            name,
            reason,
            request_id,
            lambda _, known: replace(known, suspended_ms=0),
        )

    def _change(
        self,
        caller: Caller,
        act: str,
        name: str,
        reason: str,
        request_id: str,
        change: Callable[[Directory, RegisteredPrincipal], RegisteredPrincipal],
    ) -> PrincipalInfo:
        engine = self._engine
        require_short(reason)
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ADMIN)
        request = engine.request(grants.id, request_id, act, [name.encode(), reason])

        def job(session: WriteSession) -> RegisteredPrincipal:
            directory = engine.directory(session)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.ADMIN)
            known = directory.principals.get(name)
            if known is None:
                raise PrincipalUnknownError("no such principal")
            if request.recall(session) is not None:
                return known
            if known.revoked_ms:
                raise InvalidRequestError("the principal was revoked, which is for good", field="name")
            made = change(directory, known)
            if made != known:
                self._trail.act(grants, act, name=name, why=reason)
                put_principal(engine, session, made)
            request.remember(session, 1)
            return made

        return principal_info(engine.committer.submit(job, deadline=caller.deadline_monotonic))


def suspend_due(engine: Engine, trail: Trail) -> None:
    """Suspends whoever went beyond a budget that says so, as noted in this process.

    An administrator who is the last active one stays, and the access log has the refusals.
    """
    while engine.budgets.due:
        name, budget = engine.budgets.due.pop()

        def job(session: WriteSession, name: str = name, budget: str = budget) -> None:
            directory = engine.directory(session)
            known = directory.principals.get(name)
            if known is None or known.revoked_ms or known.suspended_ms:
                return
            try:
                require_another_administrator(directory, name)
            except InvalidRequestError:
                return
            trail.act(directory.access.principal(name), "SuspendPrincipal", name=name, budget=budget)
            put_principal(engine, session, replace(known, suspended_ms=engine.now_ms()))

        engine.committer.submit(job)


def put_principal(engine: Engine, session: WriteSession, principal: RegisteredPrincipal) -> None:
    """Writes a registry row and makes it known to every reader."""
    engine.rows.put(session, PRINCIPALS, principal.name.encode(), principal.pack())
    changed(engine.rows, session)


def require_another_administrator(directory: Directory, name: str) -> None:
    """Raises InvalidRequestError if, without `name`, no administrator is active."""
    active = {p.name for p in directory.principals.values() if not p.revoked_ms and not p.suspended_ms}
    administrators = directory.access.policy.administrators & active
    if name in administrators and len(administrators) == 1:
        raise InvalidRequestError("the last active administrator cannot be suspended", field="name")


def require_short(reason: str) -> None:
    """Raises LimitExceededError for a reason that is too long to be kept."""
    if len(reason) > MAX_REASON_CHARACTERS:
        raise LimitExceededError(
            f"a reason has at most {MAX_REASON_CHARACTERS} characters",
            limit="reason_characters",
            allowed=str(MAX_REASON_CHARACTERS),
            size=str(len(reason)),
        )
