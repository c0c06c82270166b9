import threading
import time

import pytest

from vault.core.committer import Committer, GroupTimes
from vault.errors import (
    CustomerUnknownError,
    DeadlineExceededError,
    OverloadedError,
    StorageFullError,
    StorageStoppedError,
)
from vault.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "data", bytes(16), 1, sign=lambda _: bytes(64)) as made:
        made.finish_creation()
        yield made


@pytest.fixture
def committer(store):
    made = Committer(store, lambda _: None, 8)
    yield made
    made.close()


def putting(key: bytes):
    def job(session):
        session.put_row("names", key, b"x")
        return key

    return job


def keys(store) -> list[bytes]:
    with store.snapshot() as snapshot:
        return [key for key, _ in snapshot.rows("names")]


def together(committer, *jobs, meanwhile=lambda: None) -> list[object]:
    """Submits jobs that certainly form one group, and gives back results and errors in their order."""
    entered, proceed = threading.Event(), threading.Event()

    def blocking(session):
        entered.set()
        proceed.wait()

    found: list[object] = [None] * len(jobs)

    def submit(position: int, job) -> None:
        try:
            found[position] = committer.submit(job)
        except Exception as error:  # noqa: BLE001 - it is what the test asks about
            found[position] = error

    first = threading.Thread(target=committer.submit, args=(blocking,))
    first.start()
    entered.wait()
    threads = [threading.Thread(target=submit, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    meanwhile()
    proceed.set()
    for thread in (first, *threads):
        thread.join()
    return found


def test_a_result_comes_back_once_it_is_durable(store, committer):
    assert committer.submit(putting(b"a")) == b"a"
    assert keys(store) == [b"a"]


def test_a_thread_says_that_it_is_going_to_wait(store, committer):
    said = []
    committer.before_wait = lambda: said.append((threading.get_ident(), len(said)))
    for key in (b"a", b"b"):
        committer.submit(putting(key))
    assert said == [(threading.get_ident(), 0), (threading.get_ident(), 1)]


def test_what_waits_is_one_commit(store, committer):
    with store.snapshot() as snapshot:
        before = snapshot._transaction.id()
    assert together(committer, *(putting(bytes([number])) for number in range(5))) == [
        bytes([number]) for number in range(5)
    ]
    with store.snapshot() as snapshot:
        assert snapshot._transaction.id() == before + 1  # the blocking job changed nothing


def test_a_job_that_refuses_before_it_writes_fails_alone(store, committer):
    def refusing(session):
        raise CustomerUnknownError("no such customer")

    first, second, third = together(committer, putting(b"a"), refusing, putting(b"b"))
    assert (first, third) == (b"a", b"b")
    assert isinstance(second, CustomerUnknownError)
    assert keys(store) == [b"a", b"b"]


@pytest.mark.parametrize("error", [CustomerUnknownError("x"), RuntimeError("nobody expected this")])
def test_a_job_that_fails_after_it_wrote_takes_nobody_with_it_and_leaves_nothing(store, committer, error):
    def half(session):
        session.put_row("names", b"half", b"x")
        raise error

    first, second, third = together(committer, putting(b"a"), half, putting(b"b"))
    assert (first, third) == (b"a", b"b")
    assert second is error
    assert keys(store) == [b"a", b"b"]


def test_a_failed_commit_fails_every_job_of_its_group(store, committer):
    def fill() -> None:
        store._shared.low_water_bytes = 1 << 60

    found = together(committer, putting(b"a"), putting(b"b"), meanwhile=fill)
    assert {type(each) for each in found} == {StorageFullError}
    assert keys(store) == []


def test_erasures_do_not_stop_at_the_low_water_mark(store, committer):
    store._shared.low_water_bytes = 1 << 60
    with pytest.raises(StorageFullError):
        committer.submit(putting(b"a"))
    committer.submit(putting(b"b"), erase=True)
    assert keys(store) == [b"b"]


def test_a_job_whose_deadline_has_passed_is_not_begun(store, committer):
    with pytest.raises(DeadlineExceededError):
        committer.submit(putting(b"a"), deadline=time.monotonic() - 1)
    assert keys(store) == []


def test_more_than_may_wait_is_turned_away(store, committer):
    found = together(committer, *(putting(bytes([number])) for number in range(12)))
    turned_away = [each for each in found if isinstance(each, OverloadedError)]
    assert len(turned_away) == 4
    assert len(keys(store)) == 8


def test_recovery_comes_before_every_group(store):
    recovered = []
    committer = Committer(store, lambda session: recovered.append(session.now_ms), 8)
    committer.submit(putting(b"a"))
    committer.submit(putting(b"b"))
    committer.close()
    assert len(recovered) == 2


def test_a_recovery_that_fails_fails_the_write_and_not_the_thread(store):
    fail = [True]

    def recover(session) -> None:
        if fail[0]:
            raise StorageStoppedError("not now")

    committer = Committer(store, recover, 8)
    with pytest.raises(StorageStoppedError):
        committer.submit(putting(b"a"))
    fail[0] = False
    assert committer.submit(putting(b"b")) == b"b"
    committer.close()


def test_closing_finishes_what_waits_and_then_takes_nothing(store):
    committer = Committer(store, lambda _: None, 8)
    assert together(committer, *(putting(bytes([number])) for number in range(3))) == [b"\0", b"\1", b"\2"]
    committer.close()
    with pytest.raises(OverloadedError):
        committer.submit(putting(b"z"))
    assert len(keys(store)) == 3


def test_it_tells_how_long_a_group_waited_worked_and_synced(store, committer, monkeypatch):
    asked, write = threading.Event(), store.write

    def noticed(**options):
        asked.set()
        return write(**options)

    told: list[GroupTimes] = []
    reported = threading.Event()

    def observe(times: GroupTimes) -> None:
        told.append(times)
        reported.set()

    def slow(session) -> None:
        putting(b"a")(session)
        time.sleep(0.05)

    committer.observe = observe
    with store.write():
        monkeypatch.setattr(store, "write", noticed)
        writer = threading.Thread(target=committer.submit, args=(slow,))
        writer.start()
        assert asked.wait(30)
        time.sleep(0.1)
    writer.join()
    assert reported.wait(30)
    (times,) = told
    assert times.waited > 0.05
    assert times.worked >= 0.05
    assert times.synced > 0
