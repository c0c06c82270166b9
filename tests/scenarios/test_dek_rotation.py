import dataclasses

import pytest

from tests.scenarios.support.deployment import by_id, by_token, new_id
from tests.scenarios.support.elsewhere import opened_elsewhere
from tests.scenarios.support.tampering import tampering
from vault.errors import ActionDeniedError, CustomerUnknownError, IntegrityFailedError, Reason, ShreddedError
from vault.model.requests import Outcome
from vault.store.layout import HEADER, value_key

JANE = {"name": "Jane Doe", "email": "jane@example.com", "phone/mobile": "+4930123456"}


def rotate(desks, ref, request_id: str = "") -> tuple[int, int]:
    return desks.vault.rotate_dek(desks.admin.caller, ref, request_id)


def generations(desks, number: int = 1) -> list[int]:
    with desks.vault.engine.store.keyring() as keys:
        return list(keys.generations(1, number))


def test_after_a_rotation_the_same_tokens_give_the_same_values_under_a_new_key(desks):
    tokens = desks.crm.tokens("crm-1", JANE)
    assert desks.crm.read(tokens).values == list(JANE.values())
    assert rotate(desks, by_id("crm-1")) == (2, 4)
    assert generations(desks) == [2]
    assert desks.crm.read(tokens).values == list(JANE.values())
    assert desks.crm.customer(by_token(tokens[0])).dek_generation == 2


def test_another_process_with_the_old_key_in_its_cache_reads_on(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        tokens = desks.crm.tokens("crm-1", JANE)
        for _ in range(3):
            assert other.read("crm", tokens)["values"] == list(JANE.values())
            rotate(desks, by_id("crm-1"))
        assert other.read("crm", tokens)["values"] == list(JANE.values())


@pytest.mark.parametrize("reading", ["detokenize", "get", "inspect", "export", "list_access"])
def test_a_read_that_a_rotation_overtakes_is_not_told_of_lost_data(desks, reading):
    """The snapshot shows the old generation, and its key is gone by the time it is looked for."""
    tokens = desks.crm.tokens("crm-1", JANE)
    engine, rotating = desks.vault.engine, desks.vault._rotating
    with engine.store.snapshot() as snapshot:
        grants = engine.directory(snapshot).access.principal("admin")
    genuine, rotated = engine.store.keyring, []

    def keyring_after_a_rotation():
        if not rotated:
            rotated.append(True)
            # Not through the facade, which waits for the reader's turn: that is ours.
            engine.committer.submit(lambda session: rotating._reseal(session, grants, by_id("crm-1")))
            engine.committer.submit(lambda session: rotating._destroy_old(session, 1))
        return genuine()

    acts = {
        "detokenize": lambda: desks.crm.read(tokens).values == list(JANE.values()),
        "get": lambda: desks.crm.customer(by_token(tokens[0])).dek_generation == 2,
        "inspect": lambda: desks.vault.inspect(desks.crm.caller, tokens[0]).dek_generation == 2,
        "export": lambda: (
            len(desks.vault.export_customer(desks.privacy.caller, by_token(tokens[0]), "support", "").values)
            == 4
        ),
        "list_access": lambda: isinstance(desks.privacy.accesses(customer=by_token(tokens[0])), list),
    }
    replaced = _Replaced(engine.store, keyring_after_a_rotation)
    tools = engine.hot._tools
    engine.hot._store = engine.store = replaced
    engine.hot._tools = dataclasses.replace(tools, store=replaced)
    try:
        assert acts[reading]()
    finally:
        engine.hot._store = engine.store = replaced._store
        engine.hot._tools = tools
    assert rotated


class _Replaced:
    """A store of which one method was replaced."""

    def __init__(self, store, keyring) -> None:
        self._store = store
        self.keyring = keyring

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_equality_still_goes_by_value_after_a_rotation(desks):
    first = desks.crm.store("crm-1", JANE)
    rotate(desks, by_id("crm-1"))
    again = desks.crm.store("crm-1", JANE)
    assert [each.outcome for each in again.results] == [Outcome.UNCHANGED] * 3
    assert [each.token for each in again.results] == [each.token for each in first.results]
    shared = desks.crm.store("crm-1", {"phone/work": "+49 30 123456"})
    assert shared.results[0].token == first.results[2].token


def test_deleted_values_stay_deleted_and_corrected_ones_corrected(desks):
    name, mail, _ = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(name)
    desks.crm.update(mail, "janet@example.com")
    assert rotate(desks, by_id("crm-1")) == (2, 3)
    assert desks.crm.denied([name]) == [Reason.VALUE_DELETED]
    assert desks.crm.plain(mail) == "janet@example.com"
    assert desks.vault.inspect(desks.crm.caller, mail).version == 2


def test_no_record_of_the_old_generation_is_left(desks):
    desks.crm.tokens("crm-1", JANE)
    rotate(desks, by_id("crm-1"))
    with desks.vault.engine.store.snapshot() as snapshot:
        rows = [row for key, row in snapshot.scan_customer(1, 1) if key != value_key(1, 1)]
    assert [HEADER.unpack_from(row)[4] for row in rows] == [2] * 4


def test_an_old_record_put_back_does_not_open(deployment):
    """What deleting a value by re-sealing rests on."""
    with deployment.opened() as desks:
        name, *_ = desks.crm.tokens("crm-1", JANE)
        with desks.vault.engine.store.snapshot() as snapshot:
            kept = dict(snapshot.scan_customer(1, 1))
        rotate(desks, by_id("crm-1"))
    with tampering(deployment) as session:
        session.put_value(value_key(1, 1, 2), kept[value_key(1, 1, 2)])
    with deployment.opened() as desks:
        assert desks.crm.denied([name]) == [Reason.INTEGRITY_FAILED]


def test_a_retry_rotates_once_also_in_a_new_process(deployment):
    request_id = new_id()
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
        assert rotate(desks, by_id("crm-1"), request_id) == (2, 4)
    with deployment.opened() as desks:
        assert rotate(desks, by_id("crm-1"), request_id) == (2, 4)
        assert generations(desks) == [2]


def test_only_those_who_may_rotate_do(desks):
    desks.crm.tokens("crm-1", JANE)
    for principal in ("crm", "eraser", "nobody"):
        with pytest.raises(ActionDeniedError):
            desks.vault.rotate_dek(desks.of(principal).caller, by_id("crm-1"), "")
    assert generations(desks) == [1]


def test_nobody_to_rotate(desks):
    desks.crm.tokens("crm-1", JANE)
    desks.eraser.shred(by_id("crm-1"))
    with pytest.raises(CustomerUnknownError):
        rotate(desks, by_id("crm-1"))
    customer = desks.crm.store("crm-2", JANE).customer_token
    desks.eraser.shred(by_id("crm-2"))
    with pytest.raises(ShreddedError):
        rotate(desks, by_token(customer))


def test_a_damaged_value_is_not_lost_to_a_rotation(deployment):
    with deployment.opened() as desks:
        desks.crm.tokens("crm-1", JANE)
    with tampering(deployment) as session:
        row = session.get(value_key(1, 1, 2))
        session.put_value(value_key(1, 1, 2), row[:-1] + bytes([row[-1] ^ 1]))
    with deployment.opened() as desks:
        with pytest.raises(IntegrityFailedError):
            rotate(desks, by_id("crm-1"))
        assert generations(desks) == [1]
        assert desks.crm.customer(by_id("crm-1")).dek_generation == 1


def test_the_ledger_names_both_generations(desks):
    desks.crm.tokens("crm-1", JANE)
    rotate(desks, by_id("crm-1"))
    payloads = [entry.payload for entry in desks.vault.engine.store.ledger()]
    assert [type(each).__name__ for each in payloads[-2:]] == ["GenerationReplaced", "GenerationShredded"]
    assert (payloads[-2].old, payloads[-2].new, payloads[-1].generation) == (1, 2, 1)
