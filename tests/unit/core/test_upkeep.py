import time
from collections.abc import Callable

import pytest

from tests.scenarios.support.deployment import found_vault, new_id, open_vault
from vault.core.records import seal_record
from vault.core.upkeep import chores, overdue_lock_holder
from vault.errors import Reason
from vault.store.layout import value_key


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return found_vault(tmp_path_factory.mktemp("upkeep"))


@pytest.fixture
def desks(deployment):
    with open_vault(deployment.data_dir, "upkeep") as opened:
        yield opened


def chore(desks, name: str) -> Callable[[], str]:
    return next(each.run for each in chores(desks.vault) if each.name == name)


def commit(desks, job) -> None:
    desks.vault.engine.committer.submit(job)


def test_every_chore_runs_on_a_quiet_vault_and_says_nothing(desks):
    names = [each.name for each in chores(desks.vault)]
    assert sorted(names) == sorted(set(names))
    for each in chores(desks.vault):
        assert each.every_seconds > 0
        assert each.run() == ""


def test_expired_values_are_deleted_and_others_are_not(desks):
    engine = desks.vault.engine
    tokens = desks.crm.tokens("crm-expiring", {"name": "gone", "note": "later", "address": "never"})
    parts = [engine.secrets.codec.decode(token) for token in tokens]
    now = int(time.time())

    def expire(session):
        with engine.book.open(session, session, parts[0].customer_no) as customer:
            for part, text, end in zip(parts[:2], (b"gone", b"later"), (now - 5, now + 900), strict=True):
                key = value_key(1, part.customer_no, part.value_no)
                owner, held = engine.vault_id + key, session.get(key)
                record = seal_record(
                    customer.dek, engine.suite, owner, held[1], text, version=2, expires_s=end
                )
                session.put_value(key, record)

    commit(desks, expire)
    assert desks.crm.denied(tokens[:1]) == [Reason.EXPIRED]
    sweep = chore(desks, "expiry")
    assert sweep() == "1 expired values deleted"
    assert desks.crm.denied(tokens[:1]) == [Reason.VALUE_DELETED]
    assert desks.crm.read(tokens[1:]).values == ["later", "never"]
    assert sweep() == ""
    last = list(engine.store.ledger())[-1].payload
    assert last.values == ((parts[0].customer_no, parts[0].value_no),)  # no restore brings it back


def test_old_request_ids_are_forgotten_and_young_ones_are_not(desks, monkeypatch):
    request_id = new_id()
    first = desks.crm.store("crm-requests", {"name": "x"}, request_id=request_id)
    forget = chore(desks, "request-ids")
    assert forget() == ""
    assert desks.crm.store("crm-requests", {"name": "x"}, request_id=request_id) == first
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    assert forget().endswith("old request ids forgotten")
    with desks.vault.engine.store.snapshot() as snapshot:
        assert list(snapshot.rows("requests")) == []


def test_time_for_expiry_never_runs_backwards(desks):
    engine = desks.vault.engine
    raise_floor = chore(desks, "time-floor")
    assert raise_floor() == ""
    with engine.store.snapshot() as snapshot:
        floor = snapshot.meta.time_floor_ms
    assert abs(floor - engine.now_ms()) < 60_000
    genuine = engine.now_ms
    engine.now_ms = lambda: floor - 3_600_000
    try:
        assert "before the stored floor" in raise_floor()
    finally:
        engine.now_ms = genuine
    with engine.store.snapshot() as snapshot:
        assert snapshot.meta.time_floor_ms >= floor


def test_nobody_is_overdue_while_nobody_holds_the_lock_or_only_this_process(deployment, desks):
    assert overdue_lock_holder(deployment.data_dir, 0) is None
    with desks.vault.engine.store.write():
        assert overdue_lock_holder(deployment.data_dir, 0) is None  # nobody ends itself


def test_another_process_that_holds_the_lock_too_long_is_named(deployment, desks):
    import subprocess
    import sys

    program = (
        "import sys, pathlib\n"
        "from vault.store.store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1])) as store, store.write():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, deployment.data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        time.sleep(0.05)
        assert overdue_lock_holder(deployment.data_dir, 0.01) == holder.pid
        assert overdue_lock_holder(deployment.data_dir, 60) is None
    finally:
        holder.communicate(timeout=10)
    assert overdue_lock_holder(deployment.data_dir, 0) is None
