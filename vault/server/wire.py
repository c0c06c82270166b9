"""Detokenize on the wire: request and answer of high-volume reads without a Python object for each text.

Rules:
- `wire.c` is compiled when the vault is installed and a C compiler is there. Without, protobuf does it all.
- A request is taken apart only where its tokens are what tokens usually are: all of one length, of visible
  ASCII characters. So is one that begins with a single short token. All other fields are read by protobuf,
  and so is every other request whole. So what is accepted, and what it means, is what protobuf says.
- What callers say beside their tokens they say again and again: what protobuf read is remembered.
- An answer is put together only from packed texts; its errors are a message of their own behind it, since
  messages that follow one another are merged.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cffi import FFI
from customervault.v1 import token_service_pb2 as pb

from vault.model import compiled
from vault.model.texts import EvenTexts, PackedTexts

LIBRARY: Final = Path(__file__).with_name("_wire.so")
_VERSION: Final = 1
_FEW: Final = 4  # tokens for which protobuf is as fast
_SHORT: Final = 128  # a length below takes one byte
_REMEMBERED: Final = 256
_TEXTS: Final = ord("\n")  # tag of field 1: of a token, or of a value

_ffi: Final = FFI()
_ffi.cdef("""
    typedef struct { uint64_t count, width, rest; } cv_parts;
    int cv_version(void);
    int cv_split(const char *data, size_t size, char *texts, char *rest, cv_parts *parts);
    size_t cv_join(const char *texts, const uint32_t *ends, const char *codes, size_t count, char *out);
""")


class Asked(NamedTuple):
    """What a request says beside its tokens; several may share it."""

    message: pb.DetokenizeRequest
    purpose: str
    reveal: int
    lawful_basis: int
    domain: str


class DetokenizeCall(NamedTuple):
    """A request: its tokens, and everything else."""

    tokens: Sequence[str]
    asked: Asked

    @property
    def message(self) -> pb.DetokenizeRequest:
        """The message that holds everything else, and maybe the tokens, too."""
        return self.asked.message


def parse(data: bytes) -> DetokenizeCall:
    """Reads a `DetokenizeRequest`.

    Raises:
        DecodeError: it is none.
    """
    size = len(data)
    if size <= _FEW * 40:
        single = _single(data)
        if single is not None:
            return single
    elif _native is not None:
        parts = _new_parts()
        texts, rest = _ffi.new("char[]", size), _ffi.new("char[]", size)
        if _native.cv_split(data, size, texts, rest, parts) == 0 and parts.count:
            tokens = EvenTexts(_ffi.buffer(texts, parts.count * parts.width)[:], parts.width)
            return DetokenizeCall(tokens, _asked(_ffi.buffer(rest, parts.rest)[:]))
    asked = _read(data)
    return DetokenizeCall(list(asked.message.tokens), asked)


def _single(data: bytes) -> DetokenizeCall | None:
    """A request of one token, short and of ASCII characters, which comes first; None where it is another.

    Raises:
        DecodeError: as `parse`.
    """
    if len(data) < 2 or data[0] != _TEXTS or data[1] >= _SHORT:
        return None
    end = 2 + data[1]
    token, rest = data[2:end], data[end:]
    if end > len(data) or not token.isascii() or (rest and rest[0] == _TEXTS):
        return None
    asked = _remembered.get(rest)
    if asked is None:
        asked = _asked(rest)
        if asked.message.tokens:
            return None
    return DetokenizeCall([token.decode()], asked)


def _asked(rest: bytes) -> Asked:
    """What stands beside the tokens."""
    asked = _remembered.get(rest)
    if asked is None:
        asked = _read(rest)
        if len(rest) < _SHORT and not asked.message.tokens:
            if len(_remembered) >= _REMEMBERED:
                _remembered.clear()
            _remembered[rest] = asked
    return asked


def _read(data: bytes) -> Asked:
    message = pb.DetokenizeRequest.FromString(data)
    return Asked(message, message.purpose, message.reveal, message.lawful_basis, message.domain)


def answer(
    values: Sequence[str], reveals: Sequence[int], add_errors: Callable[[pb.DetokenizeResponse], None] | None
) -> bytes:
    """A `DetokenizeResponse`, serialized; `add_errors` adds those that there are."""
    joined = None
    if isinstance(values, PackedTexts) and isinstance(reveals, bytes) and len(values.ends) == len(reveals):
        joined = _joined(values, reveals)
    if joined is None:
        response = pb.DetokenizeResponse(values=values, reveals=reveals)  # type: ignore[arg-type]
    elif add_errors is None:
        return joined
    else:
        response = pb.DetokenizeResponse()
    if add_errors is not None:
        add_errors(response)
    return (joined or b"") + response.SerializeToString()


def _joined(values: PackedTexts, reveals: bytes) -> bytes | None:
    """An answer without errors; None where protobuf has to make it."""
    data, count = values.data, len(reveals)
    if count == 1 and len(data) < _SHORT:
        return b"\n%c%b\x12\x01%b" % (len(data), data, reveals)
    if _native is None:
        return None
    out = _ffi.new("char[]", len(data) + 7 * count + 12)
    ends = _ffi.from_buffer("uint32_t[]", values.ends)
    return bytes(_ffi.buffer(out, _native.cv_join(data, ends, reveals, count, out))[:])


def _new_parts() -> Any:
    return _ffi.new("cv_parts *")


_native: Any | None = compiled.load(_ffi, LIBRARY, _VERSION)
_remembered: Final[dict[bytes, Asked]] = {}
