r"""Signed notes (c2sp.org/signed-note) with Ed25519 signatures and cosignatures (c2sp.org/tlog-cosignature).

    note            text, ending in a newline | empty line | signature lines
    signature line  "— " | key name | " " | base64( key id 4 | signature ) | newline
    key id          SHA-256( name | 0x0A | type | public key )[:4]
    type 0x01       Ed25519 over the text
    type 0x04       time u64 | Ed25519 over "cosignature/v1\ntime <seconds>\n" and the text
    verifier key    name "+" key id in hex "+" base64( type | public key )

Rules:
- A signature of a key that is not known is ignored; one of a known key must verify, or the note is refused.
- A note counts for nothing unless at least one known key has signed it.
- A note has at most 64 KiB and 64 signatures.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from vault.crypto import hazmat
from vault.errors import IntegrityFailedError, InvalidRequestError

ED25519: Final = 1
COSIGNATURE: Final = 4
MAX_NOTE_BYTES: Final = 64 << 10
MAX_SIGNATURES: Final = 64
_SIGNATURE_BYTES: Final = {ED25519: 64, COSIGNATURE: 8 + 64}
_PUBLIC_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_DASH = "\u2014 "

Sign = Callable[[bytes], bytes]
"""Message to Ed25519 signature (64 bytes)."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under the name by which notes know it. `type` is `ED25519` or `COSIGNATURE`."""

    name: str
    type: int
    public_key: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise InvalidRequestError("a key's name is not empty, without spaces and plus signs")
        if self.type not in _SIGNATURE_BYTES or len(self.public_key) != _PUBLIC_KEY_BYTES:
            raise InvalidRequestError("a verifier key of an unknown type")

    @property
    def id(self) -> bytes:
        """4 bytes that stand in every signature, with the name."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """The verifier key as text."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self._typed).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Reads the text of a verifier key.

        Raises:
            InvalidRequestError: it is none, or of a type that is not known here.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        typed = decode_base64(encoded)
        key = cls(name, typed[0] if typed else 0, typed[1:])
        if key.id.hex() != key_id:
            raise InvalidRequestError("a verifier key whose id is not its own")
        return key

    @property
    def _typed(self) -> bytes:
        return bytes([self.type]) + self.public_key


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: by whom, and the signature's bytes, which for a cosignature begin with its time."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with its signatures, none of them verified yet."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        return f"{self.text}\n{''.join(each.line() for each in self.signatures)}".encode()

    def with_signatures(self, signatures: Iterable[Signature]) -> "Note":
        """The same note with further signatures behind its own."""
        return Note(self.text, (*self.signatures, *signatures))

    @classmethod
    def parse(cls, content: bytes) -> "Note":
        """Reads a note.

        Raises:
            InvalidRequestError: it is none.
        """
        if len(content) > MAX_NOTE_BYTES:
            raise InvalidRequestError("a note of more than 64 KiB")
        try:
            whole = content.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequestError("a note is UTF-8") from error
        if any(character < " " and character != "\n" for character in whole):
            raise InvalidRequestError("a note holds no control characters")
        text, separator, lines = whole.rpartition("\n\n")
        if not separator:
            raise InvalidRequestError("a note without signatures")
        return cls(text + "\n", parse_signatures(lines))


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature of a known key that holds. `time_s` is a cosignature's Unix time, else 0."""

    key: VerifierKey
    signature: Signature
    time_s: int


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Reads signature lines, each with its newline.

    Raises:
        InvalidRequestError: there is none, or one that is malformed.
    """
    *found, rest = lines.split("\n")
    if rest or not 0 < len(found) <= MAX_SIGNATURES:
        raise InvalidRequestError("a note has 1 to 64 signature lines")
    return tuple(_parse_line(line) for line in found)


def sign(text: str, key: VerifierKey, signer: Sign) -> Signature:
    """Signs a text with the private key of `key`, of type `ED25519`."""
    if key.type != ED25519 or not text.endswith("\n"):
        raise ValueError("needs a text that ends in a newline, and a key that signs notes")
    return Signature(key.name, key.id, signer(text.encode()))


def cosign(text: str, key: VerifierKey, signer: Sign, time_s: int) -> Signature:
    """Cosigns a checkpoint's text at a Unix time, with the private key of `key`, of type `COSIGNATURE`."""
    if key.type != COSIGNATURE or not text.endswith("\n"):
        raise ValueError("needs a text that ends in a newline, and a key that cosigns")
    signature = signer(_cosigned(text, time_s))
    return Signature(key.name, key.id, time_s.to_bytes(8, "big") + signature)


def verify(note: Note, keys: Iterable[VerifierKey]) -> list[Verified]:
    """The note's signatures of known keys, all of which hold; at least one.

    Raises:
        IntegrityFailedError: one of them does not hold, or there is none.
    """
    known = {(key.name, key.id): key for key in keys}
    verified = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verified.append(Verified(key, signature, _verify(note.text, key, signature.value)))
    if not verified:
        raise IntegrityFailedError
    return verified


def is_key_name(name: str) -> bool:
    """Whether a key, or an origin, may have this name."""
    return bool(name) and "+" not in name and not any(each.isspace() or each < " " for each in name)


def decode_base64(text: str) -> bytes:
    """Reads strict, canonical base64.

    Raises:
        InvalidRequestError: it is not.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise InvalidRequestError("not base64 in its one form")
    return decoded


def _parse_line(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not is_key_name(name):
        raise InvalidRequestError("a malformed signature line")
    decoded = decode_base64(encoded)
    if len(decoded) <= _KEY_ID_BYTES:
        raise InvalidRequestError("a malformed signature line")
    return Signature(name, decoded[:_KEY_ID_BYTES], decoded[_KEY_ID_BYTES:])


def _verify(text: str, key: VerifierKey, value: bytes) -> int:
    if len(value) != _SIGNATURE_BYTES[key.type]:
        raise IntegrityFailedError
    if key.type == ED25519:
        hazmat.verify(key.public_key, value, text.encode())
        return 0
    time_s = int.from_bytes(value[:8], "big")
    hazmat.verify(key.public_key, value[8:], _cosigned(text, time_s))
    return time_s


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
