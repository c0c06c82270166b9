"""A recorded history of operations, and the rules that it must obey.

    python -m tests.scenarios.support.history DATA_DIR PROCESS_NAME THREADS OPERATIONS SEED OUT

makes one: threads act at random on a few customers of one vault, and each operation is one line of OUT
with the times (CLOCK_MONOTONIC, one clock for all processes) at which it began and was answered.
Values are unique, so that a value read names the write that it came from.
"""

import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path

from tests.scenarios.support.deployment import Desks, by_id, open_vault
from vault.errors import VaultError
from vault.model.requests import Outcome

CUSTOMERS = 24
_SHARES = {"read": 60, "store": 18, "update": 14, "delete": 2, "shred": 4, "rotate": 2}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: `error` is the reason if it failed; the rest as far as it applies."""

    act: str
    began: int
    ended: int
    external_id: str = ""
    customer: str = ""
    created: bool = False
    token: str = ""
    tokens: Sequence[str] = ()
    value: str = ""
    values: Sequence[str] = ()
    error: str = ""


@dataclass(slots=True)
class Known:
    """What the threads of a process have seen, to act upon."""

    tokens: dict[str, str] = field(default_factory=dict)  # by external id, the newest
    past: list[str] = field(default_factory=list)


class Actor:
    """One thread's random acts."""

    def __init__(self, desks: Desks, known: Known, name: str, seed: str) -> None:
        self._desks = desks
        self._known = known
        self._name = name
        self._order = random.Random(seed)
        self._made = 0
        self.history: list[Operation] = []

    def run(self, operations: int) -> None:
        acts, shares = list(_SHARES), list(_SHARES.values())
        for _ in range(operations):
            (act,) = self._order.choices(acts, shares)
            began = time.monotonic_ns()
            try:
                found = getattr(self, f"_{act}")()
            except VaultError as error:
                found = self._attempt | {"error": error.reason.value}
            self.history.append(Operation(act, began, time.monotonic_ns(), **found))

    def _external_id(self) -> str:
        return f"crm-{self._order.randrange(CUSTOMERS)}"

    def _value(self) -> str:
        self._made += 1
        return f"{self._name}-{self._made}"

    def _token(self) -> str:
        return self._known.tokens.get(self._external_id(), "cv1_" + "0" * 32)

    def _read(self) -> dict[str, object]:
        self._attempt: dict[str, object] = {}
        tokens = [self._token() for _ in range(3)] + self._order.choices(self._known.past or [""], k=2)
        revealed = self._desks.crm.read(tokens)
        denied = {denial.index: denial.reason.value for denial in revealed.denials}
        values = [
            (denied.get(index, "") and "!" + denied[index]) or value
            for index, value in enumerate(revealed.values)
        ]
        return {"tokens": tokens, "values": values}

    def _store(self) -> dict[str, object]:
        external_id, value = self._external_id(), self._value()
        self._attempt = {"external_id": external_id, "value": value}
        result = self._desks.crm.store(external_id, {"note": value})
        (stored,) = result.results
        assert stored.outcome in (Outcome.CREATED, Outcome.UPDATED)
        self._known.tokens[external_id] = stored.token
        self._known.past.append(stored.token)
        return self._attempt | {
            "customer": result.customer_token,
            "created": result.customer_created,
            "token": stored.token,
        }

    def _update(self) -> dict[str, object]:
        self._attempt = {"token": self._token(), "value": self._value()}
        self._desks.crm.update(str(self._attempt["token"]), str(self._attempt["value"]))
        return self._attempt

    def _delete(self) -> dict[str, object]:
        self._attempt = {"token": self._token()}
        self._desks.crm.delete(str(self._attempt["token"]))
        return self._attempt

    def _shred(self) -> dict[str, object]:
        self._attempt = {"external_id": self._external_id()}
        self._desks.eraser.shred(by_id(str(self._attempt["external_id"])))
        return self._attempt

    def _rotate(self) -> dict[str, object]:
        self._attempt = {"external_id": self._external_id()}
        desk = self._desks.admin
        desk.vault.rotate_dek(desk.caller, by_id(str(self._attempt["external_id"])), "")
        return self._attempt


ALLOWED = {
    "CUSTOMER_UNKNOWN",
    "TOKEN_UNKNOWN",
    "TOKEN_MALFORMED",
    "SHREDDED",
    "ALREADY_SHREDDED",
    "VALUE_DELETED",
}


def broken_rules(history: Iterable[Operation]) -> list[str]:
    """Every rule that a history breaks, in words; empty for a correct vault."""
    operations = sorted(history, key=lambda each: each.began)
    done = [each for each in operations if not each.error]
    return [
        *_unexpected_errors(operations),
        *_reused_numbers(done),
        *_doubled_customers(done),
        *_revived_values(done),
        *_stale_values(operations),
    ]


def _unexpected_errors(operations: list[Operation]) -> Iterable[str]:
    seen = Counter(each.error for each in operations if each.error)
    seen.update(value[1:] for each in operations for value in each.values if value.startswith("!"))
    return [f"{count} times {reason}" for reason, count in seen.items() if reason not in ALLOWED]


def _reused_numbers(done: list[Operation]) -> Iterable[str]:
    """A customer is created once, under one external id; a token is of one customer."""
    created = Counter(each.customer for each in done if each.created)
    yield from (
        f"customer {token} was created {count} times" for token, count in created.items() if count > 1
    )
    names, owners = defaultdict(set), defaultdict(set)
    for each in done:
        if each.act == "store":
            names[each.customer].add(each.external_id)
            owners[each.token].add(each.customer)
            if each.customer not in created:
                yield f"customer {each.customer} was never created"
    yield from (f"customer {token} has two ids" for token, ids in names.items() if len(ids) > 1)
    yield from (f"token {token} has two customers" for token, held in owners.items() if len(held) > 1)


def _doubled_customers(done: list[Operation]) -> Iterable[str]:
    """Two customers of one external id never live at once: a shred lies between their creations.

    Of two calls that overlap, either may have taken effect first, whichever began first.
    """
    shreds, creations = defaultdict(list), defaultdict(list)
    for each in done:
        if each.act == "shred":
            shreds[each.external_id].append(each)
        elif each.created:
            creations[each.external_id].append(each)
    for external_id, made in creations.items():
        for earlier, later in pairwise(made):
            last = max(earlier.ended, later.ended)
            between = [s for s in shreds[external_id] if s.ended > earlier.began and s.began < last]
            if not between:
                yield f"{external_id} was created twice with no shred between"
        if len(made) > len(shreds[external_id]) + 1:
            yield f"{external_id} was created more often than shredded"


def _ends(done: list[Operation]) -> dict[str, int]:
    """When each token was certainly dead: its deletion, or its customer's shred, was acknowledged."""
    ends: dict[str, int] = {each.token: each.ended for each in done if each.act == "delete"}
    for external_id in {each.external_id for each in done if each.created}:
        mine = [each for each in done if each.external_id == external_id]
        made = [each for each in mine if each.created]
        shreds = [each for each in mine if each.act == "shred"]
        for customer, following in zip_longest(made, made[1:]):
            dead = _dead_by(customer, following, shreds, every=len(shreds) == len(made))
            for each in mine:
                if dead and each.act == "store" and each.customer == customer.customer:
                    ends[each.token] = min(dead, ends.get(each.token, dead))
    return ends


def _dead_by(
    customer: Operation, following: Operation | None, shreds: list[Operation], *, every: bool
) -> int:
    """0 if it cannot be told: calls that overlap may have happened in either order."""
    if following is None:
        return max(each.ended for each in shreds) if every else 0
    if following.began < customer.ended:
        return 0
    fitting = [s for s in shreds if s.ended > customer.began and s.began < following.ended]
    return fitting[0].ended if len(fitting) == 1 else following.ended


def _revived_values(done: list[Operation]) -> Iterable[str]:
    ends = _ends(done)
    for each in done:
        for token, value in zip(each.tokens, each.values, strict=True):
            if not value.startswith("!") and each.began > ends.get(token, each.began):
                yield f"{token} was read after its end was acknowledged"


def _stale_values(operations: list[Operation]) -> Iterable[str]:
    """A read gives a value of its token that no write acknowledged before the read had replaced."""
    writes: dict[str, list[Operation]] = defaultdict(list)
    by_value: dict[str, Operation] = {}
    for each in operations:
        if each.act in ("store", "update") and not each.error:
            writes[each.token].append(each)
            by_value[each.value] = each
    for each in operations:
        for token, value in zip(each.tokens, each.values, strict=True):
            if value.startswith("!"):
                continue
            source = by_value.get(value)
            if source is None or source.token != token:
                yield f"{token} gave a value that was never written to it"
            elif source.began > each.ended:
                yield f"{token} gave a value before it was written"
            elif any(other.began > source.ended and other.ended < each.began for other in writes[token]):
                yield f"{token} gave a value that had been replaced"


def load(path: Path) -> list[Operation]:
    return [Operation(**json.loads(line)) for line in path.read_text().splitlines()]


def _record(data_dir: Path, name: str, threads: int, operations: int, seed: str, out: Path) -> None:
    known = Known()
    with open_vault(data_dir, name) as desks:
        actors = [Actor(desks, known, f"{name}-{n}", f"{seed}-{name}-{n}") for n in range(threads)]
        running = [threading.Thread(target=actor.run, args=(operations // threads,)) for actor in actors]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    with out.open("w") as file:
        for actor in actors:
            file.writelines(json.dumps(asdict(each)) + "\n" for each in actor.history)


if __name__ == "__main__":
    _record(
        Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], Path(sys.argv[6])
    )
