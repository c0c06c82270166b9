"""Keys, access log, policy and principals."""

from collections.abc import Iterator

from customervault._exchanges import administration as verbs
from customervault._sync.transport import Transport
from customervault.errors import DeadlineExceededError, UnavailableError
from customervault.inputs import CustomerRef, Situation, optional_ref
from customervault.results import (
    AppliedPolicy,
    AuditStatus,
    ConsistencyProof,
    CreatedPrincipal,
    EpochRotation,
    Explanation,
    InclusionProof,
    KeyringStatus,
    Policy,
    PolicyVersion,
    Principal,
    RotatedDek,
)
from customervault.values import Answer, LawfulBasis, Reveal


class AdministrationVerbs(Transport):
    """Verbs of administrators and auditors."""

    def rotate_dek(
        self, *, external_id: str | None = None, token: str | None = None, request_id: str | None = None
    ) -> RotatedDek:
        """Give one customer a new key generation and re-seal the customer's values under it.

        Raises:
            ValueError: Neither or both of `external_id` and `token` were given.
            VaultError: Nothing was rotated, or it is not known whether it was.
        """
        return self._run(verbs.rotate_dek(CustomerRef(external_id, token), request_id=request_id))

    def rotate_epoch(self, *, approval_id: str = "", request_id: str | None = None) -> EpochRotation:
        """Ask for a new epoch, which makes shreds final; while one is under way, this joins it.

        Returns at once: the vault does the work. `epoch_rotation` tells how far it is.

        Raises:
            VaultError: Nothing was begun, or it is not known whether it was.
        """
        return self._run(verbs.rotate_epoch(approval_id=approval_id, request_id=request_id))

    def epoch_rotation(self, name: str) -> EpochRotation:
        """How far a rotation is that `rotate_epoch` has named.

        Raises:
            VaultError: The call failed, or there is no such operation.
        """
        return self._run(verbs.epoch_rotation(name))

    def keyring_status(self) -> KeyringStatus:
        """Epoch, provider and counts of the keyring.

        Raises:
            VaultError: The call failed.
        """
        return self._run(verbs.keyring_status())

    def audit_status(self) -> AuditStatus:
        """State of the access log.

        Raises:
            VaultError: The call failed.
        """
        return self._run(verbs.audit_status())

    def inclusion_proof(self, leaf: int) -> InclusionProof:
        """Proof that a leaf, from 0, is in the sealed access log.

        Raises:
            VaultError: The call failed, or no checkpoint comprises the leaf yet.
        """
        return self._run(verbs.inclusion_proof(leaf))

    def consistency_proof(self, old_size: int) -> ConsistencyProof:
        """Proof that the sealed access log only grew since it had `old_size` leaves.

        Raises:
            VaultError: The call failed, or the log is smaller.
        """
        return self._run(verbs.consistency_proof(old_size))

    def get_policy(self, version: int = 0) -> Policy:
        """The policy in force, or a version of it.

        Raises:
            VaultError: The call failed.
        """
        return self._run(verbs.get_policy(version))

    def policy_versions(self, *, page_size: int = 100) -> Iterator[PolicyVersion]:
        """All versions of the policy, the newest first, fetched page by page as they are read.

        Raises:
            VaultError: The call failed.
        """
        return self._pages(lambda page_token: verbs.policy_version_page(page_token, page_size=page_size))

    def explain(
        self,
        purpose: str,
        field_class: str,
        *,
        principal: str = "",
        reveal: Reveal | Answer = "best",
        basis: LawfulBasis | None = None,
        situation: Situation | None = None,
        external_id: str | None = None,
        token: str | None = None,
    ) -> Explanation:
        """Why a read is answered as it is, and what would have to change. Reveals no value.

        Args:
            purpose: What it is read for.
            field_class: What is read.
            principal: Who reads; the caller itself when empty.
            reveal: As for `detokenize`, or an answer such as `pseudonym` or `age_over`.
            basis: As for `detokenize`.
            situation: Of a customer that need not exist, unless one is named.
            external_id: Names a customer, or `token` does.
            token: Any token of the customer.

        Raises:
            VaultError: The call failed.
        """
        subject = optional_ref(external_id, token) or situation or Situation()
        return self._run(
            verbs.explain(principal, purpose, field_class, reveal=reveal, basis=basis, subject=subject)
        )

    def apply_policy(
        self, document: str, *, validate_only: bool = False, request_id: str | None = None
    ) -> AppliedPolicy:
        """Validate a policy (TOML) and, unless `validate_only`, put it in force.

        Raises:
            PolicyInvalidError: It says why; nothing was changed.
            VaultError: The call failed.
        """
        return self._run(verbs.apply_policy(document, validate_only=validate_only, request_id=request_id))

    def create_principal(
        self, name: str, csr: str = "", *, certificate_days: int = 0, request_id: str | None = None
    ) -> CreatedPrincipal:
        """Register a principal and sign its certificate request.

        Args:
            name: As the certificate states it.
            csr: PKCS#10 request in PEM; empty for a principal of an external CA.
            certificate_days: Lifetime; 0 for the vault's default.
            request_id: Makes a repetition of this call idempotent for 24 hours; new when None.

        Raises:
            VaultError: The principal was not registered, or it is not known whether it was.
        """
        return self._run(
            verbs.create_principal(name, csr, certificate_days=certificate_days, request_id=request_id)
        )

    def list_principals(self, *, page_size: int = 1000) -> Iterator[Principal]:
        """All principals, fetched page by page as they are read.

        Raises:
            VaultError: A page could not be fetched.
        """
        return self._pages(lambda page_token: verbs.principal_page(page_token, page_size=page_size))

    def revoke_principal(self, name: str, *, request_id: str | None = None) -> Principal:
        """Revoke a principal, effective on its next call.

        Raises:
            VaultError: It was not revoked, or it is not known whether it was.
        """
        return self._run(verbs.revoke_principal(name, request_id=request_id))

    def healthy(self) -> bool:
        """Whether the vault answers and says that it serves."""
        try:
            return self._run(verbs.healthy())
        except (UnavailableError, DeadlineExceededError):
            return False
