"""A small model of where copies of data keys lie, and of everything that can happen to them.

It knows nothing of the rule. What it holds is what an attacker would find who has every file from any
time: the live keyring, free pages included; attempts, finished, abandoned or dead; copies of the
keyring; and at the provider, root keys that stand, wait for their destruction, or are gone but live
on in the provider's own backups.

Units: A1 to A5 are generations of customer A, B1 is customer B's. A1 lives from the start, in epoch 1. With
`value`, customer A has a value that may be erased while A lives on. Whoever makes a further generation
re-seals what A has then, so an erased value is sealed by the generations that were there before, and no
other. The last generations are left to rotations.

With `keep`, the values are backed up and restored, and then open under the generation that was in use at the
time. So a rotation that has replaced a generation carries it on, for as long as it likes.

An action returns the world after it and the ledger entries that it wrote. Whoever writes to the ledger
first finishes what its entries ask for (`_locked`); copying for a rotation does not wait for that.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from vault.erasure.events import (
    AttemptAbandoned,
    AttemptBegun,
    CustomerShredded,
    DestructionConfirmed,
    DestructionRequested,
    EpochEntered,
    GenerationCreated,
    GenerationShredded,
    KeyEvent,
    KeyringCopied,
    KeyringVerified,
    Restored,
    Unit,
    UnitEvent,
    ValuesErased,
)
from vault.erasure.finality import Span
from vault.erasure.waiting import Waiting
from vault.model.assurance import Assurance
from vault.model.ids import CustomerNo, Epoch, Generation, Region

A1, A2, B1, A3, A4, A5 = range(6)
GENERATIONS_OF_A = (A1, A2, A3, A4, A5)
REGION, CUSTOMER_A, VALUE_NO = Region(1), CustomerNo(1), 1
ABSENT, USABLE, PENDING, GONE = "absent", "usable", "pending", "gone"
NOBODY: frozenset[int] = frozenset()


class File(NamedTuple):
    """A keyring's file: wrapped rows, and deleted ones whose bytes are still there."""

    root: int
    rows: frozenset[int] = NOBODY
    free: frozenset[int] = NOBODY

    def holds(self, unit: int) -> bool:
        return unit in self.rows or unit in self.free

    def becomes(self, rows: frozenset[int]) -> "File":
        return File(self.root, rows, (self.free | self.rows) - rows)


class Root(NamedTuple):
    """A root key at its provider; `date` is when destruction holds."""

    status: str = ABSENT
    date: int = 0


class Copy(NamedTuple):
    file: File
    seq: int


class Limits(NamedTuple):
    """What may happen in an exploration, and how often."""

    depth: int
    units: tuple[int, ...] = (A1,)
    attempts: int = 3  # the first epoch's included
    copies: int = 0
    cancels: int = 0
    delay: int = 0  # ticks from a request to the destruction
    backups: int = 0  # ticks for which the provider's own backups outlive a key
    one_step: bool = True  # requested, waited for and confirmed in one action
    value: bool = False  # customer A's value may be erased
    reseals: Literal["first", "late", "never"] = "first"  # when a rotation replaces A's key for it
    keep: bool = False  # a replaced generation may be kept for a backup of the values
    forgetful: bool = False  # what a restore puts in use again, no rotation replaces again


class World(NamedTuple):
    live: File
    attempt: File | None  # the one that is being made
    dead: tuple[File, ...]  # attempts whose process died, with no entry that ends them
    kept: frozenset[File]  # abandoned attempts and former keyrings; nothing is ever overwritten
    copies: tuple[Copy, ...]
    roots: tuple[Root, ...]
    spans: tuple[Span | None, ...]
    restored: Copy | None  # put in place, the ledger not yet replayed onto it
    epoch: int
    seq: int
    now: int
    copied: int
    cancelled: int
    sealed: frozenset[int]  # units under which the value is sealed in some copy
    told: tuple[UnitEvent | Restored, ...]  # ledger entries about customer A and its value
    used: int  # customer A's unit in use, while it is alive
    backup: tuple[int, int] | None  # of the values: the unit in use then, and the last entry

    def recoverable(self, unit: int, backups: int) -> bool:
        """Whether any copy of the key can be opened."""
        files = {self.live, *self.dead, *self.kept, *(copy.file for copy in self.copies)}
        if self.attempt is not None:
            files.add(self.attempt)
        return any(file.holds(unit) and self._usable(self.roots[file.root], backups) for file in files)

    def shredded(self, unit: int) -> bool:
        span = self.spans[unit]
        return span is not None and span.shredded_seq is not None

    def alive(self, unit: int) -> bool:
        return self.spans[unit] is not None and not self.shredded(unit)

    @property
    def erased(self) -> bool:
        """Whether the value was deleted or corrected."""
        return any(isinstance(each, ValuesErased) for each in self.told)

    @property
    def generation(self) -> int | None:
        """Customer A's unit in use; None once A is shredded."""
        return self.used if self.alive(self.used) else None

    @property
    def next_generation(self) -> int | None:
        """The next unit of customer A; None if there is no further."""
        return next((unit for unit in GENERATIONS_OF_A if self.spans[unit] is None), None)

    def _usable(self, root: Root, backups: int) -> bool:
        if root.status == GONE:
            return self.now < root.date + backups
        return root.status in (USABLE, PENDING)


Step = tuple[World, tuple[KeyEvent, ...]]


def beginning() -> Step:
    """Epoch 1, one customer."""
    world = World(
        live=File(0, frozenset({A1})),
        attempt=None,
        dead=(),
        kept=frozenset(),
        copies=(),
        roots=(Root(USABLE),),
        spans=(Span(2), None, None, None, None, None),
        restored=None,
        epoch=1,
        seq=2,
        now=0,
        copied=0,
        cancelled=0,
        sealed=frozenset({A1}),
        told=(),
        used=A1,
        backup=None,
    )
    return world, (AttemptBegun(1, Epoch(1), 0, "0"), EpochEntered(2, Epoch(1), 0))


def steps(world: World, limits: Limits) -> Iterator[Step]:
    """Everything that can happen next."""
    yield from _customers(world, limits)
    yield from _rotations(world, limits)
    yield from _copies(world, limits)
    for root in range(len(world.roots)):
        yield from _destructions(world, root, limits)
    if not limits.one_step and _awaited(world, limits):
        yield tick(world), ()


def _awaited(world: World, limits: Limits) -> bool:
    """Whether time can change anything; after a withdrawn order somebody may wait in vain."""
    dates = [root.date for root in world.roots if root.status in (PENDING, GONE)]
    in_vain = limits.delay if world.cancelled else 0
    return world.now < max([*dates, in_vain]) + limits.backups


def _locked(world: World) -> tuple[World, tuple[KeyEvent, ...]]:
    """Carries out what the ledger asks for: shredded rows leave the live keyring, into its free pages."""
    rows = frozenset(unit for unit in world.live.rows if not world.shredded(unit))
    world = world._replace(live=world.live.becomes(rows))
    if world.restored is None:
        return world, ()
    root, seq = world.restored.file.root, world.seq + 1
    event = Restored(seq, _epoch(root), root, world.restored.seq)
    return world._replace(restored=None, seq=seq), (event,)


def _customers(world: World, limits: Limits) -> Iterator[Step]:
    locked, events = _locked(world)
    if limits.value:
        yield from _value(locked, events, limits)
        return
    for unit in limits.units:
        if world.spans[unit] is None and (unit != A2 or world.alive(A1)):
            # Nothing in the ledger tells of it: it came after the last entry.
            made = locked._replace(spans=_put(locked.spans, unit, Span(locked.seq)))
            yield made._replace(live=made.live._replace(rows=made.live.rows | {unit})), events
    for going in ((A1,), (A1, A2), (B1,)):
        # A1 alone goes as a replaced generation, or as the customer's only one.
        if all(world.alive(unit) for unit in going):
            seq, spans = locked.seq + 1, locked.spans
            for unit in going:
                created = spans[unit]
                assert created is not None
                spans = _put(spans, unit, Span(created.created_seq, seq, world.now))
            yield locked._replace(seq=seq, spans=spans), events


def _value(world: World, events: tuple[KeyEvent, ...], limits: Limits) -> Iterator[Step]:
    """What can happen to customer A, whose entries are told."""
    in_use = world.generation
    if in_use is None:
        return
    if not world.erased:
        gone = ValuesErased(
            world.seq + 1, REGION, ((CUSTOMER_A, VALUE_NO),), corrected=False, time_ms=world.now
        )
        yield world._replace(seq=gone.seq, told=(*world.told, gone)), events
    if world.next_generation in (A2, A3):
        yield _replaced(world), events
    if any(world.alive(unit) for unit in GENERATIONS_OF_A if unit != in_use):
        yield _left_shredded(world), events
    if limits.keep:
        yield from _backed_up(world, events)
    ending = world._replace(seq=world.seq + 1)
    for unit in GENERATIONS_OF_A:
        ending = _ended(ending, unit) if world.alive(unit) else ending
    shred = CustomerShredded(ending.seq, REGION, CUSTOMER_A, world.now)
    yield ending._replace(told=(*world.told, shred)), events


def _backed_up(world: World, events: tuple[KeyEvent, ...]) -> Iterator[Step]:
    """A backup of the values, and its restore; without the key of its time there would be no customer A."""
    if world.backup is None:
        yield world._replace(backup=(world.used, world.seq)), events
    elif world.alive(world.backup[0]) and world.backup[0] != world.used:
        root = world.live.root
        entry = Restored(world.seq + 1, _epoch(root), root, world.backup[1])
        restored = world._replace(seq=entry.seq, used=world.backup[0], told=(*world.told, entry))
        yield restored, (*events, entry)


def _replaced(world: World) -> World:
    """Customer A under a further generation, as RotateDek's first commit leaves it."""
    unit, former, seq = world.next_generation, world.generation, world.seq + 1
    assert unit is not None
    assert former is not None
    entry = GenerationCreated(seq, _generation(unit), _generation(former).generation, world.now)
    return world._replace(
        seq=seq,
        spans=_put(world.spans, unit, Span(world.seq)),
        live=world.live._replace(rows=world.live.rows | {unit}),
        sealed=world.sealed if world.erased else world.sealed | {unit},
        told=(*world.told, entry),
        used=unit,
    )


def _left_shredded(world: World, up_to: int = A5) -> World:
    """Every generation of customer A before the one in use is shredded: the second commit."""
    for unit in GENERATIONS_OF_A:
        if world.alive(unit) and unit < world.used and unit <= up_to:
            world = _ended(world._replace(seq=world.seq + 1), unit)
            entry = GenerationShredded(world.seq, _generation(unit), world.now)
            world = world._replace(told=(*world.told, entry))
    return world


def _resealed(world: World, limits: Limits) -> Iterator[World]:
    """What a rotation may do for customer A, if a value went while the generation in use had sealed it."""
    told = [each for each in world.told if not limits.forgetful or not isinstance(each, Restored)]
    waiting = Waiting.after(told)
    if CUSTOMER_A in waiting and world.generation is not None:
        world = _replaced(world)
    if limits.keep:
        yield world
        before = [each.generation for each in waiting.replaced.get(CUSTOMER_A, ())]
        for generation in before[:-1]:
            yield _locked(_left_shredded(world, GENERATIONS_OF_A[generation - 1]))[0]
    yield _locked(_left_shredded(world))[0]


def _ended(world: World, unit: int) -> World:
    span = world.spans[unit]
    assert span is not None
    return world._replace(spans=_put(world.spans, unit, Span(span.created_seq, world.seq, world.now)))


def _generation(unit: int) -> Unit:
    return Unit(REGION, CUSTOMER_A, Generation(GENERATIONS_OF_A.index(unit) + 1))


def _rotations(world: World, limits: Limits) -> Iterator[Step]:
    locked, events = _locked(world)
    if len(world.roots) < limits.attempts:
        first = limits.value and limits.reseals == "first"
        for resealed in _resealed(locked, limits) if first else [locked]:
            yield _begun(resealed, events, limits)
    if world.attempt is not None:
        taken = world.attempt._replace(rows=world.attempt.rows | world.live.rows)
        if taken != world.attempt:
            yield _made(world, taken.root)._replace(attempt=taken), ()
        yield _swap(locked, events)
    for position, file in enumerate(world.dead):
        seq = locked.seq + 1
        rest = locked.dead[:position] + locked.dead[position + 1 :]
        ended = locked._replace(seq=seq, dead=rest, kept=locked.kept | {file})
        yield ended, (*events, AttemptAbandoned(seq, _epoch(file.root), file.root))


def _begun(world: World, events: tuple[KeyEvent, ...], limits: Limits) -> Step:
    number, seq = len(world.roots), world.seq + 1
    dead = world.dead if world.attempt is None else (*world.dead, world.attempt)
    begun = world._replace(seq=seq, attempt=File(number), dead=dead, roots=(*world.roots, Root()))
    if limits.value and limits.reseals == "late":
        *_, begun = _resealed(begun, limits)
    return begun, (*events, AttemptBegun(seq, _epoch(number), number, str(number)))


def _swap(world: World, events: tuple[KeyEvent, ...]) -> Step:
    assert world.attempt is not None
    seq, made = world.seq + 1, _made(world, world.attempt.root)
    swapped = made._replace(
        seq=seq,
        live=world.attempt.becomes(world.live.rows),
        attempt=None,
        kept=world.kept | {world.live},
        epoch=world.attempt.root + 1,
    )
    return swapped, (*events, EpochEntered(seq, _epoch(world.attempt.root), world.attempt.root))


def _copies(world: World, limits: Limits) -> Iterator[Step]:
    if world.copied < limits.copies:
        locked, events = _locked(world)
        seq = locked.seq + 1
        copy = Copy(locked.live, seq)
        copied = locked._replace(seq=seq + 1, copies=(*locked.copies, copy), copied=locked.copied + 1)
        names = _epoch(copy.file.root), copy.file.root
        yield copied, (*events, KeyringCopied(seq, *names), KeyringVerified(seq + 1, *names, seq))
    for copy in world.copies:
        if world.roots[copy.file.root].status == USABLE and world.live != copy.file:
            former = world.kept | {world.live}
            yield world._replace(live=copy.file, kept=former, restored=copy, epoch=copy.file.root + 1), ()


def _destructions(world: World, root: int, limits: Limits) -> Iterator[Step]:
    status = world.roots[root].status
    in_use = {world.live.root} | ({world.attempt.root} if world.attempt is not None else set())
    if status in (ABSENT, USABLE) and root not in in_use:
        requested, events = _request(world, root, limits)
        if limits.one_step:
            while requested.roots[root].status != GONE:
                requested = tick(requested)
            confirmed, more = _confirm(requested, root, limits)
            yield confirmed, (*events, *more)
        else:
            yield requested, events
    if limits.one_step:
        return
    if status == PENDING and world.cancelled < limits.cancels:
        # Somebody withdraws the order at the provider; the vault learns nothing of it.
        cancelled = _put(world.roots, root, Root(USABLE))
        yield world._replace(roots=cancelled, cancelled=world.cancelled + 1), ()
    if status in (PENDING, GONE):
        yield _confirm(world, root, limits)


def _request(world: World, root: int, limits: Limits) -> Step:
    locked, events = _locked(world)
    seq, due = locked.seq + 1, world.now + limits.delay
    at_once = limits.delay == 0 or locked.roots[root].status == ABSENT
    changed = Root(GONE, world.now) if at_once else Root(PENDING, due)
    requested = locked._replace(seq=seq, roots=_put(locked.roots, root, changed))
    return requested, (*events, DestructionRequested(seq, str(root), world.now, changed.date))


def _confirm(world: World, root: int, limits: Limits) -> Step:
    """What the provider says is recorded: gone since, or, before its date, going to be gone."""
    locked, events = _locked(world)
    seq, date = locked.seq + 1, world.roots[root].date
    said = DestructionConfirmed(seq, str(root), world.now, date, Assurance.HARDWARE, "", limits.backups)
    return locked._replace(seq=seq), (*events, said)


def tick(world: World) -> World:
    """Time passes; destructions that are due take place."""
    now = world.now + 1
    roots = [
        Root(GONE, root.date) if root.status == PENDING and root.date <= now else root for root in world.roots
    ]
    return world._replace(now=now, roots=tuple(roots))


def run_out(world: World, limits: Limits) -> Step:
    """What a good administrator does: a new epoch, everything older ended and destroyed, time to pass."""
    world, events = _locked(world)
    widest = limits._replace(attempts=len(world.roots) + 1)
    *_, (world, more) = [step for step in _rotations(world, widest) if len(step[0].roots) > len(world.roots)]
    events += more
    world, more = _swap(world, ())
    events += more
    while world.dead:
        seq, file = world.seq + 1, world.dead[0]
        world = world._replace(seq=seq, dead=world.dead[1:], kept=world.kept | {file})
        events += (AttemptAbandoned(seq, _epoch(file.root), file.root),)
    for root, (status, _) in enumerate(world.roots):
        if root != world.live.root and status in (ABSENT, USABLE):
            world, more = _request(world, root, limits)
            events += more
    for _ in range(limits.delay):
        world = tick(world)
    for root, (status, _) in enumerate(world.roots):
        if status == GONE:
            world, more = _confirm(world, root, limits)
            events += more
    for _ in range(limits.backups):
        world = tick(world)
    return world, events


def _made(world: World, root: int) -> World:
    if world.roots[root].status != ABSENT:
        return world
    return world._replace(roots=_put(world.roots, root, Root(USABLE)))


def _epoch(root: int) -> Epoch:
    return Epoch(root + 1)


def _put(items: tuple, at: int, item: object) -> tuple:  # type: ignore[type-arg]
    return (*items[:at], item, *items[at + 1 :])
