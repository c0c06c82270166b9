"""Pieces that payloads are packed of; what cannot have been packed raises `IntegrityFailedError`."""

from typing import Final

from vault.errors import IntegrityFailedError
from vault.store.layout import CUSTOMER_KEY_BYTES

NO_REQUEST: Final = bytes(32)


def pack_texts(*texts: str) -> bytes:
    """Texts one behind the other, each with its length."""
    encoded = [text.encode() for text in texts]
    return b"".join([len(each).to_bytes(2, "big") + each for each in encoded])


def read_texts(content: bytes, count: int) -> list[str]:
    """Exactly so many texts, to the last byte."""
    texts, at = [], 0
    for _ in range(count):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if len(content) < end or end < at + 2:
            raise IntegrityFailedError
        try:
            texts.append(content[at + 2 : end].decode())
        except UnicodeDecodeError as error:
            raise IntegrityFailedError from error
        at = end
    expect(content, at)
    return texts


def customer_of(key: bytes) -> tuple[int, int]:
    """Region and number of a customer's key."""
    return key[0], int.from_bytes(key[1:CUSTOMER_KEY_BYTES], "big")


def expect(payload: bytes, size: int) -> None:
    """Requires a size in bytes."""
    if len(payload) != size:
        raise IntegrityFailedError


def expect_at_least(payload: bytes, size: int) -> None:
    """Requires so many bytes at least."""
    if len(payload) < size:
        raise IntegrityFailedError


def rows_of(payload: bytes, size: int) -> list[bytes]:
    """Rows of so many bytes each, behind their count: one at least."""
    expect_at_least(payload, 4 + size)
    expect(payload, 4 + size * int.from_bytes(payload[:4], "big"))
    return [payload[at : at + size] for at in range(4, len(payload), size)]


def one_region(regions: list[int]) -> int:
    """The region that all share."""
    if len(set(regions)) != 1:
        raise IntegrityFailedError
    return regions[0]
