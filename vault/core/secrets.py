"""The vault's own secrets: rows of the keyring, opened when the vault opens, and again when they change.

    token-key/<n>     AES-256 key of token generation n (decimal); the greatest n encodes
    signing-key       Ed25519 seed: ledger entries, checkpoints, certificates
    row-mac           keyed BLAKE2b over administrative rows and tombstones
    request-mac       keyed BLAKE2b over request ids and request bodies
    ca-key            the vault's own CA, PEM

MAC keys live in guarded memory, and do not change while a vault lives; token, signing and CA keys live in
OpenSSL's heap while used.

A process learns of a change when it sees the next access version, or a token of a generation that it does
not know. Whoever changes a secret commits its row before anything that was made with it is given out.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.crypto.tokens import TokenCodec
from vault.errors import KeyUnavailableError
from vault.keys.keyrings import Keyrings
from vault.store.store import Store

TOKEN_KEY: Final = "token-key/"  # noqa: S105 - a name, not a secret
SIGNING_KEY: Final = "signing-key"
ROW_MAC: Final = "row-mac"
REQUEST_MAC: Final = "request-mac"
CA_KEY: Final = "ca-key"
_HASH_KEYS: Final = (ROW_MAC, REQUEST_MAC)


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """Rows of secrets by name, as of a transaction of an epoch's keyring."""

    epoch: int
    transaction: int
    rows: Mapping[str, bytes]


class SecretRows:
    """The secrets in the keyring in use."""

    def __init__(self, store: Store, keyrings: Keyrings) -> None:
        self._store = store
        self._keyrings = keyrings

    def read(self) -> SealedSecrets:
        """As they stand now.

        May take the write lock for a moment: its caller holds nothing that the lock's holder may want.
        """
        with self._store.keyring() as keys:
            return SealedSecrets(keys.epoch, keys.keyring_transaction, dict(keys.secrets()))

    def opened(self, sealed: SealedSecrets) -> dict[str, bytes]:
        """The secrets by name.

        Raises:
            IntegrityFailedError: a row was changed.
        """
        keyring = self._keyrings.at(sealed.epoch)
        return {name: keyring.unwrap_secret(name, row) for name, row in sealed.rows.items()}


class VaultSecrets:
    """Uses the vault's own secrets; shows none of them."""

    def __init__(
        self,
        secrets: Mapping[str, bytes],
        source: SecretRows | None = None,
        seen: SealedSecrets | None = None,
    ) -> None:
        """Takes the secrets by name; see `read` for those of a keyring in use."""
        missing = sorted({SIGNING_KEY, CA_KEY, *_HASH_KEYS} - secrets.keys())
        if not token_keys(secrets):
            missing.append(f"{TOKEN_KEY}1")
        if missing:
            raise KeyUnavailableError(f"the keyring lacks {', '.join(missing)}")
        self._source, self._seen = source, seen
        self._turn = threading.Lock()
        self._memory = hazmat.GuardedMemory(32 * len(_HASH_KEYS))
        self._hash_keys: dict[str, hazmat.KeyPointer] = {}
        for position, name in enumerate(_HASH_KEYS):
            self._hash_keys[name] = self._memory.pointer(32 * position)
            hazmat.load_key(self._hash_keys[name], secrets[name])
        generations = token_keys(secrets)
        self.codec = TokenCodec(_ciphers(generations), max(generations), self.refresh)
        self._take(secrets)

    @classmethod
    def read(cls, source: SecretRows) -> "VaultSecrets":
        """The secrets of the keyring in use, which `refresh` follows.

        Raises:
            IntegrityFailedError: a row was changed.
            KeyUnavailableError: one is missing.
        """
        sealed = source.read()
        return cls(source.opened(sealed), source, sealed)

    def refresh(self) -> None:
        """Takes what has changed in the keyring since; costs a look at its few rows otherwise."""
        if self._source is None:
            return
        sealed = self._source.read()
        with self._turn:
            seen = self._seen
            if seen is not None and (sealed.epoch, sealed.transaction) <= (seen.epoch, seen.transaction):
                return  # another thread has seen this, or more
            self._seen = sealed
            if seen is not None and sealed.rows == seen.rows:
                return
            secrets = self._source.opened(sealed)
            generations = token_keys(secrets)
            self.codec.renew(_ciphers(generations), max(generations))
            self._take(secrets)

    def _take(self, secrets: Mapping[str, bytes]) -> None:
        self.token_key_generation = max(token_keys(secrets))
        self._signing_seed = secrets[SIGNING_KEY]
        self.public_key = hazmat.public_key(self._signing_seed)
        self.signing_key_id = signing_key_id(self.public_key)
        self.ca_key_pem = secrets[CA_KEY]

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature (64 bytes) under the vault's signing key."""
        return hazmat.sign(self._signing_seed, message)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises IntegrityFailedError unless the signature is of the vault's signing key."""
        hazmat.verify(self.public_key, signature, message)

    def row_mac(self, message: bytes) -> bytes:
        """MAC (16 bytes) of an administrative row or a tombstone."""
        return hazmat.keyed_hash(self._hash_keys[ROW_MAC], message)

    def request_mac(self, message: bytes) -> bytes:
        """Keyed hash (16 bytes) of a request id or a request's body."""
        return hazmat.keyed_hash(self._hash_keys[REQUEST_MAC], message)

    def close(self) -> None:
        """Zeroes the MAC keys."""
        self._memory.free()

    def __repr__(self) -> str:
        return "<vault secrets>"


def token_keys(secrets: Mapping[str, bytes]) -> dict[int, bytes]:
    """What stands under the names of token keys, by generation."""
    return {
        int(name.removeprefix(TOKEN_KEY)): secret
        for name, secret in secrets.items()
        if name.startswith(TOKEN_KEY)
    }


def _ciphers(generations: Mapping[int, bytes]) -> dict[int, hazmat.AesBlockCipher]:
    return {number: hazmat.AesBlockCipher(key) for number, key in generations.items()}
