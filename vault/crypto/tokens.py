"""Tokens to identities and back.

    block   region u8 | domain u8 | customer_no u40 | value_no u24 | six zero bytes   (big-endian)
    text    `cv` | generation of the token key, decimal | `_` | 32 hex digits of AES-256(block)

- The six zero bytes authenticate: a guess passes with a chance of 2**-48, before any store is read.
- A token is case-insensitive, and issued in lower case.
- `region` and the eight bytes after `domain` are the key of the value's record.
- Only the exact text is a token: no spaces, no other digits than ASCII's.

The batch path treats a thousand tokens as one string: whole-string operations in C decide whether
every token has the usual shape; if one has not, each is looked at on its own.
"""

import re
from binascii import unhexlify
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, cast

from vault.crypto.hazmat import AesBlockCipher
from vault.errors import TokenMalformedError, TokenUnknownError
from vault.model.ids import MAX_CUSTOMER_NO, CustomerNo, DomainId, Region, TokenParts, ValueNo

BLOCK_BYTES: Final = 16
CHECK: Final = bytes(6)
MAX_TOKEN_CHARS: Final = 40

_BODY_CHARS: Final = 2 * BLOCK_BYTES
_TEXT: Final = re.compile(r"[cC][vV]([1-9][0-9]{0,4})_([0-9a-fA-F]{32})")
_BLOCK: Final = Struct(">2s5s3s6s")
_PARTS: Final = Struct(">2s5s3s6x")
Deciphered = tuple[bytes, bytes, bytes]
"""Region and domain (2 bytes), customer_no (5), value_no (3)."""


def block(region: int, domain: int, customer_no: int, value_no: int) -> bytes:
    """The 16 bytes that a token enciphers.

    Raises:
        ValueError: a number is outside its field.
    """
    if not (0 <= region < 2**8 and 0 < domain < 2**8):
        raise ValueError("region or domain out of range")
    if not (0 < customer_no <= MAX_CUSTOMER_NO and 0 <= value_no < 2**24):
        raise ValueError("customer or value number out of range")
    identity = ((region << 8 | domain) << 40 | customer_no) << 24 | value_no
    return identity.to_bytes(10, "big") + CHECK


def blocks(region: int, domain: int, customer_no: int, value_nos: Sequence[int]) -> list[bytes]:
    """Blocks of several values of one customer.

    Raises:
        ValueError: a number is outside its field.
    """
    first = int.from_bytes(block(region, domain, customer_no, 0)[:10], "big")
    if value_nos and not 0 <= min(value_nos) <= max(value_nos) < 2**24:
        raise ValueError("value number out of range")
    return [(first | value_no).to_bytes(10, "big") + CHECK for value_no in value_nos]


def parts(deciphered: bytes) -> TokenParts:
    """The numbers in a block whose check bytes were found to be zero."""
    return TokenParts(
        region=Region(deciphered[0]),
        domain=DomainId(deciphered[1]),
        customer_no=CustomerNo(int.from_bytes(deciphered[2:7], "big")),
        value_no=ValueNo(int.from_bytes(deciphered[7:10], "big")),
    )


class TokenCodec:
    """Encodes under the current token key and decodes under every one still accepted.

    Any thread may call every method.
    """

    def __init__(self, ciphers: Mapping[int, AesBlockCipher], current: int) -> None:
        """Takes the ciphers by generation of their key, and the generation to encode with."""
        if current not in ciphers or not all(0 < generation < 10**5 for generation in ciphers):
            raise ValueError("token key generations are 1 to 99999, the current one among them")
        self._ciphers = dict(ciphers)
        self._current = ciphers[current]
        self._prefix = f"cv{current}_"
        self._prefix_bytes = self._prefix.encode()
        self._chars = len(self._prefix) + _BODY_CHARS

    def encode(self, token: TokenParts) -> str:
        """The token's text."""
        plain = block(token.region, token.domain, token.customer_no, token.value_no)
        return self._prefix + self._current.encipher(plain).hex()

    def encode_many(self, blocks: Sequence[bytes]) -> list[str]:
        """The texts of blocks made by `block`, enciphered in one call."""
        prefix, body = self._prefix, self._current.encipher(b"".join(blocks)).hex()
        return [prefix + body[at : at + _BODY_CHARS] for at in range(0, len(body), _BODY_CHARS)]

    def decode(self, text: str) -> TokenParts:
        """What the token says.

        Raises:
            TokenMalformedError: not the text of a token.
            TokenUnknownError: no vault issued it under a key that this one still accepts.
        """
        split = _split(text)
        if split is None:
            raise TokenMalformedError("not the text of a token")
        generation, enciphered = split
        cipher = self._ciphers.get(generation)
        if cipher is None:
            raise TokenUnknownError("no such token")
        plain = cipher.decipher(enciphered)
        if not plain.endswith(CHECK):
            raise TokenUnknownError("no such token")
        return parts(plain)

    def decipher_batch(self, tokens: Sequence[str]) -> list[Deciphered | None]:
        """The parts of each genuine token, in order, or None where `decode` raises.

        A token that is not None has passed its check bytes. Its parts stay bytes: region and domain
        (2), customer_no (5), value_no (3), as they stand in the keys of the store.
        """
        plain = self._decipher_usual(tokens)
        if plain is None:
            return self._decipher_each(tokens)
        return cast(list[Deciphered | None], list(_PARTS.iter_unpack(plain)))

    def _decipher_usual(self, tokens: Sequence[str]) -> bytes | None:
        """All blocks at once, or None if any token is not genuine or not of the current key."""
        count, chars = len(tokens), self._chars
        # Each length, not their sum: a token too long and one too short would make it up.
        if set(map(len, tokens)) != {chars}:
            return None
        try:
            text = "".join(tokens).encode("ascii")
        except UnicodeEncodeError:
            return None
        if not self._has_prefixes(text, count):
            text = text.lower()
            if not self._has_prefixes(text, count):
                return None
        # The prefixes stand `chars` apart: take out their first characters, then their second ...
        body = bytearray(text)
        for removed in range(len(self._prefix)):
            del body[:: chars - removed]
        try:
            enciphered = unhexlify(body)  # unlike bytes.fromhex, it skips no white space
        except ValueError:
            return None
        plain = self._current.decipher(enciphered)
        genuine = all(plain[at::BLOCK_BYTES].count(0) == count for at in range(10, BLOCK_BYTES))
        return plain if genuine else None

    def _has_prefixes(self, text: bytes, count: int) -> bool:
        return all(text[at :: self._chars].count(char) == count for at, char in enumerate(self._prefix_bytes))

    def _decipher_each(self, tokens: Sequence[str]) -> list[Deciphered | None]:
        found: list[Deciphered | None] = [None] * len(tokens)
        waiting: dict[int, list[tuple[int, bytes]]] = {}
        for index, text in enumerate(tokens):
            split = _split(text)
            if split is not None and split[0] in self._ciphers:
                waiting.setdefault(split[0], []).append((index, split[1]))
        for generation, items in waiting.items():
            plain = self._ciphers[generation].decipher(b"".join(enciphered for _, enciphered in items))
            for (index, _), (home, customer, value, check) in zip(
                items, _BLOCK.iter_unpack(plain), strict=True
            ):
                if check == CHECK:
                    found[index] = (home, customer, value)
        return found


def _split(text: str) -> tuple[int, bytes] | None:
    """Generation and enciphered block, or None if `text` is not the text of a token."""
    matched = _TEXT.fullmatch(text)
    return None if matched is None else (int(matched[1]), bytes.fromhex(matched[2]))
