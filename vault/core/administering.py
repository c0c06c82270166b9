"""Policy and principals. Every change bumps the access version, which every read looks at."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from vault.core.authority import ca_certificates
from vault.core.directory import (
    DOMAIN,
    PURPOSE,
    RegisteredPrincipal,
    changed,
    number_names,
    store_policy,
)
from vault.core.engine import Engine
from vault.core.trail import Trail
from vault.crypto import certificates
from vault.errors import InvalidRequestError, PrincipalExistsError, PrincipalUnknownError
from vault.model.access import Action
from vault.model.requests import Caller, Page, PolicyInForce, PrincipalInfo
from vault.policy.decision import PrincipalRecord
from vault.policy.diff import describe_change
from vault.policy.document import parse_policy
from vault.policy.remarks import remarks
from vault.policy.rules import is_principal_name
from vault.store.entries import PrincipalRevoked
from vault.store.session import WriteSession

PRINCIPALS: Final = "principals"
_MAX_CERTIFICATE_DAYS: Final = 825


class Administering:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def get_policy(self, caller: Caller) -> PolicyInForce:
        """The policy in force, as it was applied."""
        with self._engine.store.snapshot() as snapshot:
            directory = self._engine.directory(snapshot)
            directory.access.principal(caller.principal).require(Action.ADMIN)
        policy = directory.policy
        return PolicyInForce(policy.document, policy.version, policy.applied_ms)

    def apply_policy(
        self, caller: Caller, document: str, *, validate_only: bool, request_id: str
    ) -> PolicyInForce:
        """Puts a policy in force for every worker, or only checks it.

        Raises:
            PolicyInvalidError: the document is wrong; nothing was changed.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
        grants = directory.access.principal(caller.principal)
        grants.require(Action.ADMIN)
        policy = parse_policy(document, engine.catalog.names)
        registry = _registry(directory.principals)
        warnings = remarks(policy, registry)
        if validate_only:
            return PolicyInForce(document, directory.policy.version, directory.policy.applied_ms, warnings)
        request = engine.request(grants.id, request_id, "ApplyPolicy", [document.encode()])

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            current = engine.directory(session)
            grants = current.access.principal(caller.principal)
            grants.require(Action.ADMIN)
            changes = describe_change(current.access.policy, policy)
            self._trail.act(grants, "ApplyPolicy", changes=changes[:200])
            number_names(engine.rows, session, current.numbers[DOMAIN], DOMAIN, list(policy.domains))
            number_names(engine.rows, session, current.numbers[PURPOSE], PURPOSE, list(policy.purposes))
            now = engine.now_ms()
            version = store_policy(engine.rows, session, document, applied_ms=now, principal_id=grants.id)
            changed(engine.rows, session)
            request.remember(session, [version, now])
            return [version, now]

        version, applied_ms = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        return PolicyInForce(document, version, applied_ms, warnings)

    def create_principal(
        self, caller: Caller, name: str, certificate_request_pem: str, certificate_days: int, request_id: str
    ) -> PrincipalInfo:
        """Registers a principal; signs its certificate request, if one is given, with the vault's CA.

        A name that is registered already gets a new certificate; one without a request is an error.

        Raises:
            InvalidRequestError: the name, the request or the lifetime is wrong.
            PrincipalExistsError: it is registered, and no certificate was asked for.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ADMIN)
        if not is_principal_name(name):
            raise InvalidRequestError("a principal's name has 1 to 255 printable characters", field="name")
        days = certificate_days or engine.settings.server.certificate_days
        if days > _MAX_CERTIFICATE_DAYS:
            raise InvalidRequestError(
                f"a certificate lives at most {_MAX_CERTIFICATE_DAYS} days", field="days"
            )
        certificate, expires_ms = "", 0
        ca_pem = ca_certificates(engine).decode()
        if certificate_request_pem:
            signed = certificates.sign_request(
                engine.secrets.ca_key_pem,
                ca_pem.encode(),
                certificate_request_pem.encode(),
                name=name,
                days=days,
            )
            certificate = signed.decode()
            expires_ms = int(certificates.describe(signed).not_after.timestamp() * 1000)
        body = [name.encode(), certificate_request_pem.encode(), days.to_bytes(4, "big")]
        request = engine.request(grants.id, request_id, "CreatePrincipal", body)

        def job(session: WriteSession) -> RegisteredPrincipal:
            current = engine.directory(session)
            grants = current.access.principal(caller.principal)
            grants.require(Action.ADMIN)
            replayed = request.recall(session) is not None
            known = current.principals.get(name)
            if known is not None and not certificate and not replayed:
                raise PrincipalExistsError("the principal is registered already")
            if known is not None and known.revoked_ms:
                raise InvalidRequestError("the principal was revoked; choose another name", field="name")
            self._trail.act(grants, "CreatePrincipal", name=name, certificate=bool(certificate))
            # The access log names principals by number, those too that a restore has lost.
            number = max(*current.principal_names, session.meta.incarnation << 24) + 1
            made = known or RegisteredPrincipal(number, name, engine.now_ms())
            made = replace(made, expires_ms=expires_ms or made.expires_ms)
            engine.rows.put(session, PRINCIPALS, name.encode(), made.pack())
            changed(engine.rows, session)
            request.remember(session, 1)
            return made

        made = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        return replace(_info(made), certificate_pem=certificate, ca_pem=ca_pem)

    def list_principals(self, caller: Caller, page_size: int, page_token: str) -> Page[PrincipalInfo]:
        """Principals by name. A page token is the last name of the page."""
        with self._engine.store.snapshot() as snapshot:
            directory = self._engine.directory(snapshot)
            directory.access.principal(caller.principal).require(Action.ADMIN)
        later = [p for name, p in sorted(directory.principals.items()) if name > page_token]
        page = later[:page_size]
        return Page([_info(p) for p in page], page[-1].name if len(later) > len(page) else "")

    def revoke_principal(self, caller: Caller, name: str, request_id: str) -> PrincipalInfo:
        """Revokes a principal for good; effective on its next call, open connections included.

        Raises:
            PrincipalUnknownError: nobody has this name.
            InvalidRequestError: it is the caller itself, who would lock the vault.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ADMIN)
        if name == caller.principal:
            raise InvalidRequestError("an administrator cannot revoke itself", field="name")
        request = engine.request(grants.id, request_id, "RevokePrincipal", [name.encode()])

        def job(session: WriteSession) -> RegisteredPrincipal:
            current = engine.directory(session)
            grants = current.access.principal(caller.principal)
            grants.require(Action.ADMIN)
            request.recall(session)
            known = current.principals.get(name)
            if known is None:
                raise PrincipalUnknownError("no such principal")
            if known.revoked_ms:
                return known
            self._trail.act(grants, "RevokePrincipal", name=name)
            session.append(PrincipalRevoked(known.id))
            revoked = replace(known, revoked_ms=engine.now_ms())
            engine.rows.put(session, PRINCIPALS, name.encode(), revoked.pack())
            changed(engine.rows, session)
            request.remember(session, 1)
            return revoked

        return _info(engine.committer.submit(job, deadline=caller.deadline_monotonic))


def _registry(principals: Mapping[str, RegisteredPrincipal]) -> dict[str, PrincipalRecord]:
    return {p.name: PrincipalRecord(p.id, p.name, p.revoked_ms > 0) for p in principals.values()}


def _info(principal: RegisteredPrincipal) -> PrincipalInfo:
    return PrincipalInfo(
        principal.name,
        principal.revoked_ms > 0,
        principal.created_ms,
        principal.revoked_ms,
        principal.expires_ms,
    )
