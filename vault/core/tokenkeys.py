"""Generations of the token key: a new one for tokens issued from now on, and the end of an old one.

Rules:
- A generation is in the keyring before any process issues a token under it, so a process that meets one
  it does not know finds it there (`secrets`). No process has to be told, and none has to wait.
- Tokens of an older generation decipher until it is withdrawn. Nothing stored depends on either.
- Withdrawing removes the key from the keyring. Each process lets go of it when it next looks at the store,
  which it does for every batch; that one batch may still be answered.
"""

from vault.core.engine import Engine
from vault.core.secretchanges import change_secrets
from vault.core.secrets import TOKEN_KEY
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.errors import InvalidRequestError
from vault.store.session import WriteSession
from vault.store.snapshot import KeyringReader


def rotate_token_key(engine: Engine, trail: Trail) -> int:
    """Begins a generation of the token key; returns its number.

    Raises:
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """

    def job(session: WriteSession) -> int:
        generation = token_key_generations(session)[-1] + 1
        trail.local("RotateTokenKey", generation=generation)
        name = f"{TOKEN_KEY}{generation}"
        key = hazmat.random_bytes(32)
        session.put_secret(name, engine.keyrings.at(session.epoch).wrap_secret(name, key))
        return generation

    return change_secrets(engine, job)


def withdraw_token_key(engine: Engine, trail: Trail, generation: int) -> None:
    """Ends a former generation: its tokens are unknown from now on.

    Raises:
        InvalidRequestError: there is no such generation, or it is the current one.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """

    def job(session: WriteSession) -> None:
        known = token_key_generations(session)
        if generation not in known:
            raise InvalidRequestError(f"there is no generation {generation} of the token key")
        if generation == known[-1]:
            raise InvalidRequestError(f"generation {generation} is the current one; rotate it first")
        trail.local("WithdrawTokenKey", generation=generation)
        session.delete_secret(f"{TOKEN_KEY}{generation}")

    change_secrets(engine, job)


def token_key_generations(keys: KeyringReader) -> list[int]:
    """The generations whose tokens decipher, ascending; the last one issues."""
    names = [name for name, _ in keys.secrets() if name.startswith(TOKEN_KEY)]
    return sorted(int(name.removeprefix(TOKEN_KEY)) for name in names)
