"""The one place for raw primitives. Everything else in the vault goes through these functions.

Rules:
- Keys of customers and epochs live in `GuardedMemory` and reach libsodium as pointers. No `bytes`
  object ever holds one; `open_secret_to` and `seal_secret_at` move them pointer to pointer.
- PyNaCl's shared object is called through its raw cffi functions: its Python wrappers cost 3.5 us
  a call, the functions themselves 1.0 us (XChaCha20-Poly1305) or less.
- cffi checks types, not lengths. Every length a C function relies on is checked here.
- Functions raise. The two exceptions, for the hot path, carry it in their type: `bytes | None`.

Why random nonces are safe, a suite at a time:
- XChaCha20-Poly1305, 192 bits, and AEGIS-256, 256 bits: a repeat among 2**64 records of one key
  has a chance below 2**-64. They stay safe after a restore, where a counter would run again.
- AES-256-GCM, 96 bits: a repeat among 2**32 records of one key has a chance of 2**-33, within
  NIST SP 800-38D section 8.3. A key seals one generation of one customer: all 2**24 value numbers
  would have to be written 256 times over.
"""

import functools
import hmac
import threading
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import _sodium  # type: ignore[attr-defined]

from vault.crypto import known_answers
from vault.crypto.guarded import GuardedMemory, KeyPointer, copy_key, load_key
from vault.crypto.suites import AEGIS_256, AES_256_GCM, KEY_BYTES, SUITES, XCHACHA20_POLY1305
from vault.errors import IntegrityFailedError, InvalidRequestError, KeyUnavailableError

__all__ = [
    "AES_GCM_AVAILABLE",
    "ARGON2_SALT_BYTES",
    "SECRET_OVERHEAD_BYTES",
    "AesBlockCipher",
    "GuardedMemory",
    "KeyPointer",
    "Opener",
    "argon2id",
    "constant_time_equal",
    "copy_key",
    "derive_public",
    "derive_subkey",
    "fill_random",
    "hkdf_sha256",
    "keyed_hash",
    "keyed_hashes",
    "load_key",
    "open_secret_to",
    "public_key",
    "random_bytes",
    "seal",
    "seal_each",
    "seal_secret_at",
    "self_test",
    "sign",
    "verify",
    "wipe",
]

_lib: Final = _sodium.lib
_ffi: Final = _sodium.ffi
_NULL: Final = _ffi.NULL

_new_uncleared: Final = _ffi.new_allocator(should_clear_after_alloc=False)
_xchacha_open: Final = _lib.crypto_aead_xchacha20poly1305_ietf_decrypt
_xchacha_seal: Final = _lib.crypto_aead_xchacha20poly1305_ietf_encrypt
_blake2b: Final = _lib.crypto_generichash_blake2b_salt_personal

AES_GCM_AVAILABLE: Final = _lib.crypto_aead_aes256gcm_is_available() == 1
"""Whether this CPU has the instructions that libsodium's AES-256-GCM needs."""

_SEAL: Final[dict[int, Callable[..., int]]] = {
    XCHACHA20_POLY1305: _xchacha_seal,
    AES_256_GCM: _lib.crypto_aead_aes256gcm_encrypt,
    AEGIS_256: _lib.crypto_aead_aegis256_encrypt,
}
_OPEN: Final[dict[int, Callable[..., int]]] = {
    XCHACHA20_POLY1305: _xchacha_open,
    AES_256_GCM: _lib.crypto_aead_aes256gcm_decrypt,
    AEGIS_256: _lib.crypto_aead_aegis256_decrypt,
}
_SEAL_NAMES: Final = {
    XCHACHA20_POLY1305: "crypto_aead_xchacha20poly1305_ietf_encrypt",
    AES_256_GCM: "crypto_aead_aes256gcm_encrypt",
    AEGIS_256: "crypto_aead_aegis256_encrypt",
}
_OPEN_NAMES: Final = {
    XCHACHA20_POLY1305: "crypto_aead_xchacha20poly1305_ietf_decrypt",
    AES_256_GCM: "crypto_aead_aes256gcm_decrypt",
    AEGIS_256: "crypto_aead_aegis256_decrypt",
}
_SEALERS: Final = {
    number: (_SEAL[number], suite.nonce_bytes, suite.tag_bytes) for number, suite in SUITES.items()
}
_BYTES: Final = _ffi.typeof("unsigned char[]")  # naming the type by text costs a parse a call
_XCHACHA_NONCE: Final = 24
_XCHACHA_TAG: Final = 16
SECRET_OVERHEAD_BYTES: Final = _XCHACHA_NONCE + _XCHACHA_TAG
ARGON2_SALT_BYTES: Final = 16


_SCRATCH_BYTES: Final = 4096


class _Scratch(threading.local):
    """Where a thread's sealed data and hashes appear before they become `bytes`; never a key or plaintext."""

    def __init__(self) -> None:
        self.out = _ffi.new("unsigned char[]", _SCRATCH_BYTES)
        self.view = _ffi.buffer(self.out)
        self.behind_nonce = {suite.nonce_bytes: self.out + suite.nonce_bytes for suite in SUITES.values()}


_scratch: Final = _Scratch()


def random_bytes(size: int) -> bytes:
    """`size` bytes of the kernel's randomness."""
    out = _ffi.new("unsigned char[]", size)
    _lib.randombytes(out, size)
    return bytes(_ffi.buffer(out))


def address_of(pointer: KeyPointer) -> int:
    """Where a key lies, for compiled code."""
    return int(_ffi.cast("uintptr_t", pointer))


def open_function(suite: int) -> int:
    """The address of libsodium's function that opens a suite's records, for compiled code.

    Raises:
        KeyUnavailableError: this CPU cannot do it.
    """
    _require_cpu(suite)
    return _function(_OPEN_NAMES[suite])


def seal_function(suite: int) -> int:
    """The address of libsodium's function that seals a suite's records; raises as `open_function`."""
    _require_cpu(suite)
    return _function(_SEAL_NAMES[suite])


def hash_function() -> int:
    """The address of keyed BLAKE2b with salt and personalisation, for compiled code."""
    return _function("crypto_generichash_blake2b_salt_personal")


def random_function() -> int:
    """The address of the source of randomness, for compiled code."""
    return _function("randombytes")


def _function(name: str) -> int:
    return int(_ffi.cast("uintptr_t", _ffi.addressof(_lib, name)))


def pointer_at(address: int) -> KeyPointer:
    """The inverse of `address_of`."""
    return _ffi.cast("unsigned char *", address)


def fill_random(destination: KeyPointer, size: int) -> None:
    """Writes `size` bytes of the kernel's randomness at `destination`: a new key, born in place."""
    _lib.randombytes(destination, size)


def wipe(key: KeyPointer) -> None:
    """Zeroes a key of 32 bytes."""
    _lib.sodium_memzero(key, KEY_BYTES)


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Whether both are equal, in a time that depends on their lengths only."""
    return hmac.compare_digest(left, right)


class Opener:
    """Opens sealed data into one output buffer of its own, and so belongs to one thread.

    The buffer holds the last plaintext until the next call or `wipe`.
    """

    __slots__ = ("_capacity", "_out", "_view")

    def __init__(self, capacity: int = 65536 + 1024) -> None:
        self._reserve(capacity)

    def _grow(self, capacity: int) -> None:
        self.wipe()
        self._reserve(capacity)

    def _reserve(self, capacity: int) -> None:
        self._capacity = capacity
        self._out = _ffi.new("unsigned char[]", capacity)
        self._view = _ffi.buffer(self._out)  # a slice of it is a new bytes object

    def open(self, suite: int, key: KeyPointer, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext of `ciphertext` (its tag at the end).

        Raises:
            IntegrityFailedError: anything is not as it was sealed.
            KeyUnavailableError: this CPU cannot do the suite.
        """
        known = SUITES.get(suite)
        if known is None or len(nonce) != known.nonce_bytes:
            raise IntegrityFailedError
        _require_cpu(suite)
        size = len(ciphertext)
        if size > self._capacity:
            self._grow(size)
        if _OPEN[suite](self._out, _NULL, _NULL, ciphertext, size, aad, len(aad), nonce, key) != 0:
            raise IntegrityFailedError
        return bytes(self._view[: size - known.tag_bytes])

    def open_fast(self, suite: int) -> Callable[[KeyPointer, bytes, bytes, bytes], bytes | None]:
        """A function (key, nonce, ciphertext, aad) for the hot path: None where `open` raises.

        Raises:
            InvalidRequestError: no such suite.
            KeyUnavailableError: this CPU cannot do it.
        """
        known = SUITES.get(suite)
        if known is None:
            raise InvalidRequestError("no such AEAD suite")
        _require_cpu(suite)
        raw_open, nonce_bytes, tag_bytes = _OPEN[suite], known.nonce_bytes, known.tag_bytes

        def open_one(key: KeyPointer, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes | None:
            size = len(ciphertext)
            if size > self._capacity:
                self._grow(size)
            if len(nonce) != nonce_bytes or raw_open(
                self._out, _NULL, _NULL, ciphertext, size, aad, len(aad), nonce, key
            ):
                return None
            return self._view[: size - tag_bytes]  # type: ignore[no-any-return]

        return open_one

    def wipe(self) -> None:
        """Zeroes the buffer."""
        _lib.sodium_memzero(self._out, self._capacity)


def seal(suite: int, key: KeyPointer, plaintext: bytes, aad: bytes) -> bytes:
    """Seals under a fresh random nonce and returns nonce | ciphertext | tag.

    Any thread may call it. The module's docstring says why random nonces are safe in each suite.

    Raises:
        InvalidRequestError: no such suite.
        KeyUnavailableError: this CPU cannot do the suite.
    """
    raw_seal, nonce_bytes, tag_bytes = _sealer(suite)
    size = len(plaintext)
    total = nonce_bytes + size + tag_bytes
    if total > _SCRATCH_BYTES:
        out = _new_uncleared(_BYTES, total)
        sealed, view = out + nonce_bytes, _ffi.buffer(out)
    else:
        scratch = _scratch
        out, view, sealed = scratch.out, scratch.view, scratch.behind_nonce[nonce_bytes]
    _lib.randombytes(out, nonce_bytes)
    if raw_seal(sealed, _NULL, plaintext, size, aad, len(aad), _NULL, out, key) != 0:
        raise KeyUnavailableError("sealing failed")
    return view[:total]  # type: ignore[no-any-return]


def seal_each(suite: int, key: KeyPointer, parts: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Seals pairs of plaintext and associated data under one key, each as `seal` does; raises as that.

    The random nonces of all are asked of the kernel at once: asking is as dear as sealing a short text.
    """
    raw_seal, nonce_bytes, tag_bytes = _sealer(suite)
    scratch, sealed, at = _scratch, [], 0
    out, view, most = scratch.out, scratch.view, _SCRATCH_BYTES - tag_bytes
    wanted = nonce_bytes * len(parts)
    if wanted <= _SCRATCH_BYTES:
        _lib.randombytes(out, wanted)
        nonces = view[:wanted]
    else:
        nonces = random_bytes(wanted)
    for plaintext, aad in parts:
        size = len(plaintext)
        nonce = nonces[at : at + nonce_bytes]
        at += nonce_bytes
        if size > most:
            sealed.append(seal(suite, key, plaintext, aad))
            continue
        if raw_seal(out, _NULL, plaintext, size, aad, len(aad), _NULL, nonce, key) != 0:
            raise KeyUnavailableError("sealing failed")
        sealed.append(nonce + view[: size + tag_bytes])
    return sealed


def _sealer(suite: int) -> tuple[Callable[..., int], int, int]:
    known = _SEALERS.get(suite)
    if known is None:
        raise InvalidRequestError("no such AEAD suite")
    if suite == AES_256_GCM:
        _require_cpu(suite)
    return known


def _require_cpu(suite: int) -> None:
    # OpenSSL could do it in software, but would keep the key schedule in its own, unlocked heap.
    if suite == AES_256_GCM and not AES_GCM_AVAILABLE:
        raise KeyUnavailableError("this CPU has no AES instructions, which suite aes-256-gcm needs")


def seal_secret_at(key: KeyPointer, source: KeyPointer, size: int, aad: bytes) -> bytes:
    """Wraps `size` bytes of key material: nonce (24) | XChaCha20-Poly1305 ciphertext | tag (16)."""
    total = SECRET_OVERHEAD_BYTES + size
    if total > _SCRATCH_BYTES:
        raise ValueError("a secret is short")
    scratch = _scratch
    out, sealed = scratch.out, scratch.behind_nonce[_XCHACHA_NONCE]
    _lib.randombytes(out, _XCHACHA_NONCE)
    if _xchacha_seal(sealed, _NULL, source, size, aad, len(aad), _NULL, out, key) != 0:
        raise KeyUnavailableError("wrapping failed")
    return scratch.view[:total]  # type: ignore[no-any-return]


def open_secret_to(key: KeyPointer, sealed: bytes, aad: bytes, destination: KeyPointer, size: int) -> None:
    """Unwraps what `seal_secret_at` made into `size` bytes at `destination`.

    Raises:
        IntegrityFailedError: anything is not as it was sealed; the destination then holds zeros
            or what it held before.
    """
    if len(sealed) != SECRET_OVERHEAD_BYTES + size:
        raise IntegrityFailedError
    nonce, ciphertext = sealed[:_XCHACHA_NONCE], sealed[_XCHACHA_NONCE:]
    if _xchacha_open(destination, _NULL, _NULL, ciphertext, len(ciphertext), aad, len(aad), nonce, key):
        raise IntegrityFailedError


def derive_subkey(master: KeyPointer, subkey_id: int, context: bytes, destination: KeyPointer) -> None:
    """Writes a 32-byte subkey of the 32-byte `master` at `destination`.

    It is libsodium's `crypto_kdf_derive_from_key`: keyed BLAKE2b of nothing, with the number
    (64 bits, little endian) as salt and the 8 bytes of `context` as personalisation.
    """
    _derive(master, subkey_id, context, destination, KEY_BYTES)


def derive_subkeys(master: KeyPointer, context: bytes, wanted: Sequence[tuple[int, KeyPointer]]) -> None:
    """Writes several 32-byte subkeys: pairs of a number and a destination, as `derive_subkey`."""
    labels = _kdf_labels
    for subkey_id, destination in wanted:
        salt, personal = labels(subkey_id, context)
        if _blake2b(destination, KEY_BYTES, _NULL, 0, master, KEY_BYTES, salt, personal) != 0:
            raise KeyUnavailableError("key derivation failed")


def derive_public(master: KeyPointer, subkey_id: int, context: bytes, size: int) -> bytes:
    """A derived value that may be shown, such as a key check value: 16 to 64 bytes."""
    if not 16 <= size <= 64:
        raise ValueError("a derived value has 16 to 64 bytes")
    out = _scratch.out
    _derive(master, subkey_id, context, out, size)
    return _scratch.view[:size]  # type: ignore[no-any-return]


def _derive(master: KeyPointer, subkey_id: int, context: bytes, destination: KeyPointer, size: int) -> None:
    salt, personal = _kdf_labels(subkey_id, context)
    if _blake2b(destination, size, _NULL, 0, master, KEY_BYTES, salt, personal) != 0:
        raise KeyUnavailableError("key derivation failed")


@functools.cache
def _kdf_labels(subkey_id: int, context: bytes) -> tuple[bytes, bytes]:
    if len(context) != 8:
        raise ValueError("a derivation context has 8 bytes")
    return subkey_id.to_bytes(8, "little") + bytes(8), context + bytes(8)


def keyed_hash(key: KeyPointer, data: bytes, size: int = 16) -> bytes:
    """Keyed BLAKE2b (RFC 7693) of `data` under a 32-byte key: 16 to 64 bytes."""
    if not 16 <= size <= 64:
        raise ValueError("a keyed hash has 16 to 64 bytes")
    out = _scratch.out
    if _blake2b(out, size, data, len(data), key, KEY_BYTES, _NULL, _NULL) != 0:
        raise KeyUnavailableError("hashing failed")
    return _scratch.view[:size]  # type: ignore[no-any-return]


def keyed_hashes(key: KeyPointer, messages: Sequence[bytes]) -> list[bytes]:
    """`keyed_hash` (16 bytes) of each message."""
    scratch, hashes = _scratch, []
    out, view = scratch.out, scratch.view
    for message in messages:
        if _blake2b(out, 16, message, len(message), key, KEY_BYTES, _NULL, _NULL) != 0:
            raise KeyUnavailableError("hashing failed")
        hashes.append(view[:16])
    return hashes


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """A key of `size` bytes, derived from a secret (HKDF with SHA-256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)


class AesBlockCipher:
    """AES-256 (FIPS 197) over independent 16-byte blocks, any number of them in one call.

    This is ECB mode, and right here: each block is one token, enciphered on its own (encode, then
    encipher: Bellare and Rogaway, 2000). Equal tokens are meant to be equal, no token is
    chained to another, and the redundancy inside the block is what authenticates it.
    Any thread may call it. The key lives in OpenSSL's heap.
    """

    __slots__ = ("_decipher", "_encipher", "_lock")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise KeyUnavailableError("a token key has 32 bytes")
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - see the class
        # ECB keeps nothing between calls, so one context serves them all; two threads at once
        # in the same context are refused by cryptography, hence the lock.
        self._encipher = cipher.encryptor()
        self._decipher = cipher.decryptor()
        self._lock = threading.Lock()

    def encipher(self, blocks: bytes) -> bytes:
        """Enciphers each 16 bytes of `blocks`."""
        _require_whole_blocks(blocks)
        with self._lock:
            return self._encipher.update(blocks)

    def decipher(self, blocks: bytes) -> bytes:
        """Deciphers each 16 bytes of `blocks`."""
        _require_whole_blocks(blocks)
        with self._lock:
            return self._decipher.update(blocks)

    def __repr__(self) -> str:
        return "<block cipher>"


def _require_whole_blocks(blocks: bytes) -> None:
    # A part of a block would stay in the context and shift every later call.
    if len(blocks) % 16:
        raise ValueError("not whole blocks of 16 bytes")


def sign(seed: bytes, message: bytes) -> bytes:
    """The Ed25519 signature (RFC 8032), 64 bytes, under a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_key(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Checks an Ed25519 signature.

    Raises:
        IntegrityFailedError: it is not that key's signature of that message.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise IntegrityFailedError from None


def argon2id(passphrase: bytes, salt: bytes, *, opslimit: int, memlimit: int, size: int = KEY_BYTES) -> bytes:
    """A key from a passphrase by Argon2id 1.3 (RFC 9106) with one lane.

    Args:
        passphrase: of any length.
        salt: 16 random bytes.
        opslimit: passes over the memory.
        memlimit: bytes of memory.
        size: bytes to derive.

    Raises:
        KeyUnavailableError: parameters out of range, or too little memory.
    """
    if len(salt) != ARGON2_SALT_BYTES:
        raise KeyUnavailableError("an Argon2id salt has 16 bytes")
    out = _ffi.new("unsigned char[]", size)
    algorithm = _lib.crypto_pwhash_alg_argon2id13()
    code = _lib.crypto_pwhash(out, size, passphrase, len(passphrase), salt, opslimit, memlimit, algorithm)
    if code != 0:
        raise KeyUnavailableError("Argon2id failed", opslimit=str(opslimit), memlimit=str(memlimit))
    return bytes(_ffi.buffer(out))


def self_test() -> None:
    """Checks every primitive against a published answer; called once before a process serves.

    Raises:
        KeyUnavailableError: one answer is wrong, so this process must not touch data.
    """
    memory = GuardedMemory(KEY_BYTES)
    try:
        for answer in known_answers.SEALED:
            if answer.suite != AES_256_GCM or AES_GCM_AVAILABLE:
                _test_suite(memory, answer)
        load_key(memory.pointer(), known_answers.KDF_MASTER)
        subkey = derive_public(memory.pointer(), 0, known_answers.KDF_CONTEXT, 64)
        _require_answer("BLAKE2b", subkey == known_answers.KDF_SUBKEY)
    finally:
        memory.free()
    aes = AesBlockCipher(known_answers.AES_KEY)
    _require_answer("AES-256", aes.encipher(known_answers.AES_PLAIN) == known_answers.AES_CIPHER)
    _require_answer("AES-256", aes.decipher(known_answers.AES_CIPHER) == known_answers.AES_PLAIN)
    signature = sign(known_answers.SIGN_SEED, known_answers.SIGN_MESSAGE)
    _require_answer("Ed25519", signature == known_answers.SIGN_SIGNATURE)
    verify(known_answers.SIGN_PUBLIC, signature, known_answers.SIGN_MESSAGE)


def _test_suite(memory: GuardedMemory, answer: known_answers.SealedAnswer) -> None:
    name, key, opener = SUITES[answer.suite].name, memory.pointer(), Opener(1024)
    load_key(key, answer.key)
    try:
        opened = opener.open(answer.suite, key, answer.nonce, answer.ciphertext, answer.aad)
    except IntegrityFailedError:
        opened = b""
    _require_answer(name, opened == answer.plaintext)
    try:
        opener.open(answer.suite, key, answer.nonce, answer.ciphertext, answer.aad + b"x")
    except IntegrityFailedError:
        return
    raise KeyUnavailableError("an AEAD accepts forgeries", primitive=name)


def _require_answer(primitive: str, passed: bool) -> None:
    if not passed:
        raise KeyUnavailableError("a known-answer test failed", primitive=primitive)
