"""Checkpoints (c2sp.org/tlog-checkpoint): a log's name, size and root, as the text of a signed note.

    origin | newline | size, decimal | newline | base64( root ) | newline | extension lines

Rule: a size is written in one way only, and so is a root; no line is empty.
"""

import base64
from dataclasses import dataclass

from vault.errors import InvalidRequestError
from vault.tlog.merkle import HASH_BYTES
from vault.tlog.notes import Note, Sign, VerifierKey, decode_base64, sign

_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log at one size. Extension lines are carried along; nobody else vouches for them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text to sign."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Reads the text of a note.

        Raises:
            InvalidRequestError: it is no checkpoint.
        """
        *lines, rest = text.split("\n")
        if rest or len(lines) < 3 or not all(lines):
            raise InvalidRequestError("a checkpoint has three lines or more, none of them empty")
        origin, size, encoded, *extensions = lines
        root = decode_base64(encoded)
        if len(root) != HASH_BYTES:
            raise InvalidRequestError("a checkpoint's root has 32 bytes")
        return cls(origin, parse_size(size), root, tuple(extensions))

    def signed(self, key: VerifierKey, signer: Sign) -> Note:
        """The checkpoint as a note, signed by its log."""
        text = self.text()
        return Note(text, (sign(text, key, signer),))


def parse_size(text: str) -> int:
    """A tree size in decimal without leading zeros, below 2^63.

    Raises:
        InvalidRequestError: it is none.
    """
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise InvalidRequestError("a tree size is written in decimal, without leading zeros")
    size = int(text)
    if size > _MAX_SIZE:
        raise InvalidRequestError("a tree size is below 2^63")
    return size
