"""Write sessions: what a commit makes durable, what is pending after a failure, and numbers used once."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from tests.unit.store.samples import (
    REGION,
    VAULT_ID,
    add_customer,
    dek_row,
    index_hash,
    record,
    recover,
    shred_customer,
    sign,
    verify,
)
from vault.errors import (
    IntegrityFailedError,
    KeyUnavailableError,
    StorageFullError,
    StorageStoppedError,
)
from vault.model.ids import MAX_CUSTOMER_NO
from vault.store.entries import GenerationReplaced, NumbersReserved, PrincipalRevoked, Shred
from vault.store.environment import Environment
from vault.store.epochs import create_epoch
from vault.store.files import write_current
from vault.store.inspection import inspect
from vault.store.layout import CustomerRow, customer_key, value_key
from vault.store.runfiles import lock_holder
from vault.store.store import Store


class FullDiskError(OSError):
    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "made up")


def fail_after(step: str, error: Exception) -> Callable[[str], None]:
    def fail(reached: str) -> None:
        if reached == step:
            raise error

    return fail


def test_a_commit_is_seen_by_every_reader(store: Store) -> None:
    with store.write() as session:
        number = add_customer(session)
        session.put_row("names", b"d1", b"crm")
        session.put_secret("token", b"row")
        session.meta.access_version += 1
        assert session.get(value_key(REGION, number, 1)) == record()
        assert session.row("names", b"d1") == b"crm"
        assert session.index_lookup(index_hash(number)) == customer_key(REGION, number)
        session.commit()
    with store.snapshot() as snapshot, store.keyring() as keys:
        assert snapshot.get(value_key(REGION, number, 1)) == record()
        assert list(snapshot.rows("names")) == [(b"d1", b"crm")]
        assert snapshot.meta.access_version == 2
        assert keys.dek(REGION, number, 1) == dek_row()
        assert dict(keys.secrets()) == {"row-mac": b"wrapped", "token": b"row"}
        assert keys.index_lookup(index_hash(number)) == customer_key(REGION, number)
    assert not list(inspect(store))


def test_leaving_without_a_commit_changes_nothing(store: Store) -> None:
    with store.write() as session:
        number = add_customer(session)
        session.append(PrincipalRevoked(1))
    with pytest.raises(ZeroDivisionError), store.write() as session:
        add_customer(session) // 0
    with store.snapshot() as snapshot, store.keyring() as keys:
        assert snapshot.get(value_key(REGION, number)) is None
        assert keys.count_deks() == 0
        assert snapshot.meta.next_customer_no == 1
    assert store.ledger_entries() == 1


def test_deletes_say_whether_anything_was_there(store: Store) -> None:
    with store.write() as session:
        number = add_customer(session, values=3)
        before = session.writes
        assert not session.put_dek(REGION, number, 1, b"other")
        assert not session.delete_value(value_key(REGION, number, 99))
        assert not session.delete_dek(REGION, number, 2)
        assert not session.index_delete(bytes(16))
        assert not session.delete_secret("none")
        assert session.writes == before
        assert session.put_dek(REGION, number, 1, b"other", overwrite=True)
        assert session.delete_customer_values(REGION, number) == 3
        assert session.delete_sheet(customer_key(REGION, number))
        assert session.index_delete_customer(REGION, number) == 1
        assert session.delete_secret("row-mac")
        assert session.delete_dek(REGION, number, 1)
        assert session.writes == before + 8
        assert [key for key, _ in session.scan_customer(REGION, number)] == [value_key(REGION, number)]


def test_a_session_that_changed_nothing_writes_nothing(store: Store, root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("data.mdb")}
    with store.write() as session:
        session.commit()
    assert {path: path.read_bytes() for path in root.rglob("data.mdb")} == before


def test_a_plane_without_changes_is_not_committed(root: Path) -> None:
    steps: list[str] = []
    with Store.open(root, sign=sign, after_step=steps.append, low_water_bytes=0) as store:
        with store.write() as session:
            number = add_customer(session)
            session.commit()
        assert steps == ["ledger", "keyring", "index", "values"]  # the ledger: numbers were reserved
        steps.clear()
        with store.write() as session:
            session.put_value(value_key(REGION, number, 1), record(version=2))
            session.commit()
        assert steps == ["values"]
        steps.clear()
        with store.write() as session:
            session.delete_dek(REGION, number, 1)
            session.commit()
        assert steps == ["keyring"]


def test_the_meta_row_is_not_written_behind_the_sessions_back(store: Store) -> None:
    with store.write() as session, pytest.raises(ValueError, match="meta"):
        session.put_row("meta", b"meta", b"")


def test_entries_carry_number_and_time_of_their_session(root: Path) -> None:
    now = [5_000]
    with Store.open(root, sign=sign, verify=verify, clock_ms=lambda: now[0], low_water_bytes=0) as store:
        with store.write() as session:
            floor = session.meta.time_floor_ms
            assert session.now_ms == floor > now[0]  # the vault was made later than this clock says
            assert [session.append(PrincipalRevoked(7)), session.append(PrincipalRevoked(8))] == [2, 3]
            assert session.entry_time_ms(3) == floor
            with pytest.raises(ValueError, match="no such entry"):
                session.entry_time_ms(1)
            session.commit()
        now[0] = floor + 10
        with store.write() as session:
            session.append(PrincipalRevoked(9))
            session.commit()
        with store.snapshot() as snapshot:
            assert snapshot.meta.time_floor_ms == floor + 10
            assert snapshot.meta.applied == 4
        assert [(entry.seq, entry.time_ms) for entry in store.ledger(1)] == [
            (2, floor),
            (3, floor),
            (4, floor + 10),
        ]


def test_no_entry_without_a_key_to_sign(root: Path) -> None:
    with Store.open(root, low_water_bytes=0) as store:
        with store.write() as session:
            session.append(PrincipalRevoked(1))
            with pytest.raises(KeyUnavailableError):
                session.commit()
        with store.write() as session:
            session.put_row("names", b"a", b"b")
            session.commit()
        store.sign = sign
        with store.write() as session:
            session.append(PrincipalRevoked(1))
            session.commit()


def test_a_thread_that_holds_the_lock_is_told_not_to_wait_for_itself(store: Store) -> None:
    with store.write(), pytest.raises(RuntimeError, match="holds the write lock"), store.write():
        pass
    with store.write() as session:
        session.commit()


def test_no_plane_is_locked_without_the_lock_of_values(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[str] = []
    true_write = Environment.write

    def watched_write(environment: Environment) -> "lmdb.Transaction[bytes]":
        locked.append(environment.path.parent.name)
        if environment.path.name != "values":
            assert lock_holder(root) is not None
        return true_write(environment)

    monkeypatch.setattr(Environment, "write", watched_write)
    with Store.open(root, sign=sign, low_water_bytes=0) as store:
        with store.write() as session:
            add_customer(session)
            session.commit()
        create_epoch(root, 2)
        write_current(root, 2)
        with store.write() as session:
            session.commit()
    values = root.name
    opening, writing = [values, "keyring", "index"], [values, "keyring", "index"]
    following = [values, "keyring", "index", "keyring", "index"]
    assert locked == opening + writing + following


def test_threads_take_turns(store: Store) -> None:
    numbers: list[int] = []

    def work() -> None:
        for _ in range(20):
            with store.write() as session:
                numbers.append(add_customer(session))
                session.commit()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 81))
    assert not list(inspect(store))


def test_the_lock_names_its_holder(store: Store, root: Path) -> None:
    assert lock_holder(root) is None
    with store.write():
        holder = lock_holder(root)
        assert holder is not None
        assert 0 <= holder.held_seconds < 60
    assert lock_holder(root) is None


class TestNumbers:
    def test_they_are_reserved_in_the_ledger_before_their_first_use(self, root: Path) -> None:
        with Store.open(root, sign=sign, block_numbers=10, low_water_bytes=0) as store:
            with store.write() as session:
                assert [session.next_customer_no() for _ in range(25)] == list(range(1, 26))
                session.commit()
            reserved = [entry.payload for entry in store.ledger(1)]
            assert reserved == [NumbersReserved(REGION, up_to) for up_to in (11, 21, 31)]
            with store.snapshot() as snapshot:
                assert (snapshot.meta.next_customer_no, snapshot.meta.reserved_until) == (26, 31)

    def test_the_last_one_can_be_given_out_and_no_more(self, store: Store) -> None:
        with store.write() as session:
            session.meta.next_customer_no = session.meta.reserved_until = MAX_CUSTOMER_NO
            assert session.next_customer_no() == MAX_CUSTOMER_NO
            assert session.meta.reserved_until == MAX_CUSTOMER_NO + 1
            with pytest.raises(StorageFullError):
                session.next_customer_no()

    def test_a_key_at_a_number_never_reserved_is_an_integrity_failure(self, store: Store) -> None:
        with store.write() as session:
            session.put_dek(REGION, 5, 1, dek_row())
            session.commit()
        with pytest.raises(IntegrityFailedError), store.write():
            pass

    def test_a_customer_at_a_number_not_given_out_is_an_integrity_failure(self, store: Store) -> None:
        with store.write() as session:
            add_customer(session)
            session.put_dek(REGION, 5, 1, dek_row())
            session.put_value(value_key(REGION, 5), b"row")
            session.commit()
        with pytest.raises(IntegrityFailedError), store.write():
            pass


class TestFailingCommits:
    @pytest.mark.parametrize("step", ["ledger", "keyring", "index"])
    def test_a_full_disk_leaves_the_shred_pending(self, root: Path, step: str) -> None:
        with Store.open(root, sign=sign, low_water_bytes=0) as store, store.write() as session:
            number = add_customer(session)
            session.commit()
        with (
            Store.open(
                root, sign=sign, after_step=fail_after(step, FullDiskError()), low_water_bytes=0
            ) as store,
            store.write("erase") as session,
        ):
            seq = shred_customer(session, number)
            with pytest.raises(StorageFullError):
                session.commit()
        with Store.open(root, sign=sign, low_water_bytes=0) as store:
            assert store.stopped_reason() is None
            assert [finding.code for finding in inspect(store) if finding.severity == "note"] == [
                "ENTRIES_PENDING"
            ]
            with store.write("erase") as session:
                (pending,) = session.pending_entries()
                assert pending.seq == seq
                assert isinstance(pending.payload, Shred)
            assert recover(store) == 1
            assert recover(store) == 0
            with store.snapshot() as snapshot, store.keyring() as keys:
                row = snapshot.get(value_key(REGION, number))
                assert row is not None
                assert CustomerRow.unpack(row).shred_seq == seq
                assert keys.count_deks() == 0
            assert not list(inspect(store))

    def test_pending_entries_cannot_be_passed_over(self, root: Path) -> None:
        hook = fail_after("ledger", FullDiskError())
        with Store.open(root, sign=sign, after_step=hook, low_water_bytes=0) as store:
            with store.write() as session:
                session.append(GenerationReplaced(REGION, 1, 1, 2))
                with pytest.raises(StorageFullError):
                    session.commit()
            with store.write() as session, pytest.raises(RuntimeError, match="pending"):
                session.commit()
            with store.write() as session:
                assert len(list(session.pending_entries())) == 1
                session.commit()
            with store.write() as session:
                assert list(session.pending_entries()) == []
                session.commit()

    @pytest.mark.parametrize("step", ["ledger", "keyring", "index", "values"])
    def test_any_other_failure_stops_all_writing(self, root: Path, step: str) -> None:
        failing = fail_after(step, lmdb.DiskError("made up", 5))
        with Store.open(root, sign=sign, after_step=failing, low_water_bytes=0) as store:
            with store.write() as session:
                add_customer(session)
                with pytest.raises(StorageStoppedError):
                    session.commit()
            assert store.stopped_reason() == "commit-failed"
            with pytest.raises(StorageStoppedError), store.write("erase"):
                pass
            with store.snapshot() as snapshot:  # reads go on
                assert snapshot.meta.region == REGION
            store.resume_writes()
            with pytest.raises(StorageStoppedError, match="open the stores anew"), store.write():
                pass
        with Store.open(root, sign=sign, low_water_bytes=0) as store, store.write() as session:
            add_customer(session)
            session.commit()

    def test_a_ledger_that_cannot_be_written_stops_all_writing(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "made up")

        with store.write() as session:
            session.append(PrincipalRevoked(1))
            monkeypatch.setattr("vault.store.ledger.os.fdatasync", broken)
            with pytest.raises(StorageStoppedError):
                session.commit()
        assert store.stopped_reason() == "ledger-failed"

    def test_a_store_that_waited_while_writes_were_stopped_does_not_write(
        self, store: Store, root: Path
    ) -> None:
        outcome: list[BaseException] = []

        def wait() -> None:
            try:
                with store.write():
                    pass
            except StorageStoppedError as error:
                outcome.append(error)

        with store.write():
            waiting = threading.Thread(target=wait)
            waiting.start()
            (root / "run" / "writes-stopped").touch()
        waiting.join()
        assert [error.details for error in outcome if isinstance(error, StorageStoppedError)] == [
            {"cause": "unknown"}
        ]


def test_a_session_follows_a_rotation(store: Store, root: Path) -> None:
    with store.write() as session:
        number = add_customer(session)
        session.commit()
    create_epoch(root, 2)
    with store.keyring() as old:
        write_current(root, 2)
        with store.write() as session:
            assert session.meta.epoch == 2
            assert session.dek(REGION, number, 1) is None
            session.put_dek(REGION, number, 1, b"new")
            session.commit()
        assert old.dek(REGION, number, 1) == dek_row()  # a snapshot keeps its epoch open
    with store.keyring() as keys, store.snapshot() as snapshot:
        assert (keys.epoch, snapshot.meta.epoch, store.epoch) == (2, 2, 2)
        assert keys.dek(REGION, number, 1) == b"new"


def test_the_vault_id_binds_the_meta_row(root: Path) -> None:
    text = (root / "FORMAT").read_text()
    (root / "FORMAT").write_text(text.replace(VAULT_ID.hex(), "ff" * 16))
    with pytest.raises(IntegrityFailedError):
        Store.open(root)
