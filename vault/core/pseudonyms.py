"""The keys of pseudonyms as a process has them open; `pseudonymkeys` makes, changes and ends them."""

from vault.core.secrets import VaultSecrets
from vault.crypto.pseudonyms import PseudonymKey
from vault.errors import InvalidRequestError


class PseudonymKeys:
    """The keys that this process has opened."""

    def __init__(self, secrets: VaultSecrets, vault_id: bytes) -> None:
        self._secrets = secrets
        self._vault_id = vault_id
        self._opened: dict[bytes, PseudonymKey] = {}

    def of_domain(self, domain: int) -> dict[int, PseudonymKey]:
        """A domain's keys by generation, ascending; none where no pseudonym was ever asked for."""
        held = self._secrets.pseudonym_secrets.get(domain, {})
        return {generation: self._open(secret, generation) for generation, secret in sorted(held.items())}

    def find(self, domain: int, generation: int) -> PseudonymKey | None:
        """The key of a generation, or with 0 the newest; None where the domain has no key at all.

        Raises:
            InvalidRequestError: there is no such generation any more, or not yet.
        """
        keys = self.of_domain(domain)
        if not keys and generation in (0, 1):
            return None
        found = keys.get(generation or max(keys, default=0))
        if found is None:
            raise InvalidRequestError(
                "the domain has no key of pseudonyms of this generation", field="generation"
            )
        return found

    def _open(self, secret: bytes, generation: int) -> PseudonymKey:
        key = self._opened.get(secret)
        if key is None:
            known = {each for held in self._secrets.pseudonym_secrets.values() for each in held.values()}
            for gone in self._opened.keys() - known:
                self._opened.pop(gone, None)
            key = self._opened[secret] = PseudonymKey(secret, self._vault_id, generation)
        return key
