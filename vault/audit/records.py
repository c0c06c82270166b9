"""Access records: byte layout, encoding and decoding. Big-endian throughout.

Frame     u32 length of the body | u32 CRC-32 of the body (zlib) | body
READ      u8 kind 'R' | u8 basis << 5 | glass << 4 | action | u64 seq | u64 time_ms | u32 principal_id
          | u32 purpose_id | u8 n | n x (u8 outcome | u32 count)           items whose customer is not known
          | groups to the end: locator 16 | u16 count | count x (u24 value_no | u8 field_class | u8 outcome)
ACT       u8 kind 'A' | u8 outcome | u64 seq | u64 time_ms | u32 principal_id
          | u8 length, principal's name (empty if registered) | u8 length, action
          | u16 n | n x locator 16 | detail to the end (UTF-8 JSON of names and counts)

Outcome   0 nothing revealed (metadata; or an act that was done), 2 plain, 3 masked, 4 to 15 an answer given
          without the value, by its number in `Reveal`; from 16 on a `Reason` by `REASON_CODES`.
Basis     the lawful basis that the caller stated, by `BASIS_CODES`; 0 where it stated none.
Locator   a PRF of the customer, computed elsewhere. One customer has one for each DEK generation.
Class     0 where the field class is not known.

A record holds no value, no token and no external id. A length of 0 ends a segment. `seq` counts the
records of one worker.

The hot path builds the groups itself: it joins, customer by customer, what `read_body_chunk`
returns (or the same bytes), so that a batch costs one small `bytes` a customer and none a value.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from vault.errors import Reason
from vault.model.consent import LawfulBasis

LOCATOR_BYTES: Final = 16
ITEM_BYTES: Final = 5
MAX_BODY_BYTES: Final = 2**24 - 1
PLAIN: Final = 2
MASKED: Final = 3
FIRST_REASON_CODE: Final = 16
BREAK_GLASS: Final = 16  # added to a read's action where another principal had to approve its purpose
GAP_ACTION: Final = "AuditGap"

FRAME: Final = struct.Struct(">II")
_READ = struct.Struct(">BBQQIIB")
_ACT = struct.Struct(">BBQQI")
_UNKNOWN = struct.Struct(">BI")
_GROUP = struct.Struct(">16sH")
_ITEM = struct.Struct(">BHBB")
STAMP: Final = struct.Struct(">QQI")  # seq, time_ms, principal_id: at STAMP_OFFSET of every frame
STAMP_OFFSET: Final = FRAME.size + 2
MIN_BODY_BYTES: Final = _ACT.size
_KIND_READ = ord("R")
_KIND_ACT = ord("A")

# Stored for years: numbers are added, never changed or used again.
REASON_CODES: Final[Mapping[Reason, int]] = {
    Reason.INTERNAL: 16,
    Reason.INVALID_REQUEST: 17,
    Reason.INVALID_VALUE: 18,
    Reason.LIMIT_EXCEEDED: 19,
    Reason.REQUEST_ID_REUSED: 20,
    Reason.TOKEN_MALFORMED: 21,
    Reason.TOKEN_UNKNOWN: 22,
    Reason.CUSTOMER_UNKNOWN: 23,
    Reason.ERASURE_UNKNOWN: 24,
    Reason.PRINCIPAL_UNKNOWN: 25,
    Reason.PRINCIPAL_EXISTS: 26,
    Reason.POLICY_INVALID: 27,
    Reason.BATCH_ABORTED: 28,
    Reason.PURPOSE_UNKNOWN: 29,
    Reason.APPROVAL_UNKNOWN: 30,
    Reason.SURROGATES_EXHAUSTED: 36,
    Reason.SURROGATE_TAKEN: 37,
    Reason.TAG_REFUSED: 38,
    Reason.QUESTION_UNFIT: 39,
    Reason.UNAUTHENTICATED: 40,
    Reason.SUSPENDED: 41,
    Reason.ACTION_DENIED: 42,
    Reason.DOMAIN_DENIED: 43,
    Reason.PURPOSE_DENIED: 44,
    Reason.REVEAL_DENIED: 45,
    Reason.RESTRICTED: 46,
    Reason.CONSENT_MISSING: 47,
    Reason.CONSENT_WITHDRAWN: 48,
    Reason.OBJECTED: 49,
    Reason.HELD: 50,
    Reason.TRAINING_EXPIRED: 51,
    Reason.REGION_DENIED: 52,
    Reason.APPROVAL_REQUIRED: 53,
    Reason.BUDGET_EXCEEDED: 54,
    Reason.TOKEN_BOUND: 58,
    Reason.SHREDDED: 60,
    Reason.ALREADY_SHREDDED: 61,
    Reason.VALUE_DELETED: 62,
    Reason.EXPIRED: 63,
    Reason.TOKEN_USED: 68,
    Reason.TOKEN_REVOKED: 69,
    Reason.REPLY_FULL: 80,
    Reason.OVERLOADED: 81,
    Reason.DEADLINE_EXCEEDED: 82,
    Reason.STORAGE_FULL: 83,
    Reason.STORAGE_STOPPED: 84,
    Reason.STORAGE_FORMAT: 85,
    Reason.AUDIT_UNAVAILABLE: 86,
    Reason.KEY_UNAVAILABLE: 87,
    Reason.DATA_LOSS: 88,
    Reason.INTEGRITY_FAILED: 89,
    Reason.WITNESS_UNAVAILABLE: 90,
    Reason.LEDGER_BEHIND: 91,
    Reason.SEARCH_INCOMPLETE: 96,
}
# Three bits: stored, never changed or used again.
BASIS_CODES: Final[Mapping[LawfulBasis, int]] = {
    LawfulBasis.CONSENT: 1,
    LawfulBasis.CONTRACT: 2,
    LawfulBasis.LEGAL_OBLIGATION: 3,
    LawfulBasis.VITAL_INTERESTS: 4,
    LawfulBasis.PUBLIC_TASK: 5,
    LawfulBasis.LEGITIMATE_INTERESTS: 6,
}
_BASIS_SHIFT = 5
_ACTION_BITS = 31
_BASES = {code: basis for basis, code in BASIS_CODES.items()}
_REASONS = {code: reason for reason, code in REASON_CODES.items()}


class ReadAction(IntEnum):
    """The calls that are recorded as READ. Stored: numbers are never changed or used again; 31 at most."""

    DETOKENIZE = 1
    EXPORT_CUSTOMER = 2
    INSPECT_TOKEN = 3
    FIND = 4
    TOKENIZE = 5  # of an existing value: an equality test
    TRANSLATE_TOKENS = 6
    GET_CUSTOMER = 7
    LIST_CUSTOMERS = 8
    PSEUDONYMIZE = 9
    COMPARE = 10
    DERIVE = 11


class MalformedRecordError(ValueError):
    """The bytes are not a record of this layout. Readers report it and go on."""


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a READ record, or the denial of one."""

    value_no: int
    field_class: int
    outcome: int


@dataclass(frozen=True, slots=True)
class Group:
    """One customer's items, kept as bytes: most readers only count them."""

    locator: bytes
    items: bytes

    @property
    def field_classes(self) -> bytes:
        """One byte for each item."""
        return self.items[3::ITEM_BYTES]

    @property
    def outcomes(self) -> bytes:
        """One byte for each item."""
        return self.items[4::ITEM_BYTES]

    def __iter__(self) -> Iterator[Item]:
        for high, low, field_class, outcome in _ITEM.iter_unpack(self.items):
            yield Item(high << 16 | low, field_class, outcome)


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A call that touched values. `unknown` counts items by outcome whose customer is not known."""

    seq: int
    time_ms: int
    principal_id: int
    action: int
    purpose_id: int
    unknown: tuple[tuple[int, int], ...]
    groups: tuple[Group, ...]
    basis: LawfulBasis | None = None


@dataclass(frozen=True, slots=True)
class ActRecord:
    """An administrative act. `outcome` is 0 if it was done, else the code of the reason why not."""

    seq: int
    time_ms: int
    principal_id: int
    action: str
    principal: str = ""
    outcome: int = 0
    locators: tuple[bytes, ...] = ()
    detail: str = ""


Record = ReadRecord | ActRecord


def reason_code(reason: Reason) -> int:
    """The outcome byte that stands for `reason`."""
    return REASON_CODES.get(reason, REASON_CODES[Reason.INTERNAL])


def reason_of(outcome: int) -> Reason | None:
    """The reason behind an outcome byte; None where nothing was denied.

    A code of a later version reads as `Reason.INTERNAL`.
    """
    return None if outcome < FIRST_REASON_CODE else _REASONS.get(outcome, Reason.INTERNAL)


def read_item(value_no: int, field_class: int, outcome: int) -> bytes:
    """The 5 bytes of one value."""
    return _ITEM.pack(value_no >> 16, value_no & 0xFFFF, field_class, outcome)


def read_body_chunk(locator: bytes, items: bytes) -> bytes:
    """One customer's group, from the joined items (5 bytes each, at most 65,535 of them)."""
    return locator + (len(items) // ITEM_BYTES).to_bytes(2, "big") + items


def unknown_counts(counts: Mapping[Reason, int]) -> bytes:
    """How many items were denied for which reason, where no customer is known."""
    return b"".join(_UNKNOWN.pack(reason_code(reason), count) for reason, count in counts.items())


def encode_read(
    seq: int,
    time_ms: int,
    principal_id: int,
    action: int,
    purpose_id: int,
    body: bytes,
    unknown: bytes = b"",
    basis: LawfulBasis | None = None,
) -> bytes:
    """A READ record, framed.

    Args:
        seq: from `SegmentWriter.next_seq`.
        time_ms: milliseconds since 1970.
        principal_id: the caller.
        action: a `ReadAction`.
        purpose_id: why it reads; 0 where the call takes no purpose.
        body: the customers' groups, joined; see `read_body_chunk`.
        unknown: from `unknown_counts`.
        basis: the lawful basis that the caller stated.
    """
    n = len(unknown) // _UNKNOWN.size
    tail = unknown + body if unknown else body
    stated = BASIS_CODES[basis] << _BASIS_SHIFT if basis is not None else 0
    head = _READ.pack(_KIND_READ, stated | action, seq, time_ms, principal_id, purpose_id, n)
    length = len(head) + len(tail)
    if length > MAX_BODY_BYTES:
        raise ValueError("an access record is larger than 16 MiB")
    return FRAME.pack(length, zlib.crc32(tail, zlib.crc32(head))) + head + tail


def encode_act(act: ActRecord) -> bytes:
    """An ACT record, framed. Names longer than 255 bytes are cut at a character."""
    body = b"".join(
        [
            _ACT.pack(_KIND_ACT, act.outcome, act.seq, act.time_ms, act.principal_id),
            _short_text(act.principal),
            _short_text(act.action),
            len(act.locators).to_bytes(2, "big"),
            *act.locators,
            act.detail.encode(errors="backslashreplace"),
        ]
    )
    if len(body) > MAX_BODY_BYTES:
        raise ValueError("an access record is larger than 16 MiB")
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def decode(body: bytes) -> Record:
    """The record in a frame's body.

    Raises:
        MalformedRecordError: not a record of this layout; nothing else is ever raised.
    """
    try:
        if body[0] == _KIND_READ:
            return _decode_read(body)
        if body[0] == _KIND_ACT:
            return _decode_act(body)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedRecordError("an access record ends early or is not text") from error
    raise MalformedRecordError("an access record of an unknown kind")


def readable(body: bytes) -> Record | None:
    """The record, or None where the bytes are none of this version's layouts."""
    try:
        return decode(body)
    except MalformedRecordError:
        return None


def _decode_read(body: bytes) -> ReadRecord:
    _, acted, seq, time_ms, principal_id, purpose_id, n = _READ.unpack_from(body)
    action, basis = acted & _ACTION_BITS, _BASES.get(acted >> _BASIS_SHIFT)
    position = _READ.size + n * _UNKNOWN.size
    if position > len(body):
        raise MalformedRecordError("an access record ends early")
    unknown = tuple(_UNKNOWN.iter_unpack(body[_READ.size : position]))
    groups = tuple(_groups(body, position))
    return ReadRecord(seq, time_ms, principal_id, action, purpose_id, unknown, groups, basis)


def _groups(body: bytes, position: int) -> Iterator[Group]:
    while position < len(body):
        locator, count = _GROUP.unpack_from(body, position)
        start = position + _GROUP.size
        position = start + count * ITEM_BYTES
        if position > len(body):
            raise MalformedRecordError("an access record ends early")
        yield Group(locator, body[start:position])


def _decode_act(body: bytes) -> ActRecord:
    _, outcome, seq, time_ms, principal_id = _ACT.unpack_from(body)
    principal, position = _read_short_text(body, _ACT.size)
    action, position = _read_short_text(body, position)
    count = int.from_bytes(_exactly(body, position, 2), "big")
    position += 2
    packed = _exactly(body, position, count * LOCATOR_BYTES)
    locators = tuple(packed[at : at + LOCATOR_BYTES] for at in range(0, len(packed), LOCATOR_BYTES))
    detail = body[position + len(packed) :].decode()
    return ActRecord(seq, time_ms, principal_id, action, principal, outcome, locators, detail)


def _short_text(text: str) -> bytes:
    raw = text.encode(errors="backslashreplace")
    if len(raw) > 255:
        raw = raw[:255].decode(errors="ignore").encode()
    return bytes([len(raw)]) + raw


def _read_short_text(body: bytes, position: int) -> tuple[str, int]:
    end = position + 1 + body[position]
    return _exactly(body, position + 1, body[position]).decode(), end


def _exactly(body: bytes, position: int, count: int) -> bytes:
    found = body[position : position + count]
    if len(found) != count:
        raise MalformedRecordError("an access record ends early")
    return found


def gap_act(seq: int, time_ms: int, detail: str) -> bytes:
    """The framed act that says: here the log may have lost records."""
    return encode_act(ActRecord(seq, time_ms, 0, GAP_ACTION, detail=detail))


def is_gap_frame(frame: bytes) -> bool:
    """Whether a whole frame holds a gap act."""
    if GAP_ACTION.encode() not in frame:
        return False
    try:
        record = decode(frame[FRAME.size :])
    except MalformedRecordError:
        return False
    return isinstance(record, ActRecord) and record.action == GAP_ACTION
