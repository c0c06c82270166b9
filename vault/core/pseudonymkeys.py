"""Keys of pseudonyms: one for each domain, made when it is first needed, and their generations.

Rules:
- A key is in the keyring before any pseudonym under it is given out. Every process learns of it with the next
  access version (`secretchanges`).
- A change of a domain's key begins a generation. The one before goes on serving whoever asks for it by
  number, so that tables can be keyed anew, until it is withdrawn.
- What is withdrawn is deleted from the keyring; copies of it die with the epoch. From then on nobody can
  compute those pseudonyms, the vault included.
"""

from vault.core.directory import DOMAIN
from vault.core.engine import Engine
from vault.core.secretchanges import change_secrets
from vault.core.secrets import PSEUDONYM_KEY, pseudonym_secrets
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.crypto.pseudonyms import SECRET_BYTES, PseudonymKey
from vault.errors import InvalidRequestError
from vault.store.session import WriteSession


def require_first_key(engine: Engine, trail: Trail, domain: int, name: str) -> None:
    """Makes the first key of a domain, unless another process has meanwhile.

    Raises:
        KeyUnavailableError: a new epoch is being made; later it can be done.
        AuditUnavailableError: it could not be recorded.
    """

    def job(session: WriteSession) -> None:
        if not _generations(session, domain):
            trail.local("CreatePseudonymKey", domain=name, generation=1)
            _put(engine, session, domain, 1)

    change_secrets(engine, job)


def rotate_pseudonym_key(engine: Engine, trail: Trail, name: str) -> int:
    """Begins a generation of a domain's key; returns its number.

    Raises:
        InvalidRequestError: there is no such domain.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """

    def job(session: WriteSession) -> int:
        domain = _domain(engine, session, name)
        generation = max(_generations(session, domain), default=0) + 1
        trail.local("RotatePseudonymKey", domain=name, generation=generation)
        _put(engine, session, domain, generation)
        return generation

    return change_secrets(engine, job)


def withdraw_pseudonym_key(engine: Engine, trail: Trail, name: str, generation: int) -> None:
    """Ends a former generation of a domain's key.

    Raises:
        InvalidRequestError: there is no such domain or generation, or it is the current one.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """

    def job(session: WriteSession) -> None:
        domain = _domain(engine, session, name)
        known = _generations(session, domain)
        if generation not in known:
            raise InvalidRequestError(f"the domain has no generation {generation} of the pseudonym key")
        if generation == known[-1]:
            raise InvalidRequestError(f"generation {generation} is the current one; rotate it first")
        trail.local("WithdrawPseudonymKey", domain=name, generation=generation)
        session.delete_secret(_name(domain, generation))

    change_secrets(engine, job)


def domain_keys(engine: Engine, name: str) -> dict[int, PseudonymKey]:
    """The keys of a domain by generation, ascending.

    Raises:
        InvalidRequestError: there is no such domain.
    """
    with engine.store.snapshot() as snapshot:
        numbers = engine.directory(snapshot).numbers[DOMAIN]
    if name not in numbers:
        raise InvalidRequestError("the policy declares no such domain", field="domain")
    return engine.pseudonym_keys.of_domain(numbers[name])


def _domain(engine: Engine, session: WriteSession, name: str) -> int:
    number = engine.directory(session).numbers[DOMAIN].get(name)
    if number is None:
        raise InvalidRequestError("the policy declares no such domain", field="domain")
    return number


def _generations(session: WriteSession, domain: int) -> list[int]:
    return sorted(pseudonym_secrets(dict(session.secrets())).get(domain, {}))


def _put(engine: Engine, session: WriteSession, domain: int, generation: int) -> None:
    name = _name(domain, generation)
    secret = hazmat.random_bytes(SECRET_BYTES)
    session.put_secret(name, engine.keyrings.at(session.epoch).wrap_secret(name, secret))


def _name(domain: int, generation: int) -> str:
    return f"{PSEUDONYM_KEY}{domain}/{generation}"
