"""The digest of a segment, which its closing part and the worker's next segment hold.

    version 1    SHA-256 of the fixed part (160 bytes) | all bytes behind the header
    version 2    SHA-256 of the fixed part | the leaf hashes (RFC 6962) of each whole frame, in order: of the
                 leaves that its record becomes in the sealed log (see `sealed.leaves`)
                 | of damage between frames: SHA-256 of 02 | its bytes

- The sealer needs the leaf hashes in any case: so what it has read is compared with what was written without
  being hashed once more.
- The version is the one that the fixed part states; a torn one counts as what its bytes say.
"""

import hashlib
from typing import Final

from vault.audit.layout import FIXED_BYTES, HEADER_BYTES, VERSION_AT, SegmentName, walk
from vault.audit.records import FRAME
from vault.audit.sealed.leaves import leaves_of, segment_head
from vault.tlog.merkle import leaf_hashes

_BY_LEAVES: Final = 2
_DAMAGE: Final = b"\x02"


class Digest:
    """Of a segment up to `offset`, from its fixed part on."""

    __slots__ = ("_by_leaves", "_hash", "_head", "fixed", "offset")

    def __init__(self, fixed: bytes, name: SegmentName) -> None:
        self.fixed = fixed
        self.offset = HEADER_BYTES
        self._hash = hashlib.sha256(fixed)
        self._by_leaves = fixed[VERSION_AT : VERSION_AT + 1] >= bytes((_BY_LEAVES,))
        self._head = segment_head(name)

    def add_frame(self, frame: bytes) -> None:
        """A whole frame follows."""
        if self._by_leaves:
            self._hash.update(leaf_hashes(leaves_of(self._head, self.offset, frame[FRAME.size :])))
        else:
            self._hash.update(frame)
        self.offset += len(frame)

    def add_damage(self, damage: bytes) -> None:
        """Bytes follow that are no frame."""
        self._hash.update(hashlib.sha256(_DAMAGE + damage).digest() if self._by_leaves else damage)
        self.offset += len(damage)

    def add_sealed(self, frames: bytes | memoryview, hashes: bytes) -> None:
        """Whole frames follow, which became leaves with these hashes, joined."""
        self._hash.update(hashes if self._by_leaves else frames)
        self.offset += len(frames)

    def digest(self) -> bytes:
        """32 bytes."""
        return self._hash.digest()


def digest_of(name: SegmentName, data: bytes, used: int) -> bytes:
    """The digest of a segment's content, of which so many bytes are used."""
    digest = Digest(data[:FIXED_BYTES], name)
    for start, end, valid in walk(data[:used]):
        (digest.add_frame if valid else digest.add_damage)(data[start:end])
    if digest.offset < used:  # zeros at the end of damage
        digest.add_damage(data[digest.offset : used])
    return digest.digest()
