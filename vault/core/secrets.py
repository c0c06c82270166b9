"""The vault's own secrets: rows of the keyring, opened when the vault opens, and again when they change.

    token-key/<n>     AES-256 key of token generation n (decimal); the greatest n encodes
    signing-key       Ed25519 seed: ledger entries, checkpoints, certificates
    signing-key/next  Ed25519 seed that is about to take its place
    signing-key/former/<key id>   32 bytes, a public key that signed before
    row-mac           keyed BLAKE2b over administrative rows and tombstones
    request-mac       keyed BLAKE2b over request ids and request bodies
    pseudonym-key/<domain>/<n>    32 bytes, secret of a domain's pseudonyms in generation n (both decimal)
    ca-key            the vault's own CA, PEM; ca-key/former and ca-certs: see `core.authority`

MAC keys live in guarded memory, and do not change while a vault lives; token, signing and CA keys live in
OpenSSL's heap while used, pseudonym keys in Python's.

A process learns of a change when it sees the next access version, or a token of a generation that it does
not know. Whoever changes a secret commits its row before anything that was made with it is given out.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.crypto.tokens import TokenCodec
from vault.errors import KeyUnavailableError
from vault.keys.keyring import Keyring
from vault.keys.keyrings import Keyrings
from vault.store.session import WriteSession
from vault.store.store import Store

TOKEN_KEY: Final = "token-key/"  # noqa: S105 - a name, not a secret
SIGNING_KEY: Final = "signing-key"
NEXT_SIGNING_KEY: Final = "signing-key/next"
FORMER_SIGNING_KEY: Final = "signing-key/former/"
ROW_MAC: Final = "row-mac"
REQUEST_MAC: Final = "request-mac"
PSEUDONYM_KEY: Final = "pseudonym-key/"
CA_KEY: Final = "ca-key"
FORMER_CA_KEY: Final = "ca-key/former"
CA_CERTS: Final = "ca-certs"
_HASH_KEYS: Final = (ROW_MAC, REQUEST_MAC)


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key that signs for the vault; whoever needs several signatures of one key holds on to this."""

    public_key: bytes
    key_id: str
    _seed: bytes = field(repr=False)

    @classmethod
    def of(cls, seed: bytes) -> "SigningKey":
        """From the private key, 32 bytes."""
        public_key = hazmat.public_key(seed)
        return cls(public_key, signing_key_id(public_key), seed)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature (64 bytes)."""
        return hazmat.sign(self._seed, message)


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
        self.signing_key = SigningKey.of(secrets[SIGNING_KEY])
        seeds = [secrets[name] for name in (SIGNING_KEY, NEXT_SIGNING_KEY) if name in secrets]
        self._seeds = {hazmat.public_key(seed): seed for seed in seeds}
        former = {key for name, key in secrets.items() if name.startswith(FORMER_SIGNING_KEY)}
        self.public_keys = frozenset(former | {self.signing_key.public_key})
        self.pseudonym_secrets = pseudonym_secrets(secrets)
        self.ca_key_pem = secrets[CA_KEY]
        self.former_ca_key_pem = secrets.get(FORMER_CA_KEY, b"")
        self.ca_certs_pem = secrets.get(CA_CERTS, b"")

    @property
    def public_key(self) -> bytes:
        """Of the key that signs now."""
        return self.signing_key.public_key

    def can_sign(self, public_key: bytes) -> bool:
        """Whether the private key of a public key is among the secrets, as they were last read."""
        return public_key in self._seeds

    def sign_as(self, public_key: bytes, message: bytes) -> bytes:
        """Ed25519 signature (64 bytes) with the private key of a public key; the ledger says which signs.

        Raises:
            KeyUnavailableError: it is not, or no more, among the vault's secrets.
        """
        if public_key not in self._seeds:
            self.refresh()
        seed = self._seeds.get(public_key)
        if seed is None:
            raise KeyUnavailableError("the keyring lacks the private key that signs the ledger now")
        return hazmat.sign(seed, message)

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


def pseudonym_secrets(secrets: Mapping[str, bytes]) -> dict[int, dict[int, bytes]]:
    """What stands under the names of pseudonym keys, by number of the domain, then generation."""
    found: dict[int, dict[int, bytes]] = {}
    for name, secret in secrets.items():
        if name.startswith(PSEUDONYM_KEY):
            domain, generation = name.removeprefix(PSEUDONYM_KEY).split("/")
            found.setdefault(int(domain), {})[int(generation)] = secret
    return found


def _ciphers(generations: Mapping[int, bytes]) -> dict[int, hazmat.AesBlockCipher]:
    return {number: hazmat.AesBlockCipher(key) for number, key in generations.items()}


def adopt(session: WriteSession, keyring: Keyring, public_key: bytes) -> None:
    """Makes the next signing key the signing key, which is what a ledger entry said; idempotent.

    Raises:
        KeyUnavailableError: the keyring has no such key.
    """
    rows = {name: session.secret(name) for name in (SIGNING_KEY, NEXT_SIGNING_KEY)}
    seeds = {name: keyring.unwrap_secret(name, row) for name, row in rows.items() if row is not None}
    public = {name: hazmat.public_key(seed) for name, seed in seeds.items()}
    if public.get(SIGNING_KEY) == public_key:
        return
    if public.get(NEXT_SIGNING_KEY) != public_key:
        raise KeyUnavailableError("the keyring lacks the private key that signs the ledger now")
    former = FORMER_SIGNING_KEY + signing_key_id(public[SIGNING_KEY])
    session.put_secret(former, keyring.wrap_secret(former, public[SIGNING_KEY]))
    session.put_secret(SIGNING_KEY, keyring.wrap_secret(SIGNING_KEY, seeds[NEXT_SIGNING_KEY]))
    session.delete_secret(NEXT_SIGNING_KEY)
