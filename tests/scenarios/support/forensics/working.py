"""A vault that works through epochs, is copied all the while, and says what must be gone at the end.

    python -m tests.scenarios.support.forensics.working DATA_DIR STEP KEY_LIST    a rotation, killed at a step

In each epoch: customers with phone numbers are stored, the access log is sealed, every value is read, others
are shredded; values are deleted and corrected; of some customers all but one value goes. Nothing but the
rotation that follows replaces their data keys. Others' are replaced because somebody asks for it. Some are
shredded under a legal hold on their e-mail, which is released an epoch later. Copies of the whole directory
and of `values/` are taken before, between and after, and of what a rotation leaves that SIGKILL ended.
"""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.scenarios.support.deployment import (
    SMALL,
    Deployment,
    Desks,
    by_id,
    found_vault,
    new_id,
    open_vault,
)
from tests.scenarios.support.forensics.accesses import AUDIT
from tests.scenarios.support.forensics.copies import copy_data
from tests.scenarios.support.forensics.keylist import KeyList, NotedKey, Owner
from tests.scenarios.support.forensics.searching import Known
from tests.scenarios.support.rotating import rotate_until, rotation
from vault.audit.sealed.files import TREE
from vault.audit.sealed.verifying import Report, verify
from vault.core.sealing import Sealing, audit_keys
from vault.keys.file_provider import FileProvider
from vault.model.ids import ValueNo
from vault.model.requests import Entry, FieldInput
from vault.model.secret import Secret
from vault.store.entries import GenerationShredded, Shred
from vault.store.layout import ValueHeader, value_key

DAY_MS = 86_400_000
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is done in each epoch."""

    customers: int
    shreds: int
    shreds_after_kill: int  # of a rotation, for each
    touched: int  # customers of whom single values go, for each way in which they can


@dataclass(slots=True)
class Work:
    """The vault, its copies, and what of it must be gone."""

    deployment: Deployment
    keys: KeyList
    days: int = 0  # by which the vault's clock is ahead
    copies: list[Path] = field(default_factory=list)
    shredded: dict[int, Known] = field(default_factory=dict)  # customers, by number
    phones: list[Known] = field(default_factory=list)  # numbers that nobody has any more, by who had them
    former: set[Owner] = field(
        default_factory=set
    )  # sealed a value that was deleted or corrected; replaced keys
    living: list[tuple[Known, int, list[str]]] = field(default_factory=list)
    held: list[tuple[Known, int, int]] = field(default_factory=list)  # number, and id of the hold
    tokens: list[str] = field(default_factory=list)  # of shredded values, which somebody has kept
    region: int = 0
    _stored: int = 0

    @classmethod
    def found(cls, folder: Path, keep_days: int) -> "Work":
        """Founds the vault; so long it keeps replaced data keys for data backups."""
        keys = KeyList(folder / "keys")
        with keys.noting():
            settings = f"{SMALL}[backup]\nkeep_days = {keep_days}\n[fields.phone]\nsearchable = true\n"
            return cls(found_vault(folder, settings=settings), keys)

    @property
    def key_file(self) -> Path:
        return self.deployment.data_dir.parent / "key-file"

    @property
    def root_keys(self) -> Path:
        return self.deployment.data_dir / "root"

    @property
    def places(self) -> list[Path]:
        """The vault, closed, and all copies of it."""
        return [self.deployment.data_dir, *self.copies]

    def copy(self, name: str, *, only: str = "") -> None:
        """Takes a copy, as it stands."""
        target = self.deployment.data_dir.parent / "copies" / f"{len(self.copies)}-{name}"
        self.copies.append(copy_data(self.deployment.data_dir, target, only=only))

    def an_epoch(self, amounts: Amounts) -> None:
        """Stores, is copied, shreds, deletes, corrects, is copied."""
        with self._opened("works") as desks:
            self._store(desks, amounts.customers)
        self.seal()
        with self._opened("works") as desks:
            self._read(desks)
            self.copy("full")
            self._shred(desks, amounts.shreds)
            self._correct(desks, amounts.touched)
            self._delete(desks, amounts.touched)
            self._keep_one(desks, amounts.touched)
            self._replace(desks, amounts.touched)
            self._release(desks)
            self._shred_held(desks, amounts.touched)
            self.copy("values", only="values")
            self.copy("later")

    def seal(self) -> None:
        """Seals the access log, as the keeper does while a vault is served."""
        with self._opened("seals") as desks:
            sealing = Sealing(desks.vault.engine)
            sealing.sealer.open()
            try:
                sealing.sealer.seal()
            finally:
                sealing.close()

    def verified(self) -> Report:
        """What the offline check says of the sealed access log."""
        with self._opened("verifies") as desks:
            return verify(self.deployment.data_dir / AUDIT / TREE, audit_keys(desks.vault.engine))

    def rotate(self, killed_at: Sequence[str], shreds: int) -> None:
        """Rotates, after attempts that are killed at some steps.

        What each leaves is copied, before and after customers are shredded who are in it.
        """
        data_dir = self.deployment.data_dir
        for step in killed_at:
            command = [sys.executable, "-m", __name__, str(data_dir), step, str(self.keys.path)]
            killed = subprocess.run(command, check=False, timeout=600, capture_output=True)
            assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
            self.copy(f"killed-{step}")
            with self._opened("goes-on") as desks:
                self._shred(desks, shreds)
            self.copy(f"shredded-after-{step}")
        with self._opened("rotates") as desks:
            rotation(desks.vault).rotate()

    def every_key(self) -> list[NotedKey]:
        """The list, and the root keys that are there now."""
        provider = FileProvider(self.root_keys, passphrase=None, key_file=self.key_file)
        roots = [provider._root_key(each.stem) for each in self.root_keys.glob("root-*.json")]
        return [*self.keys.keys(), *[NotedKey("secret", key, name="root") for key in roots]]

    def gone(self) -> set[Owner]:
        """The data keys that have to go: shredded, or to be, as they open what was deleted or corrected."""
        return self.former | self.ended()

    def ended(self) -> set[Owner]:
        """The data keys of which the ledger says that they were shredded."""
        gone: set[Owner] = set()
        with self._opened("asks") as desks:
            for entry in desks.vault.engine.store.ledger():
                match entry.payload:
                    case Shred(customer_no=number, generations=generations):
                        gone |= {(number, generation) for generation in generations}
                    case GenerationShredded(customer_no=number, generation=generation):
                        gone.add((number, generation))
        return gone

    def names(self) -> list[bytes]:
        """What somebody may have that names shredded customers: tokens, their bytes, identifiers."""
        blocks = [bytes.fromhex(token.removeprefix("cv1_")) for token in self.tokens]
        known = [text for each in self.shredded.values() for text in (each.external_id, each.phone)]
        return [*blocks, *[text.encode() for text in (*self.tokens, *known)]]

    @contextmanager
    def _opened(self, process_name: str) -> Iterator[Desks]:
        with self.keys.noting(), open_vault(self.deployment.data_dir, process_name) as desks:
            self.region = desks.vault.engine.region
            clock, ahead_ms = desks.vault.engine.now_ms, self.days * DAY_MS
            desks.vault.engine.now_ms = lambda: clock() + ahead_ms
            yield desks

    def _store(self, desks: Desks, count: int) -> None:
        for first in range(0, count, _BATCH):
            known = [self._next() for _ in range(min(_BATCH, count - first))]
            entries = [
                Entry(
                    by_id(each.external_id),
                    [
                        FieldInput("name", Secret(f"Jane {each.external_id}"), ""),
                        FieldInput("phone", Secret(each.phone), "mobile"),
                        FieldInput("email", Secret(f"{each.external_id}@example.com"), ""),
                    ],
                )
                for each in known
            ]
            answers = desks.vault.tokenize(
                desks.crm.caller, entries, domain="", request_id=str(uuid.uuid4()), atomic=True, batch=True
            )
            for one, answer in zip(known, answers, strict=True):
                tokens = [each.token for each in answer.results]
                number = desks.vault.engine.secrets.codec.decode(tokens[0]).customer_no
                self.living.append((one, number, tokens))

    def _read(self, desks: Desks) -> None:
        tokens = [token for _, _, theirs in self.living for token in theirs]
        for first in range(0, len(tokens), _BATCH):
            revealed = desks.crm.read(tokens[first : first + _BATCH])
            assert not revealed.denials

    def _next(self) -> Known:
        self._stored += 1
        return Known(f"customer-{self._stored}", f"+49301{self._stored:07}")

    def _shred(self, desks: Desks, count: int) -> None:
        for first in range(0, count, _BATCH):
            chosen = self._taken(min(_BATCH, count - first))
            results = desks.eraser.shred_all([by_id(each.external_id) for each, _, _ in chosen], new_id())
            assert [each.error for each in results] == [None] * len(chosen)
            self.shredded |= {number: known for known, number, _ in chosen}
            self.tokens += [token for _, _, tokens in chosen for token in tokens]
            self.phones += [known for known, _, _ in chosen]

    def _taken(self, count: int) -> list[tuple[Known, int, list[str]]]:
        """Customers of whom nothing was asked yet, from all over the table, oldest first."""
        step = max(1, len(self.living) // max(1, count))
        chosen = self.living[::step][:count]
        names = {each.external_id for each, _, _ in chosen}
        self.living = [each for each in self.living if each[0].external_id not in names]
        return chosen

    def _correct(self, desks: Desks, count: int) -> None:
        for known, number, tokens in self._taken(count):
            self._remember(desks, number, 2)
            desks.crm.update(tokens[1], "+493099" + known.phone[-6:])
            self.phones.append(known)

    def _delete(self, desks: Desks, count: int) -> None:
        for known, number, tokens in self._taken(count):
            self._remember(desks, number, 2)
            desks.crm.delete(tokens[1])
            self.phones.append(known)

    def _keep_one(self, desks: Desks, count: int) -> None:
        for known, number, tokens in self._taken(count):
            self.phones.append(known)
            for value_no, token in enumerate(tokens[1:], 2):
                self._remember(desks, number, value_no)
                desks.crm.delete(token)

    def _replace(self, desks: Desks, count: int) -> None:
        for known, number, _ in self._taken(count):
            self._remember(desks, number, 2)
            desks.vault.rotate_dek(desks.admin.caller, by_id(known.external_id), new_id())

    def _shred_held(self, desks: Desks, count: int) -> None:
        for known, number, tokens in self._taken(count):
            for value_no, _ in enumerate(tokens[:2], 2):  # all but the e-mail
                self._remember(desks, number, value_no)
            hold = desks.privacy.hold(by_id(known.external_id), "email")
            assert desks.eraser.shred(by_id(known.external_id), new_id()).held_values == 2
            self.held.append((known, number, hold))
            self.tokens += tokens[:2]
            self.phones.append(known)

    def _release(self, desks: Desks) -> None:
        for known, number, hold in self.held:
            desks.privacy.release(by_id(known.external_id), hold)
            self.shredded[number] = known
        self.held.clear()

    def _remember(self, desks: Desks, number: int, value_no: int) -> None:
        engine = desks.vault.engine
        with engine.store.snapshot() as snapshot:
            record = snapshot.get(value_key(engine.region, number, ValueNo(value_no)))
        assert record is not None
        self.former.add((number, ValueHeader.unpack(record).dek_generation))


def main() -> None:
    """The rotation that is killed."""
    with KeyList(Path(sys.argv[3])).noting():
        rotate_until(Path(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
