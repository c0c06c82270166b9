"""How any of the vault's own secrets changes: in one write session, and so that every process learns of it.

Rules:
- Nothing changes while a new epoch is being made. An attempt takes the secrets along at its beginning,
  and what changed afterwards would be lost with the epoch before.
- The access version moves with the secrets, so that each process reads them again with its next batch.
"""

from collections.abc import Callable
from typing import TypeVar

from vault.core.directory import changed
from vault.core.engine import Engine
from vault.core.epochhistory import History
from vault.errors import KeyUnavailableError
from vault.store.session import WriteSession

T = TypeVar("T")


def change_secrets(engine: Engine, job: Callable[[WriteSession], T]) -> T:
    """Does `job`, which puts or deletes secrets; returns what it returns, when this process has taken them.

    Raises:
        KeyUnavailableError: a new epoch is being made, or one was given up and is not yet cleared away.
        VaultError: as the job and its commit do.
    """

    def guarded(session: WriteSession) -> T:
        _require_no_attempt(engine, session)
        result = job(session)
        changed(engine.rows, session)
        return result

    result = engine.committer.submit(guarded, alone=True)
    engine.secrets.refresh()
    return result


def _require_no_attempt(engine: Engine, session: WriteSession) -> None:
    history = History.of(engine.store.ledger())
    for intent in history.intents:
        given_up = (intent.epoch, intent.attempt) in history.abandoned
        if intent.epoch > session.epoch and not given_up:
            raise KeyUnavailableError("a new epoch is being made; repeat this when it is in use")
