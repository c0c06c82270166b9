"""Commits with a mirror and a real witness: nothing is acknowledged that they do not hold."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.store.samples import REGION, VAULT_ID, add_customer, recover, shred_customer
from tests.unit.tlog.samples import LOG_SEED
from vault.crypto import hazmat
from vault.errors import LedgerBehindError, StorageStoppedError, WitnessUnavailableError
from vault.store.entries import Genesis, PrincipalRevoked
from vault.store.following import Followers
from vault.store.inspection import inspect
from vault.store.mirror import Mirror
from vault.store.proofs import ledger_key
from vault.store.signers import Announcement
from vault.store.store import Store
from vault.store.witnessing import Witnessing
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Signature
from vault.tlog.witness import AddCheckpoint
from vault.witness.client import WitnessClient
from vault.witness.service import WitnessServer
from vault.witness.state import WitnessState

KEY = ledger_key(VAULT_ID, hazmat.public_key(LOG_SEED))


def sign(public_key: bytes, message: bytes) -> bytes:
    assert public_key == KEY.public_key
    return hazmat.sign(LOG_SEED, message)


def log_sign(message: bytes) -> bytes:
    return sign(KEY.public_key, message)


@dataclass
class Line:
    """The way to the witness. Cut, its calls fail; `asked` are the old sizes of those that went through."""

    client: WitnessClient
    cut: bool = False
    asked: list[int] = field(default_factory=list)

    def add_checkpoint(self, request: AddCheckpoint) -> Signature:
        if self.cut:
            raise WitnessUnavailableError("the line is cut")
        self.asked.append(request.old_size)
        return self.client.add_checkpoint(request)

    def add_keys(self, origin: str, announcements: Sequence[Announcement]) -> None:
        if self.cut:
            raise WitnessUnavailableError("the line is cut")
        self.client.add_keys(origin, announcements)

    def close(self) -> None:
        self.client.close()


class Place:
    """A vault, its mirror's directory and its witness."""

    def __init__(self, root: Path, server: WitnessServer) -> None:
        self.root = root
        self.server = server
        self.line = self.new_line()

    def new_line(self) -> Line:
        return Line(WitnessClient(self.url, self.server.state.key))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def mirror(self) -> Path:
        return self.root.parent / "elsewhere"

    @contextmanager
    def opened(
        self, *, after_step: Callable[[str], None] = lambda _: None, root: Path | None = None
    ) -> Iterator[Store]:
        root = root or self.root
        self.line = self.new_line()
        with Store.open(root, sign=sign, low_water_bytes=0, after_step=after_step) as store:
            store.follow(Followers(Mirror(root, self.mirror), Witnessing(self.line, sign)))
            yield store

    def witnessed(self) -> Checkpoint:
        ((checkpoint, _),) = self.server.state.remembered()
        return checkpoint

    def mirrored_equals(self, store: Store) -> bool:
        end = store._shared.ledger.last.offset
        pair = [(path / "entries").read_bytes()[:end] for path in (self.root / "ledger", self.mirror)]
        return pair[0] == pair[1] and end > 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "vault"
    with Store.create(root, VAULT_ID, REGION, sign=sign) as store:
        with store.write() as session:
            session.append(Genesis(VAULT_ID, KEY.public_key))
            session.commit()
        store.finish_creation()
    (tmp_path / "elsewhere").mkdir()
    state = WitnessState.create(tmp_path / "witness", "example.org/w")
    state.lock()
    server = WitnessServer(("127.0.0.1", 0), state, {KEY.name: [KEY]}, lambda _: None)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Place(root, server)
    server.shutdown()
    thread.join()
    server.server_close()
    state.close()


def revoke(store: Store, principal: int = 1) -> None:
    with store.write() as session:
        session.pending_entries()  # revocations have nothing to finish in the store
        session.append(PrincipalRevoked(principal))
        session.commit()


def shred(store: Store, number: int) -> None:
    with store.write() as session:
        shred_customer(session, number)
        session.commit()


def count(store: Store) -> int:
    return store.ledger_entries()


def test_what_was_there_before_is_held_from_the_first_opening(place: Place) -> None:
    with place.opened() as store:
        assert place.witnessed().size == 1
        assert place.mirrored_equals(store)


def test_every_acknowledged_entry_is_held(place: Place) -> None:
    with place.opened() as store:
        for number in range(2, 12):
            revoke(store, number)
            assert place.witnessed().size == number
            assert place.witnessed() == store._shared.ledger.checkpoint()
            assert place.mirrored_equals(store)
        assert place.line.asked[-10:] == list(range(1, 11))  # one call for each


def test_a_commit_without_entries_asks_nobody(place: Place) -> None:
    with place.opened() as store:
        with store.write() as session:
            add_customer(session)  # reserves numbers
            session.commit()
        place.line.cut = True
        shutil.rmtree(place.mirror)
        with store.write() as session:
            add_customer(session)
            session.commit()
        assert not list(inspect(store))


def test_without_the_witness_nothing_becomes_durable(place: Place) -> None:
    with place.opened() as store:
        revoke(store)
        place.line.cut = True
        store._shared.followers._witnessing._asked_at = 0.0  # the last answer is long ago
        with pytest.raises(WitnessUnavailableError):
            revoke(store)
        assert count(store) == 2
        place.line.cut = False
        revoke(store)
        assert place.witnessed().size == 3


def test_without_the_mirror_nothing_becomes_durable(place: Place) -> None:
    with place.opened() as store:
        revoke(store)
        away = place.mirror.with_name("away")
        place.mirror.rename(away)
        with pytest.raises(WitnessUnavailableError):
            revoke(store)
        assert count(store) == 2
        away.rename(place.mirror)
        revoke(store)
        assert place.mirrored_equals(store)


def test_an_entry_that_was_not_witnessed_is_finished_later_and_only_then_takes_effect(place: Place) -> None:
    def cut(step: str) -> None:
        place.line.cut = place.line.cut or (armed and step == "ledger")

    armed = False
    with place.opened(after_step=cut) as store:
        with store.write() as session:
            number = add_customer(session)
            session.commit()
        armed = True
        with pytest.raises(WitnessUnavailableError):
            shred(store, number)
        armed = False
        assert count(store) == 3
        assert store.stopped_reason() is None
        with store.keyring() as keys:
            assert keys.generations(REGION, number)  # nothing has happened to the customer
        with pytest.raises(WitnessUnavailableError):
            recover(store)  # which is no less of an acknowledgement
        with store.keyring() as keys:
            assert keys.generations(REGION, number)
        assert place.witnessed().size == 2
        place.line.cut = False
        recover(store)
        assert place.witnessed().size == 3
        with store.keyring() as keys:
            assert not keys.generations(REGION, number)
        assert not list(inspect(store))


def test_a_ledger_rolled_back_does_not_open(place: Place, tmp_path: Path) -> None:
    with place.opened() as store:
        revoke(store)
    older = tmp_path / "older"
    shutil.copytree(place.root, older)
    with place.opened() as store:
        revoke(store, 2)
    shutil.rmtree(place.root)
    shutil.copytree(older, place.root)
    with pytest.raises(LedgerBehindError), place.opened():
        pass
    # The witness alone sees it as well as the mirror does.
    shutil.rmtree(place.mirror)
    (place.root / "ledger" / "mirrored").unlink()
    place.mirror.mkdir()
    with pytest.raises(LedgerBehindError) as caught, place.opened():
        pass
    assert caught.value.details == {"ledger": "2", "witness": "3"}


def test_a_ledger_that_was_rolled_back_and_went_on_does_not_open(place: Place, tmp_path: Path) -> None:
    with place.opened() as store:
        revoke(store)
    older = tmp_path / "older"
    shutil.copytree(place.root, older)
    with place.opened() as store:
        revoke(store, 2)
    with Store.open(older, sign=sign, low_water_bytes=0) as alone:
        for number in range(10, 15):
            revoke(alone, number)
    with pytest.raises(LedgerBehindError), place.opened(root=older):
        pass


def test_of_two_that_went_on_from_one_copy_the_slower_stops(place: Place, tmp_path: Path) -> None:
    with place.opened() as store:
        revoke(store)
    copy = tmp_path / "copy"
    shutil.copytree(place.root, copy)
    with Store.open(copy, sign=sign, low_water_bytes=0) as twin:
        line = place.new_line()
        twin.follow(Followers(None, Witnessing(line, sign)))
        with place.opened() as store:
            revoke(store, 2)
        with pytest.raises(LedgerBehindError):
            revoke(twin, 3)
        assert twin.stopped_reason() == "ledger-behind"
        with pytest.raises(StorageStoppedError):
            revoke(twin, 4)
    assert place.witnessed().size == 3


OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.unit.store.test_following import KEY, revoke, sign
from vault.store.following import Followers
from vault.store.mirror import Mirror
from vault.store.store import Store
from vault.store.witnessing import Witnessing
from vault.tlog.notes import VerifierKey
from vault.witness.client import WitnessClient

root, mirror, url, key = sys.argv[1:]
with Store.open(Path(root), sign=sign, low_water_bytes=0) as store:
    client = WitnessClient(url, VerifierKey.parse(key))
    store.follow(Followers(Mirror(Path(root), Path(mirror)), Witnessing(client, sign)))
    for number in range(20):
        revoke(store, 100 + number)
"""


def test_two_processes_of_one_vault_get_on(place: Place) -> None:
    arguments = [str(place.root), str(place.mirror), place.url, str(place.server.state.key)]
    with place.opened() as store:
        child = subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, *arguments])
        for number in range(20):
            revoke(store, number)
        assert child.wait(60) == 0
        revoke(store, 99)
        assert count(store) == 42
        assert place.witnessed() == store._shared.ledger.checkpoint()
        assert place.mirrored_equals(store)


def test_a_witness_that_does_not_know_the_vault_is_said_to_be(place: Place) -> None:
    place.server.logs = {}
    with pytest.raises(WitnessUnavailableError) as caught, place.opened():
        pass
    assert caught.value.details == {"refusal": "UNKNOWN_LOG"}


def test_a_witness_that_forgot_everything_is_told_again(place: Place) -> None:
    with place.opened() as store:
        revoke(store)
        for path in (place.root.parent / "witness" / "logs").iterdir():
            path.unlink()
        revoke(store, 2)
        assert place.witnessed().size == 3


def test_proofs_carry_the_cosignature(place: Place) -> None:
    witness_key = place.server.state.key
    with place.opened() as store:
        for number in range(5):
            revoke(store, number)
        proof = store.prove([3], KEY, log_sign)[0]
        assert [each.key for each in proof.verify(KEY, [witness_key])] == [KEY, witness_key]
    with place.opened() as store:
        place.line.cut = True
        assert store.prove([6], KEY, log_sign)[0].verify(KEY, [witness_key])[1].time_s > 0
