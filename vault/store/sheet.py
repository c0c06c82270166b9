"""A customer's index sheet: what the index is rebuilt from when its keys change.

Row of table `sheets`, key region | customer_no:

    version u8 = 1, or 2 with surrogates | dek_generation u16 | nonce 24 | ciphertext and tag

Plaintext:

    u16 length | external id
    u16 n | n times: value_no u24 | field_class u8 | fingerprint 16 | u8 length | digest to search by
                     | u8 labels | labels times: u8 length | ASCII
    u16 m | m times: locator 16 of an earlier DEK generation, oldest first
    of version 2: u16 s | s times: value_no u24 | domain u8 | u8 length | UTF-8, oldest first
    terms to the end (see `terms`), none where there are no bytes

Domain 0 stands for a tag, `key=value`, of an issued token (see `aliases`): it is found by the index as
surrogates are, and goes with the token.

The past locators keep the customer's access history findable after its key was replaced. A surrogate stays
until its customer goes, beyond the deletion of its value: nobody else's value is to be found under it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Self

from vault.errors import IntegrityFailedError
from vault.store.terms import NO_TERMS, Terms

SHEET_HEADER = struct.Struct(">BH")
SHEET_NONCE_BYTES = 24
SHEET_FORMAT = 1
SURROGATES_FORMAT = 2
MAX_LABELS = 255  # of one value: their number is one byte
MAX_SURROGATE_BYTES = 255
TAG_DOMAIN = 0
FINGERPRINT_BYTES = 16
LOCATOR_BYTES = 16
_TAG_BYTES = 16
_DIGEST_AT = 3 + 1 + FINGERPRINT_BYTES + 1  # within a line


class SheetField(NamedTuple):
    """One value as the index knows it; `index_hash` is empty, or the digest that a search goes by."""

    value_no: int
    field_class: int
    fingerprint: bytes
    index_hash: bytes = b""
    labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<value {self.value_no} of field class {self.field_class}>"


class SheetSurrogate(NamedTuple):
    """A surrogate of one value in one domain."""

    value_no: int
    domain: int
    text: bytes

    def pack(self) -> bytes:
        """The surrogate's part of the plaintext."""
        return (self.value_no << 8 | self.domain).to_bytes(4, "big") + _short(self.text)

    def __repr__(self) -> str:
        return f"<surrogate of value {self.value_no} in domain {self.domain}>"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The plaintext; `external_id` is personal data and never shown."""

    external_id: bytes = field(repr=False)
    fields: tuple[SheetField, ...] = ()
    past_locators: tuple[bytes, ...] = ()
    terms: Terms = NO_TERMS
    surrogates: tuple[SheetSurrogate, ...] = ()

    @property
    def version(self) -> int:
        """The version under which the plaintext is sealed."""
        return SURROGATES_FORMAT if self.surrogates else SHEET_FORMAT

    def pack(self) -> bytes:
        """The plaintext to seal."""
        past = len(self.past_locators).to_bytes(2, "big") + b"".join(self.past_locators)
        if self.surrogates:
            past += len(self.surrogates).to_bytes(2, "big") + b"".join(
                [each.pack() for each in self.surrogates]
            )
        return _packed_lines(self.external_id, self.fields) + past + self.terms.pack()

    @classmethod
    def unpack(cls, plaintext: bytes, version: int = SHEET_FORMAT) -> Self:
        """Read an opened sheet; raises `IntegrityFailedError` unless every byte belongs to it."""
        reader = _Reader(plaintext)
        external_id = reader.take(reader.number(2))
        fields = tuple([_read_field(reader) for _ in range(reader.number(2))])
        locators = tuple([reader.take(LOCATOR_BYTES) for _ in range(reader.number(2))])
        surrogates: tuple[SheetSurrogate, ...] = ()
        if version == SURROGATES_FORMAT:
            surrogates = tuple([_read_surrogate(reader) for _ in range(reader.number(2))])
        return cls(external_id, fields, locators, Terms.unpack(plaintext[reader.position :]), surrogates)


def indexed_part(plaintext: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """What the index holds of a customer: external id, and class and digest of each searchable value.

    Read for every customer in a rotation, so without making a `Sheet`.

    Raises:
        IntegrityFailedError: it ends too early.
    """
    try:
        at = 2 + (plaintext[0] << 8 | plaintext[1])
        external_id, pairs = plaintext[2:at], []
        lines = plaintext[at] << 8 | plaintext[at + 1]
        at += 2
        for _ in range(lines):
            digest_at = at + _DIGEST_AT
            labels_at = digest_at + plaintext[digest_at - 1]
            if labels_at > digest_at:
                pairs.append((plaintext[at + 3], plaintext[digest_at:labels_at]))
            at = labels_at + 1
            for _ in range(plaintext[labels_at]):
                at += 1 + plaintext[at]
    except IndexError as error:
        raise IntegrityFailedError from error
    return external_id, pairs


def external_id_of(plaintext: bytes) -> bytes:
    """The external id in an opened sheet, and nothing else of it."""
    reader = _Reader(plaintext)
    return reader.take(reader.number(2))


def first_sheet(external_id: bytes, lines: Sequence[SheetField]) -> bytes:
    """`Sheet.pack` of a new customer, who has nothing but an external id and values."""
    return _packed_lines(external_id, lines) + bytes(2)


@dataclass(frozen=True, slots=True)
class SealedSheet:
    """A row of table `sheets`."""

    dek_generation: int
    nonce: bytes
    ciphertext: bytes
    version: int = SHEET_FORMAT

    def header(self) -> bytes:
        """The first 3 bytes of the row, authenticated with it."""
        return SHEET_HEADER.pack(self.version, self.dek_generation)

    def pack(self) -> bytes:
        """Header, nonce, ciphertext."""
        return self.header() + self.nonce + self.ciphertext

    @classmethod
    def unpack(cls, row: bytes) -> Self:
        """Split a row."""
        sealed_at = SHEET_HEADER.size + SHEET_NONCE_BYTES
        if len(row) < sealed_at + _TAG_BYTES or row[0] not in (SHEET_FORMAT, SURROGATES_FORMAT):
            raise IntegrityFailedError
        version, generation = SHEET_HEADER.unpack_from(row)
        return cls(generation, row[SHEET_HEADER.size : sealed_at], row[sealed_at:], version)


def sheet_aad(vault_id: bytes, key: bytes, head: bytes) -> bytes:
    """Associated data of a customer's sheet."""
    return vault_id + b"sheet" + key + head


class _Reader:
    """Takes bytes from the front; running out of them is an integrity failure."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._content):
            raise IntegrityFailedError
        part = self._content[self.position : end]
        self.position = end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _read_field(reader: _Reader) -> SheetField:
    value_no = reader.number(3)
    field_class = reader.number(1)
    fingerprint = reader.take(FINGERPRINT_BYTES)
    index_hash = reader.take(reader.number(1))
    try:
        labels = tuple([reader.take(reader.number(1)).decode("ascii") for _ in range(reader.number(1))])
    except UnicodeDecodeError as error:
        raise IntegrityFailedError from error
    return SheetField(value_no, field_class, fingerprint, index_hash, labels)


def _read_surrogate(reader: _Reader) -> SheetSurrogate:
    value_no, domain = reader.number(3), reader.number(1)
    return SheetSurrogate(value_no, domain, reader.take(reader.number(1)))


def _packed_lines(external_id: bytes, lines: Sequence[SheetField]) -> bytes:
    packed = [
        (value_no << 8 | field_class).to_bytes(4, "big")
        + fingerprint
        + (_short(index_hash) if index_hash else b"\0")
        + packed_labels(labels)
        for value_no, field_class, fingerprint, index_hash, labels in lines
    ]
    head = len(external_id).to_bytes(2, "big") + external_id + len(packed).to_bytes(2, "big")
    return head + b"".join(packed)


@lru_cache(maxsize=1024)  # few sets of labels, and every value has one
def packed_labels(labels: tuple[str, ...]) -> bytes:
    """How a line of the plaintext ends."""
    return bytes((len(labels),)) + b"".join([_short(label.encode("ascii")) for label in labels])


def _short(content: bytes) -> bytes:
    return bytes((len(content),)) + content
