"""One flipped bit at a time in a vault's files, and what every principal is then answered.

    python -m tests.scenarios.support.flipping DIRECTORY     (a child; a damaged page may end it)

The child reads one flip a line, `FILE BIT warm|cold`, and writes one line of JSON: what came of it.
`cold` opens the vault on the damaged file; `warm` damages a file under a vault that is open and has read
everything: its pages are shared with the file. After each flip the files are as before.

Rules:
- An answer is either what it was before the flip, or a denial or error. Anything else is wrong.
- A process that dies or hangs has answered nothing: it is counted, and is not wrong.
"""

import json
import os
import random
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scenarios.support.deployment import Deployment, Desks, by_id, by_token, open_vault
from tests.scenarios.support.policies import POLICY
from vault.errors import VaultError
from vault.model.access import Reveal
from vault.store.snapshot import VALUES_TABLES

ROOT = Path(__file__).parents[3]
PLANES = ("values/data.mdb", "keyring/1/data.mdb", "index/1/data.mdb")
PAGE_BYTES = 4096
READERS = ("crm", "agent", "nobody", "partner", "privacy", "revoked", "stranger")
HANG_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Flip:
    file: str
    bit: int
    warm: bool

    def line(self) -> str:
        return f"{self.file} {self.bit} {'warm' if self.warm else 'cold'}\n"


@dataclass(slots=True)
class Tally:
    """What came of the flips."""

    wrong: list[str] = field(default_factory=list)
    unexpected: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


def populate(deployment: Deployment) -> None:
    """Customers in every state, with a history whose older pages are still in the files."""
    with deployment.opened() as desks:
        vault = desks.vault
        vault.create_principal(desks.admin.caller, "revoked", "", 0, "")
        grants = (
            '\n[principals.revoked]\ndomains = ["crm"]\n[principals.revoked.reveal.support]\n"*" = "PLAIN"\n'
        )
        generous = (POLICY + grants).replace(
            "[principals.nobody]\n", '[principals.nobody]\nmay = ["shred"]\n'
        ) + '[principals.nobody.reveal.support]\n"*" = "PLAIN"\n'
        vault.apply_policy(desks.admin.caller, generous, validate_only=False, request_id="")
        tokens: dict[str, list[str]] = {}
        for number in range(24):
            fields = {
                "name": f"Person Number {number}",
                "email": f"person{number}@example.com",
                "note": f"note of {number} " * 8,
            }
            tokens[f"crm-{number}"] = desks.crm.tokens(f"crm-{number}", fields)
        for number in range(0, 24, 4):
            desks.crm.update(tokens[f"crm-{number}"][0], f"Corrected Person {number}")
            desks.crm.delete(tokens[f"crm-{number + 1}"][1])
            desks.eraser.shred(by_id(f"crm-{number + 2}"))
        vault.rotate_dek(desks.admin.caller, by_id("crm-3"), "")
        vault.apply_policy(desks.admin.caller, POLICY + grants, validate_only=False, request_id="")
        vault.revoke_principal(desks.admin.caller, "revoked", "")
        desks.eraser.shred(by_id("crm-7"))
    _shorten(deployment.data_dir)
    (deployment.data_dir.parent / "tokens.json").write_text(json.dumps(tokens))


def _shorten(data_dir: Path) -> None:
    """Cuts preallocated space away, so that each flip hits something and files are small."""
    for name in PLANES:
        content = (data_dir / name).read_bytes()
        last = max(int.from_bytes(content[at + 136 : at + 144], "little") for at in (0, PAGE_BYTES))
        os.truncate(data_dir / name, (last + 1) * PAGE_BYTES)
    entries = data_dir / "ledger" / "entries"
    used = len(entries.read_bytes().rstrip(b"\0"))
    os.truncate(entries, used + 256)


def targets(data_dir: Path) -> dict[str, int]:
    """Every file that a vault reads back, with its size in bits."""
    small = ("FORMAT", "CURRENT", "keyring/1/EDK", "ledger/entries", "public/keys.json")
    root = [f"root/{path.name}" for path in (data_dir / "root").iterdir()]
    return {name: (data_dir / name).stat().st_size * 8 for name in (*PLANES, *small, *root)}


def plan(deployment: Deployment, count: int, seed: int) -> list[Flip]:
    """Random flips: a tenth in LMDB's meta pages, half in rows in use, the rest anywhere by size."""
    order, data_dir = random.Random(seed), deployment.data_dir
    sizes, rows = targets(data_dir), _rows_in_use(deployment)
    weights = [max(bits, max(sizes.values()) // 20) for bits in sizes.values()]
    flips = []
    for number in range(count):
        if number % 10 == 0:
            name = order.choice(PLANES)
            bit = order.choice((0, PAGE_BYTES * 8)) + order.randrange(152 * 8)
        elif number % 10 < 6:
            name, first, size = order.choice(rows)
            bit = order.randrange(max(0, first - _NODE_BYTES) * 8, (first + size) * 8)
        else:
            (name,) = order.choices(list(sizes), weights)
            bit = order.randrange(sizes[name])
        flips.append(Flip(name, bit, warm=order.random() < 0.5))
    return flips


_NODE_BYTES = 24  # of an LMDB node before its data: header and key


def _rows_in_use(deployment: Deployment) -> list[tuple[str, int, int]]:
    """File, offset and size of every copy of every row that the vault now reads."""
    with deployment.opened() as desks:
        store = desks.vault.engine.store
        with store.snapshot() as snapshot, store.keyring() as keys:
            tables = [snapshot.rows(name) for name in VALUES_TABLES]
            held = {
                PLANES[0]: [row for table in tables for _, row in table],
                PLANES[1]: [row for rows in (keys.deks(), keys.secrets()) for _, row in rows],
                PLANES[2]: [keyed_hash + owner for keyed_hash, owner in keys.index_rows()],
            }
    found = []
    for name, rows in held.items():
        content = (deployment.data_dir / name).read_bytes()
        for row in rows:
            at = content.find(row)
            while at >= 0:
                found.append((name, at, len(row)))
                at = content.find(row, at + 1)
    return found


def run(directory: Path, flips: Sequence[Flip]) -> Tally:
    """Has a child do the flips, and another one whenever a child ends before its time."""
    tally, waiting = Tally(), list(flips)
    while waiting:
        with (directory / "child.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", __name__, str(directory)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            waiting = waiting[_converse(child, waiting, tally) :]
        finally:
            child.kill()
            child.communicate()
    return tally


def _converse(child: "subprocess.Popen[bytes]", flips: Sequence[Flip], tally: Tally) -> int:
    """Feeds flips to a child until it ends; returns how many are done, the last one's death included."""
    assert child.stdin is not None
    assert child.stdout is not None
    for done, flip in enumerate(flips):
        with suppress(BrokenPipeError):
            child.stdin.write(flip.line().encode())
            child.stdin.flush()
        line = _line(child)
        if not line:
            hung = child.poll() is None
            tally.outcomes["hung" if hung else "died"] += 1
            return done + 1
        report = json.loads(line)
        tally.outcomes[report["outcome"]] += 1
        tally.unexpected.update(report["unexpected"])
        tally.wrong += [f"{flip.line().strip()}: {what}" for what in report["wrong"]]
    return len(flips)


def _line(child: "subprocess.Popen[bytes]") -> bytes:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], HANG_SECONDS)
    return child.stdout.readline() if ready else b""


class Observer:
    """Asks every principal everything, and compares with the answers before."""

    def __init__(self, tokens: dict[str, list[str]]) -> None:
        self._tokens = tokens
        self._flat = [token for group in tokens.values() for token in group]
        self.genuine: dict[str, Any] = {}
        self.unexpected: Counter[str] = Counter()

    def wrong(self, desks: Desks) -> tuple[list[str], int]:
        """What was answered that should not have been, and how many answers were withheld."""
        found, withheld = [], 0
        for what, answer in self.answers(desks):
            genuine = self.genuine[what]
            if answer is None:
                withheld += genuine is not None
            elif isinstance(answer, list):
                for index, (given, before) in enumerate(
                    zip(answer, genuine or [None] * len(answer), strict=True)
                ):
                    withheld += given is None and before is not None
                    if given is not None and given != before:
                        found.append(f"{what} item {index}")
            elif answer != genuine:
                found.append(what)
        return found, withheld

    def answers(self, desks: Desks) -> Iterator[tuple[str, Any]]:
        """Question and answer; None for what is refused, item by item where there are items."""
        for principal in READERS:
            desk = desks.of(principal)
            for purpose in ("support", "marketing"):
                for reveal in (Reveal.BEST, Reveal.PLAIN):
                    what = f"{principal} reads for {purpose}, {reveal.name}"
                    yield what, self._ask(lambda d=desk, p=purpose, r=reveal: self._read(d, p, r))
            preview = self._ask(
                lambda d=desk: d.shred_all([by_token(self._flat[0])], validate_only=True)[0].values
            )
            yield f"{principal} may shred", preview
            yield f"{principal} sees policy", self._ask(lambda d=desk: d.vault.get_policy(d.caller).document)
        for external_id in self._tokens:
            held = self._ask(lambda e=external_id: desks.crm.customer(by_id(e)).customer_token)
            yield f"{external_id} by id", held
        for token in self._flat[::5]:
            info = self._ask(lambda t=token: _info(desks.vault.inspect(desks.crm.caller, t)))
            yield f"inspect {token}", info

    def _read(self, desk: Any, purpose: str, reveal: Reveal) -> list[Any]:
        revealed = desk.read(self._flat, purpose, reveal)
        return [
            (value, int(level)) if level else None
            for value, level in zip(revealed.values, revealed.reveals, strict=True)
        ]

    def _ask(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except VaultError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever else damage leads to is to be known by name
            self.note(error)
            return None

    def note(self, error: Exception) -> None:
        """Counts an error that is none of the vault's."""
        self.unexpected[f"{type(error).__name__} in {_place(error)}"] += 1


def _info(info: Any) -> tuple[Any, ...]:
    return (info.state, info.customer_state, info.field_class, list(info.labels), info.version)


def _place(error: BaseException) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/vault/" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{code.co_name}"
        trace = trace.tb_next
    return place


class Damager:
    """Holds what the files contained, flips bits and puts everything back."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._genuine = {name: (data_dir / name).read_bytes() for name in targets(data_dir)}
        self._audit = {path.name for path in (data_dir / "audit").iterdir()}

    def flip(self, name: str, bit: int) -> None:
        changed = self._genuine[name][bit // 8] ^ 1 << bit % 8
        self._write(name, bytes([changed]), bit // 8)

    def unflip(self, name: str, bit: int) -> bool:
        """Takes one flip back; returns whether the files are then as they were."""
        self._write(name, self._genuine[name][bit // 8 : bit // 8 + 1], bit // 8)
        return all((self._data_dir / each).read_bytes() == held for each, held in self._genuine.items())

    def restore(self) -> None:
        """Puts every file back; no vault may be open."""
        for name, content in self._genuine.items():
            if (self._data_dir / name).read_bytes() != content:
                self._write(name, content, 0)
                os.truncate(self._data_dir / name, len(content))
        (self._data_dir / "run" / "writes-stopped").unlink(missing_ok=True)

    def drop_new_segments(self) -> None:
        for path in (self._data_dir / "audit").iterdir():
            if path.name not in self._audit:
                path.unlink()

    def _write(self, name: str, content: bytes, at: int) -> None:
        descriptor = os.open(self._data_dir / name, os.O_WRONLY)
        try:
            os.pwrite(descriptor, content, at)
        finally:
            os.close(descriptor)


class Child:
    """Does flips, with a vault that stays open between warm ones as long as nothing was written."""

    def __init__(self, directory: Path) -> None:
        self._data_dir = directory / "data"
        self._damager = Damager(self._data_dir)
        self._damager.restore()
        self._observer = Observer(json.loads((directory / "tokens.json").read_text()))
        self._open = ExitStack()
        self._desks: Desks | None = None
        self._observer.genuine = dict(self._observer.answers(self._warmed()))
        self._close()

    def flip(self, name: str, bit: int, how: str) -> dict[str, Any]:
        self._observer.unexpected.clear()
        try:
            outcome, wrong = (self._warm if how == "warm" else self._cold)(name, bit)
        except VaultError:
            outcome, wrong = "did not open", []
        except Exception as error:  # noqa: BLE001 - counted by name
            self._observer.note(error)
            outcome, wrong = "did not open", []
        return {"outcome": outcome, "wrong": wrong, "unexpected": dict(self._observer.unexpected)}

    def _cold(self, name: str, bit: int) -> tuple[str, list[str]]:
        self._close()
        self._damager.flip(name, bit)
        try:
            with open_vault(self._data_dir, "flipping", unlocking=name not in PLANES) as desks:
                return self._observe(desks)
        finally:
            self._damager.restore()
            self._damager.drop_new_segments()

    def _warm(self, name: str, bit: int) -> tuple[str, list[str]]:
        desks = self._warmed()
        self._damager.flip(name, bit)
        clean = False
        try:
            outcome = self._observe(desks)
        finally:
            clean = self._damager.unflip(name, bit)
            if not clean:
                self._close()
                self._damager.restore()
        return outcome

    def _observe(self, desks: Desks) -> tuple[str, list[str]]:
        wrong, withheld = self._observer.wrong(desks)
        return "withheld" if withheld else "unchanged", wrong

    def _warmed(self) -> Desks:
        if self._desks is None:
            self._desks = self._open.enter_context(open_vault(self._data_dir, "flipping"))
            if self._observer.genuine:
                assert self._observer.wrong(self._desks) == ([], 0)
        return self._desks

    def _close(self) -> None:
        self._desks = None
        self._open.close()
        self._damager.drop_new_segments()


def _serve(directory: Path) -> None:
    child = Child(directory)
    for line in sys.stdin:
        name, bit, how = line.split()
        print(json.dumps(child.flip(name, int(bit), how)), flush=True)  # noqa: T201 - the report


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
