"""What a customer's row has no room for: the end of its sheet. Big-endian.

    events u32 | head 32                 the customer's consent events: how many, and the hash of the last
    shred_id 16                          an erasure that waits for a hold; zeros for none
    u8 n | n x (purpose u32 | state u8 | expires_ms u64)          consents with an end, or beyond the row
    u8 n | n x (id u32 | purpose u32 | field_class u8 | until_ms u64)    restrictions; 0 = any, any, no end
    u8 n | n x (id u32 | field_class u8 | until_ms u64 | text)           legal holds; text is a reference
    u8 n | n x (id u32 | purpose u32 | field_class u8 | at_ms u64)       expiries

A text is u8 and as many bytes of UTF-8. Terms that say nothing take no bytes.

The row binds the terms: its `restrictions` is their digest under a subkey of the DEK, 0 for none, so terms of
an earlier moment do not pass for those of now. Its flag SLOW_PATH says that they bear on reads.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from vault.errors import IntegrityFailedError, LimitExceededError
from vault.model.consent import ConsentState
from vault.model.situation import Situation

ROW_PURPOSES: Final = 32
"""Purposes with numbers up to this have their consent in the customer row."""
MAX_OF_A_KIND: Final = 255
MAX_REFERENCE_BYTES: Final = 255

_HEAD: Final = struct.Struct(">I32s16s")
_CONSENT: Final = struct.Struct(">IBQ")
_LIMIT: Final = struct.Struct(">IIBQ")
_HOLD: Final = struct.Struct(">IBQB")
_NO_HEAD: Final = bytes(32)
_NO_SHRED: Final = bytes(16)


class TimedConsent(NamedTuple):
    """A purpose's consent that the row cannot hold alone; `expires_ms` 0 is no end."""

    purpose: int
    state: ConsentState
    expires_ms: int = 0


class Restriction(NamedTuple):
    """Restricted processing (GDPR art. 18). 0 stands for every purpose, every class, no end."""

    id: int
    purpose: int = 0
    field_class: int = 0
    until_ms: int = 0


class Hold(NamedTuple):
    """A legal hold: what must not be erased. 0 stands for every class, no end."""

    id: int
    field_class: int = 0
    until_ms: int = 0
    reference: str = ""


class Expiry(NamedTuple):
    """From `at_ms` on values are not revealed any more. 0 stands for every purpose, every class."""

    id: int
    purpose: int
    field_class: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that a customer's sheet says besides its values."""

    events: int = 0
    head: bytes = _NO_HEAD
    shred_id: bytes = _NO_SHRED
    consents: tuple[TimedConsent, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    holds: tuple[Hold, ...] = ()
    expiries: tuple[Expiry, ...] = ()

    def __bool__(self) -> bool:
        """Whether they say anything."""
        return self is not NO_TERMS and self != NO_TERMS

    @property
    def bears_on_reads(self) -> bool:
        """Whether a decision has to look here."""
        return bool(self.erasure_pending or self.consents or self.restrictions or self.holds or self.expiries)

    @property
    def erasure_pending(self) -> bool:
        """Whether an erasure waits for a hold to end."""
        return self.shred_id != _NO_SHRED

    @property
    def closes(self) -> bool:
        """Whether the customer as a whole is restricted, with no end in sight."""
        whole = any(not (each.purpose or each.field_class or each.until_ms) for each in self.restrictions)
        return whole or self.erasure_pending

    def situation(
        self, purpose: int, now_ms: int, consent: ConsentState, jurisdiction: str, restricted: bool
    ) -> tuple[Situation, int]:
        """The situation for a purpose, and until when it holds (milliseconds since 1970, 0 for no end).

        Args:
            purpose: its number.
            now_ms: the time to judge by.
            consent: what the row says of the purpose.
            jurisdiction: as in the row.
            restricted: whether the row's state restricts the customer as a whole.
        """
        ends = [end for end in self._ends() if end > now_ms]
        for timed in self.consents:
            if timed.purpose == purpose:
                over = timed.expires_ms and timed.expires_ms <= now_ms and timed.state is ConsentState.GIVEN
                consent = ConsentState.WITHDRAWN if over else timed.state
        restricting = frozenset(
            each.field_class
            for each in self.restrictions
            if each.purpose in (0, purpose) and not 0 < each.until_ms <= now_ms
        )
        holding = frozenset(each.field_class for each in self.holds if not 0 < each.until_ms <= now_ms)
        ended = frozenset(
            each.field_class
            for each in self.expiries
            if each.purpose in (0, purpose) and each.at_ms <= now_ms
        )
        found = Situation(
            consent=consent,
            jurisdiction=jurisdiction,
            restricted=restricted or self.erasure_pending or 0 in restricting,
            held=0 in holding,
            expired=0 in ended,
            restricted_classes=restricting - {0},
            held_classes=holding - {0},
            expired_classes=ended - {0},
        )
        return found, min(ends, default=0)

    def with_consent(self, purpose: int, state: ConsentState, expires_ms: int) -> "Terms":
        """The terms with a consent that the row cannot hold; with NONE, without one of this purpose.

        Raises:
            LimitExceededError: there would be too many.
        """
        others = [each for each in self.consents if each.purpose != purpose]
        if state is not ConsentState.NONE:
            others.append(TimedConsent(purpose, state, expires_ms))
        if len(others) > MAX_OF_A_KIND:
            raise LimitExceededError(
                f"a customer has at most {MAX_OF_A_KIND} consents with an end", limit="consents_with_an_end"
            )
        return replace(self, consents=tuple(sorted(others)))

    def pack(self) -> bytes:
        """The terms' bytes; none where they say nothing."""
        if not self:
            return b""
        return b"".join(
            (
                _HEAD.pack(self.events, self.head, self.shred_id),
                bytes((len(self.consents),)),
                *[_CONSENT.pack(*each) for each in self.consents],
                bytes((len(self.restrictions),)),
                *[_LIMIT.pack(*each) for each in self.restrictions],
                bytes((len(self.holds),)),
                *[_pack_hold(each) for each in self.holds],
                bytes((len(self.expiries),)),
                *[_LIMIT.pack(*each) for each in self.expiries],
            )
        )

    @classmethod
    def unpack(cls, content: bytes) -> "Terms":
        """Reads packed terms; raises `IntegrityFailedError` unless every byte belongs to them."""
        if not content:
            return NO_TERMS
        try:
            events, head, shred_id = _HEAD.unpack_from(content)
            reader = _Reader(content, _HEAD.size)
            terms = cls(
                events,
                head,
                shred_id,
                tuple([TimedConsent(p, ConsentState(s), e) for p, s, e in reader.rows(_CONSENT)]),
                tuple([Restriction(*row) for row in reader.rows(_LIMIT)]),
                tuple(reader.holds()),
                tuple([Expiry(*row) for row in reader.rows(_LIMIT)]),
            )
        except (struct.error, IndexError, ValueError) as error:
            raise IntegrityFailedError from error
        if reader.position != len(content):
            raise IntegrityFailedError
        return terms

    def _ends(self) -> Iterator[int]:
        yield from (each.expires_ms for each in self.consents)
        yield from (each.until_ms for each in self.restrictions)
        yield from (each.until_ms for each in self.holds)
        yield from (each.at_ms for each in self.expiries)


NO_TERMS: Final = Terms()


def terms_digest(terms: Terms, row_mac: Callable[[bytes], bytes]) -> int:
    """What a customer row says of the terms in its sheet, by the MAC of its rows; 0 where there are none."""
    packed = terms.pack()
    return int.from_bytes(row_mac(b"terms" + packed)[:8], "big") if packed else 0


def row_consent(consents: int, purpose: int) -> ConsentState:
    """What the `consents` of a customer row say of a purpose; NONE for one beyond the row."""
    if not 0 < purpose <= ROW_PURPOSES:
        return ConsentState.NONE
    return ConsentState(consents >> 2 * (purpose - 1) & 3)


def with_row_consent(consents: int, purpose: int, state: ConsentState) -> int:
    """The `consents` of a customer row with another state for a purpose within the row."""
    shift = 2 * (purpose - 1)
    return consents & ~(3 << shift) | state << shift


class _Reader:
    """Takes counted rows from the front."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self.position = position

    def _take(self, layout: struct.Struct) -> tuple[int, ...]:
        row = layout.unpack_from(self._content, self.position)
        self.position += layout.size
        return row

    def _count(self) -> int:
        count = self._content[self.position]
        self.position += 1
        return count

    def rows(self, layout: struct.Struct) -> list[tuple[int, ...]]:
        return [self._take(layout) for _ in range(self._count())]

    def holds(self) -> Iterator[Hold]:
        for _ in range(self._count()):
            number, field_class, until_ms, length = self._take(_HOLD)
            text = self._content[self.position : self.position + length]
            if len(text) != length:
                raise IntegrityFailedError
            self.position += length
            yield Hold(number, field_class, until_ms, text.decode())


def _pack_hold(hold: Hold) -> bytes:
    text = hold.reference.encode()
    return _HOLD.pack(hold.id, hold.field_class, hold.until_ms, len(text)) + text
