"""The vault's signing key gives way to a new one; what the old one signed stays verifiable.

    prepare   the new private key goes into the keyring, as `signing-key/next`
    witness   is asked whether it goes over to another key, where there is a witness
    enter     ledger: SIGNING_KEY_CHANGED, signed with the old key; all entries after it are signed with the
              new one. With it the keyring: the next key becomes the key, the former public key stays
    publish   `public/keys.json` is written anew, from the ledger

Rules:
- The private key is durable before the ledger names it, so a crash in between loses nothing: whoever takes
  the lock next finds the entry and finishes it (`adopt`), and whoever opens the vault next publishes.
- No process has to be told. The ledger says which key signs; who lacks it looks into the keyring.
- Every step may be repeated. What was prepared waits for the next call.
- The old private key is deleted like any of the vault's secrets: its row is gone at once, and what is left in
  free pages and copies of the keyring dies with the epoch.
"""

from vault.core.engine import Engine
from vault.core.keyhistory import publish
from vault.core.secretchanges import change_secrets
from vault.core.secrets import NEXT_SIGNING_KEY, adopt
from vault.core.trail import Trail
from vault.crypto import hazmat
from vault.crypto.keyids import signing_key_id
from vault.errors import KeyUnavailableError
from vault.store.entries import SigningKeyChanged
from vault.store.session import WriteSession


def rotate_signing_key(engine: Engine, trail: Trail) -> str:
    """Goes through all steps; returns the id of the key that signs now.

    Raises:
        WitnessUnavailableError: the witness cannot be used, or goes over to no other key. In the second case
            the detail `key` is what its operator has to tell it.
        KeyUnavailableError: a new epoch is being made.
        AuditUnavailableError: it could not be recorded.
    """

    def prepare(session: WriteSession) -> None:
        if session.secret(NEXT_SIGNING_KEY) is None:
            seed = hazmat.random_bytes(32)
            keyring = engine.keyrings.at(session.epoch)
            session.put_secret(NEXT_SIGNING_KEY, keyring.wrap_secret(NEXT_SIGNING_KEY, seed))

    def enter(session: WriteSession) -> str:
        keyring = engine.keyrings.at(session.epoch)
        row = session.secret(NEXT_SIGNING_KEY)
        if row is None:
            raise KeyUnavailableError("another rotation of the signing key came first")
        public_key = hazmat.public_key(keyring.unwrap_secret(NEXT_SIGNING_KEY, row))
        engine.store.require_witness(public_key)
        key_id = signing_key_id(public_key)
        trail.local("RotateSigningKey", key_id=key_id)
        session.append(SigningKeyChanged(public_key))
        adopt(session, keyring, public_key)
        return key_id

    change_secrets(engine, prepare)
    key_id = change_secrets(engine, enter)
    engine.committer.submit(lambda _: publish(engine.data_dir, engine.vault_id, engine.store.signers()))
    return key_id
