"""Detokenize on the wire: request and answer of high-volume reads without a Python object for each text.

Rules:
- `wire.c` is compiled when the vault is installed and a C compiler is there. Without, protobuf does it all.
- A request is taken apart only where its tokens are what tokens usually are: all of one length, of visible
  ASCII characters. Its other fields are read by protobuf in any case, and so is every other request whole. So
  what is accepted, and what it means, is what protobuf says.
- An answer is put together only from packed texts; its errors are a message of their own behind it, since
  messages that follow one another are merged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cffi import FFI
from customervault.v1 import token_service_pb2 as pb
from google.protobuf.message import Message

from vault.model.texts import EvenTexts, PackedTexts

LIBRARY: Final = Path(__file__).with_name("_wire.so")
_VERSION: Final = 1
_FEW: Final = 4  # tokens for which protobuf is as fast

_ffi: Final = FFI()
_ffi.cdef("""
    typedef struct { uint64_t count, width, rest; } cv_parts;
    int cv_version(void);
    int cv_split(const char *data, size_t size, char *texts, char *rest, cv_parts *parts);
    size_t cv_join(const char *texts, const uint32_t *ends, const char *codes, size_t count, char *out);
""")


@dataclass(frozen=True, slots=True)
class DetokenizeCall:
    """A request: its tokens, and the message that holds everything else."""

    tokens: Sequence[str]
    message: pb.DetokenizeRequest


def parse(data: bytes) -> DetokenizeCall:
    """Reads a `DetokenizeRequest`.

    Raises:
        DecodeError: it is none.
    """
    if _native is not None and len(data) > _FEW * 40:
        size, parts = len(data), _new_parts()
        texts, rest = _ffi.new("char[]", size), _ffi.new("char[]", size)
        if _native.cv_split(data, size, texts, rest, parts) == 0 and parts.count:
            tokens = EvenTexts(_ffi.buffer(texts, parts.count * parts.width)[:], parts.width)
            return DetokenizeCall(tokens, pb.DetokenizeRequest.FromString(_ffi.buffer(rest, parts.rest)[:]))
    message = pb.DetokenizeRequest.FromString(data)
    return DetokenizeCall(list(message.tokens), message)


def answer(
    values: Sequence[str], reveals: Sequence[int], add_errors: Callable[[pb.DetokenizeResponse], None] | None
) -> bytes:
    """A `DetokenizeResponse`, serialized; `add_errors` adds those that there are."""
    even = len(values) == len(reveals)
    if _native is None or not even or not isinstance(values, PackedTexts) or not isinstance(reveals, bytes):
        response = pb.DetokenizeResponse(values=values, reveals=reveals)  # type: ignore[arg-type]
        if add_errors is not None:
            add_errors(response)
        return response.SerializeToString()
    count = len(reveals)
    out = _ffi.new("char[]", len(values.data) + 7 * count + 12)
    ends = _ffi.from_buffer("uint32_t[]", values.ends)
    joined = bytes(_ffi.buffer(out, _native.cv_join(values.data, ends, reveals, count, out))[:])
    if add_errors is None:
        return joined
    errors = pb.DetokenizeResponse()
    add_errors(errors)
    return joined + errors.SerializeToString()


def serialize(response: Message | bytes) -> bytes:
    """A response as it goes out."""
    return response if isinstance(response, bytes) else response.SerializeToString()


def _new_parts() -> Any:
    return _ffi.new("cv_parts *")


def _load() -> Any | None:
    try:
        loaded: Any = _ffi.dlopen(str(LIBRARY))
    except OSError:  # not built, or built for another machine
        return None
    return loaded if loaded.cv_version() == _VERSION else None


_native: Any | None = _load()
