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
    policy_version,
    store_policy,
)
from vault.core.engine import Engine
from vault.core.trail import Trail
from vault.crypto import certificates
from vault.errors import InvalidRequestError, PrincipalExistsError, PrincipalUnknownError
from vault.model.access import Action
from vault.model.requests import Caller, Page, PolicyInForce, PolicyVersion, PrincipalInfo
from vault.policy.decision import PrincipalRecord
from vault.policy.diff import describe_change
from vault.policy.document import parse_policy
from vault.policy.examples import require_sound
from vault.policy.remarks import remarks
from vault.policy.rules import is_principal_name
from vault.store.entries import PrincipalRevoked
from vault.store.session import WriteSession

PRINCIPALS: Final = "principals"
_MAX_CERTIFICATE_DAYS: Final = 825
_CHANGES_TOLD: Final = 200  # lines of a policy's changes in the access log


class Administering:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def get_policy(self, caller: Caller, version: int = 0) -> PolicyInForce:
        """A policy as it was applied: the one in force, or the one of a version.

        Raises:
            InvalidRequestError: there was no such version.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
            directory.access.principal(caller.principal).require(Action.ADMIN)
            policy = policy_version(engine.rows, snapshot, version) if version else directory.policy
        if policy is None:
            raise InvalidRequestError("the policy has no such version", field="version")
        return PolicyInForce(policy.document, policy.version, policy.applied_ms)

    def list_policy_versions(self, caller: Caller, page_size: int, page_token: str) -> Page[PolicyVersion]:
        """The versions that were ever in force, the newest first.

        Raises:
            InvalidRequestError: the page token is none of this list's.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
            directory.access.principal(caller.principal).require(Action.ADMIN)
            if page_token and not (page_token.isascii() and page_token.isdecimal()):
                raise InvalidRequestError("page_token is not from this list", field="page_token")
            newest = min(int(page_token or directory.policy.version), directory.policy.version)
            oldest = max(newest - page_size + 1, 1)
            kept = [policy_version(engine.rows, snapshot, each) for each in range(newest, oldest - 1, -1)]
        names = directory.principal_names
        found = [PolicyVersion(p.version, p.applied_ms, names.get(p.principal_id, "")) for p in kept if p]
        return Page(found, str(oldest - 1) if oldest > 1 else "")

    def apply_policy(
        self, caller: Caller, document: str, *, validate_only: bool, request_id: str
    ) -> PolicyInForce:
        """Puts a policy in force for every worker, or only checks it.

        The document that is in force already stays so, as the version that it is.

        Raises:
            PolicyInvalidError: the document is wrong; nothing was changed.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
        grants = directory.access.principal(caller.principal)
        grants.require(Action.ADMIN)
        policy = parse_policy(document, engine.catalog.names)
        require_sound(policy, engine.catalog.names)
        registry = _registry(directory.principals)
        warnings = remarks(policy, registry, grants.name)
        if validate_only:
            changes = describe_change(directory.access.policy, policy)
            in_force = directory.policy
            return PolicyInForce(document, in_force.version, in_force.applied_ms, warnings, changes)
        request = engine.request(grants.id, request_id, "ApplyPolicy", [document.encode()])

        def job(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            current = engine.directory(session)
            grants = current.access.principal(caller.principal)
            grants.require(Action.ADMIN)
            if document == current.policy.document:
                told = [current.policy.version, current.policy.applied_ms]
                request.remember(session, told)
                return told
            changes = describe_change(current.access.policy, policy)
            self._trail.act(
                grants,
                "ApplyPolicy",
                version=current.policy.version + 1,
                changes=changes[:_CHANGES_TOLD],
                more_changes=max(0, len(changes) - _CHANGES_TOLD),
            )
            number_names(engine.rows, session, current.numbers[DOMAIN], DOMAIN, list(policy.domains))
            number_names(engine.rows, session, current.numbers[PURPOSE], PURPOSE, list(policy.purposes))
            now = engine.now_ms()
            version = store_policy(engine.rows, session, document, applied_ms=now, principal_id=grants.id)
            changed(engine.rows, session)
            request.remember(session, [version, now])
            return [version, now, changes]

        version, applied_ms, *told = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        return PolicyInForce(document, version, applied_ms, warnings, told[0] if told else ())

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
        return replace(principal_info(made), certificate_pem=certificate, ca_pem=ca_pem)

    def list_principals(self, caller: Caller, page_size: int, page_token: str) -> Page[PrincipalInfo]:
        """Principals by name. A page token is the last name of the page."""
        with self._engine.store.snapshot() as snapshot:
            directory = self._engine.directory(snapshot)
            directory.access.principal(caller.principal).require(Action.ADMIN)
        later = [p for name, p in sorted(directory.principals.items()) if name > page_token]
        page = later[:page_size]
        return Page([principal_info(p) for p in page], page[-1].name if len(later) > len(page) else "")

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

        return principal_info(engine.committer.submit(job, deadline=caller.deadline_monotonic))


def _registry(principals: Mapping[str, RegisteredPrincipal]) -> dict[str, PrincipalRecord]:
    return {p.name: p.record for p in principals.values()}


def principal_info(principal: RegisteredPrincipal) -> PrincipalInfo:
    """A registry row as callers see it."""
    return PrincipalInfo(
        principal.name,
        principal.revoked_ms > 0,
        principal.created_ms,
        principal.revoked_ms,
        principal.expires_ms,
        suspended_ms=principal.suspended_ms,
    )
