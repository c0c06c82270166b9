"""What is to be stored of customers who seem to be new, written down before the write lock is taken.

Nothing is held of them that a field could equal, rectify or be refused for, so all but their numbers is known
beforehand: which fields are values, under which labels they stand, and what is found by them. Whether
they are new is decided under the lock (`admitting`); of those who are not, the draft is thrown away.

Rules:
- A draft changes nothing of its entry. What it would refuse is told when the customer is admitted.
- Fields of one class are equal if their normalized forms are; that is what a fingerprint stands for.
- Values are numbered as their customer's counter will: the external id is the first.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from vault.core.engine import Engine
from vault.core.fieldinput import EXTERNAL_ID, PreparedEntry, PreparedField, Shape, check_limit
from vault.core.newcomers import Lines, Newcomer, NewValue, Packed, new_value
from vault.errors import VaultError
from vault.fields.field_class import FieldClass
from vault.model.requests import Outcome
from vault.store.session import WriteSession
from vault.store.sheet import MAX_LABELS

MOST_FIELDS: Final = 2**16 - 3  # beside the external id, by the value counter's two bytes
OWN_LABELS: Final = ("",)
_EMPTY: Final = int(Outcome.EMPTY)
_REFUSED: Final = int(Outcome.REFUSED)
_CREATED: Final = int(Outcome.CREATED)
_UNCHANGED: Final = int(Outcome.UNCHANGED)

Result = list[int | str]
"""Outcome, and counter of the value or reason of the refusal."""


class _Known(NamedTuple):
    """A field class, its number, and whether anything is found by its values."""

    field_class: FieldClass
    number: int
    digested: bool


Refused = tuple[PreparedField, VaultError]


class Draft(NamedTuple):
    """One customer, what becomes of each field, and which fields are refused only now."""

    newcomer: Newcomer
    fields: list[Result]
    refused: Sequence[Refused] = ()


class _Pattern(NamedTuple):
    """What is drafted of every customer of a shape, which it keeps; no lines where each has its own."""

    shape: Shape
    lines: Lines | None
    fields: list[Result]


class Drafts(NamedTuple):
    """Those of one request, in the order of its entries, ready to be sealed together."""

    drafting: "Drafting"
    all: list[Draft]
    packed: Packed | None


class Drafting:
    """Writes drafts for one request."""

    def __init__(self, engine: Engine, numbers: Mapping[str, int]) -> None:
        """`numbers` are those of the field classes, which once given stay."""
        self._engine = engine
        self._numbers = numbers
        self._known: dict[str, _Known] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._patterns: dict[int, _Pattern] = {}
        self.own = self._class(EXTERNAL_ID).number

    @property
    def heads(self) -> Mapping[int, bytes]:
        """With what the fingerprints of each class begin, by the class's number; for `Sealer.pack`."""
        return {known.number: name.encode() + b"\0" for name, known in self._known.items()}

    def draft_all(self, entries: Sequence[PreparedEntry]) -> Drafts:
        """Drafts of those who seem to be new now, kept with their entries."""
        likely = self._look_up([entry for entry in entries if _may_be_drafted(entry)])
        drafts = self._engine.turn.each(self.draft, likely)
        for entry, draft in zip(likely, drafts, strict=True):
            entry.draft = draft
        if not drafts:
            return Drafts(self, drafts, None)
        with self._engine.turn.ordinary():
            return Drafts(self, drafts, self.pack(drafts))

    def pack(self, drafts: Sequence[Draft]) -> Packed:
        """The customers of some drafts, to be sealed."""
        return self._engine.newcomers.pack([each.newcomer for each in drafts], self.heads)

    def draft(self, entry: PreparedEntry, session: WriteSession | None = None) -> Draft:
        """One customer of an external id, none of whose fields wants a surrogate.

        `session` is the one that this thread is in, if it is in one.
        """
        plain = entry.plain
        if plain is not None:
            pattern = self._patterns.get(id(plain.shape)) or self._pattern(plain.shape)
            if pattern.lines is not None and not plain.equal:
                own_id = entry.external_id
                stored, normalized = [own_id, *plain.stored], [own_id, *plain.normalized]
                newcomer = Newcomer(entry.jurisdiction, pattern.lines, stored, normalized)
                return Draft(newcomer, pattern.fields)
        own = NewValue(1, self.own, entry.external_id, entry.external_id, b"", OWN_LABELS)
        values, results, refused = [own], list[Result](), list[Refused]()
        self._take_all(entry.fields, values, results, refused, session)
        return Draft(Newcomer.of(entry.jurisdiction, values), results, refused)

    def _pattern(self, shape: Shape) -> "_Pattern":
        """What is the same of all customers of a shape, unless something is found by a value of theirs."""
        counters = tuple(range(1, len(shape.places) + 2))
        known = [self._known.get(name) or self._class(name) for name, _ in shape.places]
        lines = None
        if not any(each.digested for each in known):
            classes = (self.own, *[each.number for each in known])
            labels = (OWN_LABELS, *[(label,) for _, label in shape.places])
            lines = Lines(counters, classes, (b"",) * len(counters), labels)
        pattern = _Pattern(shape, lines, [[_CREATED, counter] for counter in counters[1:]])
        self._patterns[id(shape)] = pattern
        return pattern

    def _look_up(self, entries: list[PreparedEntry]) -> list[PreparedEntry]:
        """Hashes their external ids, for now; those who are not in the index."""
        if not entries:
            return entries
        book, unknown = self._engine.book, []
        with self._engine.turn.ordinary(), self._engine.store.keyring() as keys:
            for entry in entries:
                hashed = book.external_hash(keys, entry.external_id)
                entry.hashed, entry.hashed_in = hashed, keys.epoch
                if book.lookup_hashed(keys, hashed) is None:
                    unknown.append(entry)
        return unknown

    def _take_all(
        self,
        fields: Sequence[PreparedField],
        values: list[NewValue],
        results: list[Result],
        refused: list[Refused],
        session: WriteSession | None,
    ) -> None:
        held: dict[tuple[int, bytes], int] = {}
        counter, labels_of = 2, self._labels
        for made in fields:
            if made.error is not None:
                results.append([_REFUSED, made.error.reason.value])
                continue
            if made.empty:
                results.append([_EMPTY, 0])
                continue
            known = self._known.get(made.field_class) or self._class(made.field_class)
            place, label = (known.number, made.normalized), made.label
            try:
                held_at = held.get(place)
                if held_at is not None:
                    results.append([_UNCHANGED, _label(values, held_at, label)])
                    continue
                digest = self._digest(values, known, made, session) if known.digested else b""
            except VaultError as error:
                refused.append((made, error))  # alone: the customer keeps the other fields
                results.append([_REFUSED, error.reason.value])
                continue
            labels = labels_of.get(label) or labels_of.setdefault(label, (label,))
            held[place] = len(values)
            values.append(new_value((counter, known.number, made.stored, made.normalized, digest, labels)))
            results.append([_CREATED, counter])
            counter += 1

    def _digest(
        self, values: list[NewValue], known: _Known, made: PreparedField, session: WriteSession | None
    ) -> bytes:
        search = self._engine.book.search
        digest = search.digest(known.field_class, made.normalized)
        if session is not None:
            search.require_room(session, values, known.number, digest)
        elif search.searchable.compounds:
            with self._engine.store.snapshot() as snapshot:
                search.require_room(snapshot, values, known.number, digest)
        return digest

    def _class(self, name: str) -> _Known:
        engine = self._engine
        digested = name in engine.book.search.searchable.digested
        known = self._known[name] = _Known(engine.catalog.get(name), self._numbers[name], digested)
        return known


def _may_be_drafted(entry: PreparedEntry) -> bool:
    named = entry.error is None and entry.external_id
    return bool(named) and not entry.surrogates and entry.size <= MOST_FIELDS


def _label(values: list[NewValue], at: int, label: str) -> int:
    """Puts a further label on a value; its counter.

    Raises:
        LimitExceededError: it has as many as it can.
    """
    value = values[at]
    check_limit("labels_per_value", len(value.labels) + 1, MAX_LABELS)
    values[at] = value._replace(labels=(*value.labels, label))
    return value.counter
