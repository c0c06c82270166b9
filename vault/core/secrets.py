"""The vault's own secrets: rows of the keyring, opened once when the vault opens.

    token-key/<n>     AES-256 key of token generation n (decimal)
    signing-key       Ed25519 seed: ledger entries, checkpoints, certificates
    row-mac           keyed BLAKE2b over administrative rows and tombstones
    request-mac       keyed BLAKE2b over request ids and request bodies
    ca-key            the vault's own CA, PEM

MAC keys live in guarded memory; token, signing and CA keys live in OpenSSL's heap while used.
"""

from collections.abc import Mapping
from typing import Final

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.crypto.tokens import TokenCodec
from vault.errors import KeyUnavailableError

TOKEN_KEY: Final = "token-key/"  # noqa: S105 - a name, not a secret
SIGNING_KEY: Final = "signing-key"
ROW_MAC: Final = "row-mac"
REQUEST_MAC: Final = "request-mac"
CA_KEY: Final = "ca-key"
_HASH_KEYS: Final = (ROW_MAC, REQUEST_MAC)


class VaultSecrets:
    """Uses the vault's own secrets; shows none of them."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        missing = sorted({SIGNING_KEY, CA_KEY, f"{TOKEN_KEY}1", *_HASH_KEYS} - secrets.keys())
        if missing:
            raise KeyUnavailableError(f"the keyring lacks {', '.join(missing)}")
        self._memory = hazmat.GuardedMemory(32 * len(_HASH_KEYS))
        self._hash_keys: dict[str, hazmat.KeyPointer] = {}
        for position, name in enumerate(_HASH_KEYS):
            self._hash_keys[name] = self._memory.pointer(32 * position)
            hazmat.load_key(self._hash_keys[name], secrets[name])
        generations = {
            int(name.removeprefix(TOKEN_KEY)): key
            for name, key in secrets.items()
            if name.startswith(TOKEN_KEY)
        }
        self.token_key_generation = max(generations)
        self.codec = TokenCodec(
            {generation: hazmat.AesBlockCipher(key) for generation, key in generations.items()},
            current=self.token_key_generation,
        )
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
