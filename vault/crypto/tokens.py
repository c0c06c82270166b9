"""Tokens to identities and back.

    block   region u8 | domain u8 | customer_no u40 | value_no u24 | six zero bytes   (big-endian)
    text    `cv` | generation of the token key, decimal | `_` | 32 hex digits of AES-256(block)

- The six zero bytes authenticate: a guess passes with a chance of 2**-48, before any store is read.
- A token is case-insensitive, and issued in lower case.
- `region` and the eight bytes after `domain` are the key of the value's record.
- Only the exact text is a token: no spaces, no other digits than ASCII's.

The batch path treats a thousand tokens as one string: whole-string operations in C decide whether
every token has the shape and generation of the first; if one has not, each is looked at on its own.
"""

import re
from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vault.crypto.hazmat import AesBlockCipher
from vault.errors import TokenMalformedError, TokenUnknownError
from vault.model.ids import MAX_CUSTOMER_NO, CustomerNo, DomainId, Region, TokenParts, ValueNo
from vault.model.texts import EvenTexts

BLOCK_BYTES: Final = 16
CHECK: Final = bytes(6)
MAX_TOKEN_CHARS: Final = 40

_VALUE_NO_AT: Final = 7

_BODY_CHARS: Final = 2 * BLOCK_BYTES
_TEXT: Final = re.compile(r"[cC][vV]([1-9][0-9]{0,4})_([0-9a-fA-F]{32})")
NO_BLOCK: Final = bytes(BLOCK_BYTES)
Foreign = Callable[[Sequence[tuple[int, str]]], Mapping[int, bytes]]
"""Finds what texts stand for that are no tokens: the blocks of those that it knows, by their index."""


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
    head = block(region, domain, customer_no, 0)[:_VALUE_NO_AT]
    return [head + _tail(value_no) for value_no in value_nos]


@lru_cache(maxsize=1024)  # most customers have the same few numbers
def _tail(value_no: int) -> bytes:
    if not 0 <= value_no < 2**24:
        raise ValueError("value number out of range")
    return value_no.to_bytes(3, "big") + CHECK


def place_block(region: int, customer_no: int) -> bytes:
    """A block that tells a place among the customers and is nobody's token: its domain is 0.

    Raises:
        ValueError: a number is outside its field.
    """
    made = bytearray(block(region, 1, customer_no, 0))
    made[1] = 0
    return bytes(made)


def is_token_text(text: str) -> bool:
    """Whether `text` has the form of a token, genuine or not."""
    return _TEXT.fullmatch(text) is not None


def parts(deciphered: bytes) -> TokenParts:
    """The numbers in a block whose check bytes were found to be zero."""
    return TokenParts(
        region=Region(deciphered[0]),
        domain=DomainId(deciphered[1]),
        customer_no=CustomerNo(int.from_bytes(deciphered[2:7], "big")),
        value_no=ValueNo(int.from_bytes(deciphered[7:10], "big")),
    )


@dataclass(frozen=True, slots=True)
class _Generation:
    """One token key and the text before what it enciphers."""

    cipher: AesBlockCipher
    prefix: str
    chars: int


@dataclass(frozen=True, slots=True)
class _Keys:
    """All token keys at one moment. A method looks once, and so never mixes two moments."""

    by_number: Mapping[int, _Generation]
    current: _Generation

    @classmethod
    def of(cls, ciphers: Mapping[int, AesBlockCipher], current: int) -> "_Keys":
        if current not in ciphers or not all(0 < generation < 10**5 for generation in ciphers):
            raise ValueError("token key generations are 1 to 99999, the current one among them")
        made = {
            number: _Generation(cipher, prefix := f"cv{number}_", len(prefix) + _BODY_CHARS)
            for number, cipher in ciphers.items()
        }
        return cls(made, made[current])


class TokenCodec:
    """Encodes under the current token key and decodes under every one still accepted.

    Any thread may call every method.
    """

    def __init__(
        self,
        ciphers: Mapping[int, AesBlockCipher],
        current: int,
        learn: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes the token keys.

        Args:
            ciphers: by generation of their key.
            current: the generation to encode with.
            learn: called when a token is of a generation that is not known, which another process may have
                made a moment ago; may call `renew`.
        """
        self._keys = _Keys.of(ciphers, current)
        self._learn = learn

    def renew(self, ciphers: Mapping[int, AesBlockCipher], current: int) -> None:
        """Takes other token keys from now on."""
        self._keys = _Keys.of(ciphers, current)

    @property
    def mark(self) -> object:
        """Another one after each `renew`."""
        return self._keys

    def encode(self, token: TokenParts) -> str:
        """The token's text."""
        current = self._keys.current
        plain = block(token.region, token.domain, token.customer_no, token.value_no)
        return current.prefix + current.cipher.encipher(plain).hex()

    def encode_many(self, blocks: Sequence[bytes]) -> list[str]:
        """The texts of blocks made by `block`, enciphered in one call."""
        current = self._keys.current
        prefix, body = current.prefix, current.cipher.encipher(b"".join(blocks)).hex()
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
        known = self._knowing({generation}).get(generation)
        if known is None:
            raise TokenUnknownError("no such token")
        plain = known.cipher.decipher(enciphered)
        if not plain.endswith(CHECK):
            raise TokenUnknownError("no such token")
        return parts(plain)

    def decipher_batch(self, tokens: Sequence[str], foreign: "Foreign | None" = None) -> bytes:
        """The block of each genuine token, 16 bytes, in order; zeros where `decode` raises.

        `foreign` is asked once about all texts that do not have the form of a token, if there are any.
        No token's block is all zeros, since no domain has the number 0.
        """
        plain = self._decipher_one(tokens[0]) if len(tokens) == 1 else self._decipher_usual(tokens)
        return self._decipher_each(tokens, foreign) if plain is None else plain

    def _knowing(self, generations: Set[int]) -> Mapping[int, _Generation]:
        """The keys; looked for anew if one of these is not among them."""
        if not generations <= self._keys.by_number.keys():
            self._learn()
        return self._keys.by_number

    def _decipher_one(self, token: str) -> bytes | None:
        """Its block, or None if it is not genuine, or not as tokens are issued now."""
        current = self._keys.current
        prefix = current.prefix
        if len(token) != current.chars or not token.startswith(prefix):
            return None
        try:
            plain = current.cipher.decipher(unhexlify(token[len(prefix) :]))
        except ValueError:
            return None
        return plain if plain.endswith(CHECK) else None

    def _decipher_usual(self, tokens: Sequence[str]) -> bytes | None:
        """All blocks at once, or None if any token is not genuine or not of the first one's generation."""
        first = _split(tokens[0]) if tokens else None
        generation = self._keys.by_number.get(first[0]) if first is not None else None
        if generation is None:
            return None
        count, chars = len(tokens), generation.chars
        if isinstance(tokens, EvenTexts):
            if tokens.width != chars:
                return None
            text = tokens.data
        else:
            # Each length, not their sum: a token too long and one too short would make it up.
            if set(map(len, tokens)) != {chars}:
                return None
            try:
                text = "".join(tokens).encode("ascii")
            except UnicodeEncodeError:
                return None
        if not _has_prefixes(text, count, generation):
            text = text.lower()
            if not _has_prefixes(text, count, generation):
                return None
        # The prefixes stand `chars` apart: take out their first characters, then their second ...
        body = bytearray(text)
        for removed in range(len(generation.prefix)):
            del body[:: chars - removed]
        try:
            enciphered = unhexlify(body)  # unlike bytes.fromhex, it skips no white space
        except ValueError:
            return None
        plain = generation.cipher.decipher(enciphered)
        genuine = all(plain[at::BLOCK_BYTES].count(0) == count for at in range(10, BLOCK_BYTES))
        return plain if genuine else None

    def _decipher_each(self, tokens: Sequence[str], foreign: "Foreign | None") -> bytes:
        found = [NO_BLOCK] * len(tokens)
        others: list[tuple[int, str]] = []
        waiting: dict[int, list[tuple[int, bytes]]] = {}
        for index, text in enumerate(tokens):
            split = _split(text)
            if split is not None:
                waiting.setdefault(split[0], []).append((index, split[1]))
            else:
                others.append((index, text))
        if others and foreign is not None:
            for index, resolved in foreign(others).items():
                found[index] = resolved
        known = self._knowing(waiting.keys())
        for number, items in waiting.items():
            if number not in known:
                continue
            plain = known[number].cipher.decipher(b"".join(enciphered for _, enciphered in items))
            for at, (index, _) in enumerate(items):
                each = plain[BLOCK_BYTES * at : BLOCK_BYTES * (at + 1)]
                if each.endswith(CHECK):
                    found[index] = each
        return b"".join(found)


def _has_prefixes(text: bytes, count: int, generation: _Generation) -> bool:
    prefix = generation.prefix.encode()
    return all(text[at :: generation.chars].count(char) == count for at, char in enumerate(prefix))


def _split(text: str) -> tuple[int, bytes] | None:
    """Generation and enciphered block, or None if `text` is not the text of a token."""
    matched = _TEXT.fullmatch(text)
    return None if matched is None else (int(matched[1]), bytes.fromhex(matched[2]))
