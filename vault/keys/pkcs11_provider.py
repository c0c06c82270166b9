"""Root keys on a PKCS #11 token (v2.40): AES-256 keys that the token made and never gives out.

    secret key   CKA_LABEL = root key id; sensitive, not extractable, for encryption and decryption only
    data object  CKA_LABEL = root key id, CKA_APPLICATION = "customervault": the key was destroyed
    wrapped      nonce 12 | ciphertext | tag 16, AES-256-GCM with the context as associated data

The nonce is random; a root key wraps one epoch key, so it never repeats. A disabled key has
CKA_ENCRYPT and CKA_DECRYPT false. The data object is written before the key is destroyed: it tells a
destroyed key from one that is looked for on the wrong token.

Destruction counts as `hardware` only where both the slot (CKF_HW_SLOT) and the mechanism that makes the keys
(CKF_HW) say that they are hardware. SoftHSM says neither: its keys are files, the assurance is best effort.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

from vault.config import Pkcs11Settings
from vault.crypto import hazmat
from vault.errors import KeyUnavailableError
from vault.keys.provider import (
    Assurance,
    Destruction,
    KeyDescription,
    KeyState,
    nothing_to_destroy,
    now_ms,
    read_secret_file,
    require_settings,
)
from vault.model.secret import Secret

_APPLICATION = "customervault"
_NONCE_BYTES, _TAG_BYTES = 12, 16
_RETENTION = (
    "backups and clones of the token (other members of a cluster, token files) keep the key until they are "
    "destroyed; the vault cannot see them"
)
_KEY_TEMPLATE = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.SIGN: False,
    Attribute.VERIFY: False,
    Attribute.DERIVE: False,
}
_CONFINED = {
    Attribute.LOCAL: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.ALWAYS_SENSITIVE: True,
}
_SAYS = {
    pkcs11.PinIncorrect: "the PIN is not the token's",
    pkcs11.PinInvalid: "the PIN is not the token's",
    pkcs11.PinLenRange: "the PIN is not the token's",
    pkcs11.PinLocked: "the token's PIN is locked",
    pkcs11.PinExpired: "the token's PIN has expired",
    pkcs11.UserPinNotInitialized: "the token has no user PIN yet",
    pkcs11.TokenNotPresent: "the token is not present",
    pkcs11.DeviceRemoved: "the token is not present",
    pkcs11.TokenWriteProtected: "the token is write-protected",
    pkcs11.MechanismInvalid: "the token lacks AES-GCM or AES keys of 256 bits",
    pkcs11.AttributeReadOnly: "the token does not let its keys be disabled",
}
# What tokens answer to a wrong tag. SoftHSM calls it a general error.
_NOT_OPENED = (
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
    pkcs11.DataInvalid,
    pkcs11.GeneralError,
    pkcs11.FunctionFailed,
)


class Pkcs11Provider:
    """Key provider `pkcs11`. Each call opens a session of its own."""

    name = "pkcs11"

    def __init__(
        self, settings: Pkcs11Settings, pin: Secret | None, *, backups_ms: int | None = None
    ) -> None:
        """Takes what `keys.pkcs11` says; `backups_ms` is how long backups of the token outlive a key."""
        require_settings("pkcs11", module=settings.module, token_label=settings.token_label)
        self._settings = settings
        self._backups_ms = backups_ms
        self._where = f"token {settings.token_label}"
        self._pin = read_secret_file(settings.pin_file, "keys.pkcs11.pin_file") if settings.pin_file else pin

    @property
    def assurance(self) -> Assurance:
        """`hardware` where the token itself says so, else best effort."""
        with _translated(self._where):
            slot = self._token().slot
            makes_keys = slot.get_mechanism_info(Mechanism.AES_KEY_GEN)
            hardware = _claims_hardware(slot.flags, makes_keys.flags)
        return Assurance.HARDWARE if hardware else Assurance.BEST_EFFORT

    def create(self, root_key_id: str) -> None:
        """Has the token make the key."""
        if self._settings.require_hardware and self.assurance is not Assurance.HARDWARE:
            raise KeyUnavailableError(f"{self._where} does not say that it is hardware")
        with self._session() as session:
            seen = self._describe(session, root_key_id)
            if seen.state is not KeyState.ACTIVE:
                seen.require(KeyState.MISSING, self._where)
                session.generate_key(
                    KeyType.AES,
                    256,
                    label=root_key_id,
                    id=root_key_id.encode(),
                    store=True,
                    template=_KEY_TEMPLATE,
                )
            self._active_key(session, root_key_id)

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Seals `key` on the token."""
        nonce = hazmat.random_bytes(_NONCE_BYTES)
        with self._session() as session:
            root = self._active_key(session, root_key_id)
            sealed: bytes = root.encrypt(
                key, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, context)
            )
            return nonce + sealed

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Opens a wrapped key on the token."""
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        with self._session() as session:
            root = self._active_key(session, root_key_id)
            try:
                if len(sealed) < _TAG_BYTES:
                    raise pkcs11.EncryptedDataLenRange
                opened: bytes = root.decrypt(
                    sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, context)
                )
            except _NOT_OPENED as error:
                raise KeyUnavailableError("the root key does not open this keyring") from error
            return opened

    def disable(self, root_key_id: str) -> None:
        """Takes encryption and decryption from the key."""
        self._allow(root_key_id, KeyState.ACTIVE, KeyState.DISABLED)

    def enable(self, root_key_id: str) -> None:
        """Gives them back."""
        self._allow(root_key_id, KeyState.DISABLED, KeyState.ACTIVE)

    def destroy(self, root_key_id: str) -> Destruction:
        """Leaves the data object, then has the token destroy the key (C_DestroyObject)."""
        assurance = self.assurance
        with self._session() as session:
            seen = self._describe(session, root_key_id)
            if seen.state is KeyState.MISSING:
                return nothing_to_destroy(seen, assurance)
            if not _markers(session, root_key_id):
                session.create_object(_marker(root_key_id) | {Attribute.TOKEN: True, Attribute.VALUE: b"1"})
            for key in _keys(session, root_key_id):
                key.destroy()
            seen = self._describe(session, root_key_id)
            seen.require(KeyState.DESTROYED, self._where)
        evidence = f"C_DestroyObject done; {seen.evidence}"
        if assurance is not Assurance.HARDWARE:
            evidence += "; the token is software or does not say that it is hardware"
        return Destruction(root_key_id, evidence, assurance, now_ms(), _RETENTION, self._backups_ms)

    def describe(self, root_key_id: str) -> KeyDescription:
        """The state by the token's objects."""
        with self._session() as session:
            return self._describe(session, root_key_id)

    def _allow(self, root_key_id: str, old: KeyState, new: KeyState) -> None:
        with self._session() as session:
            seen = self._describe(session, root_key_id)
            if seen.state is new:
                return
            seen.require(old, self._where)
            (key,) = _keys(session, root_key_id)
            key[Attribute.ENCRYPT] = key[Attribute.DECRYPT] = new is KeyState.ACTIVE

    def _describe(self, session: pkcs11.Session, root_key_id: str) -> KeyDescription:
        keys, destroyed = _keys(session, root_key_id), _markers(session, root_key_id)
        if len(keys) > 1:
            raise KeyUnavailableError(f"{self._where} has several keys called {root_key_id}")
        if destroyed:
            state = KeyState.PENDING_DESTRUCTION if keys else KeyState.DESTROYED
        elif not keys:
            state = KeyState.MISSING
        else:
            usable = keys[0][Attribute.ENCRYPT] and keys[0][Attribute.DECRYPT]
            state = KeyState.ACTIVE if usable else KeyState.DISABLED
        token = session.token
        kind = f"{token.manufacturer_id} {token.model}, serial {token.serial.decode(errors='replace')}"
        evidence = f"{state} by the objects of {self._where} ({kind})"
        return KeyDescription(root_key_id, state, evidence, _RETENTION, now_ms())

    def _active_key(self, session: pkcs11.Session, root_key_id: str) -> Any:
        self._describe(session, root_key_id).require(KeyState.ACTIVE, self._where)
        (key,) = _keys(session, root_key_id)
        if any(key[attribute] is not wanted for attribute, wanted in _CONFINED.items()):
            raise KeyUnavailableError(f"root key {root_key_id} was not made on its token, or may leave it")
        return key

    def _token(self) -> pkcs11.Token:
        return pkcs11.lib(self._settings.module).get_token(token_label=self._settings.token_label)

    @contextmanager
    def _session(self) -> Iterator[pkcs11.Session]:
        if self._pin is None or not len(self._pin):
            raise KeyUnavailableError(
                "the PIN of the token is needed: keys.pkcs11.pin_file or the passphrase"
            )
        with (
            _translated(self._where),
            self._token().open(rw=True, user_pin=self._pin.reveal()) as session,
        ):
            yield session


def _claims_hardware(slot_flags: int, mechanism_flags: int) -> bool:
    return bool(slot_flags & pkcs11.SlotFlag.HW_SLOT and mechanism_flags & pkcs11.MechanismFlag.HW)


def _gcm(nonce: bytes, context: bytes) -> GCMParams:
    return GCMParams(nonce, aad=context, tag_bits=8 * _TAG_BYTES)


def _keys(session: pkcs11.Session, root_key_id: str) -> list[Any]:
    # Whole lists, because a search that is not finished blocks the session.
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: root_key_id}))


def _markers(session: pkcs11.Session, root_key_id: str) -> list[Any]:
    return list(session.get_objects(_marker(root_key_id)))


def _marker(root_key_id: str) -> dict[Attribute, Any]:
    return {
        Attribute.CLASS: ObjectClass.DATA,
        Attribute.APPLICATION: _APPLICATION,
        Attribute.LABEL: root_key_id,
    }


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except pkcs11.NoSuchToken as error:
        raise KeyUnavailableError(f"{where} is not there") from error
    except pkcs11.PKCS11Error as error:
        # The library has the bare class for one thing: a module that cannot be loaded.
        unknown = "the PKCS #11 module cannot be loaded" if type(error) is pkcs11.PKCS11Error else None
        said = _SAYS.get(type(error), unknown) or f"the token failed ({type(error).__name__})"
        raise KeyUnavailableError(f"{where}: {said}") from error
