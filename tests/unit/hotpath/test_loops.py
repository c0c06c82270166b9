"""The compiled loop and its reference in Python find the same, whatever they are asked."""

import copy
import dataclasses
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.support.deployment import Deployment, Desks, by_id, new_id
from vault.audit.records import reason_of
from vault.crypto.suites import XCHACHA20_POLY1305
from vault.crypto.tokens import block
from vault.errors import IntegrityFailedError, Reason
from vault.hotpath import native
from vault.hotpath.admitting import Admission
from vault.hotpath.dekcache import DekCache
from vault.hotpath.detokenize import HotPath, Opened
from vault.hotpath.known import Customers, Known, PortableCustomers
from vault.hotpath.native import NativeLoop
from vault.hotpath.portable import PortableLoop
from vault.model.access import Reveal
from vault.model.issued import TokenOrder
from vault.model.requests import Scope
from vault.store.snapshot import Snapshot

built = pytest.mark.skipif(not native.LIBRARY.exists(), reason="no C compiler was there at installation")
ROOMS = (0, 1, 20, 60, 10_000_000)


class Twins:
    """The hot path of one open vault with both loops, each with a cache of its own."""

    def __init__(self, desks: Desks, slots: int) -> None:
        engine = desks.vault.engine
        self.desks = desks
        assert isinstance(engine.loop, NativeLoop)
        self.compiled = engine.hot
        engine.cache._pool._capacity = slots
        loop = PortableLoop(XCHACHA20_POLY1305, engine.vault_id, engine.region)
        cache = DekCache(engine.keyrings, 64 * slots, XCHACHA20_POLY1305, loop.customers)
        admission = copy.copy(engine.hot._tools.admission)
        admission._cache = cache
        self.reference: HotPath = copy.copy(engine.hot)
        self.reference._loop, self.reference._cache = loop, cache
        self.reference._tools = dataclasses.replace(engine.hot._tools, cache=cache, admission=admission)

    def opened(
        self, hot: HotPath, principal: str, tokens: Sequence[str], purpose: str, room: int, reveal: Reveal
    ) -> tuple[object, ...]:
        def work(batch: object) -> Opened:
            reads = batch.grants.reads(purpose, reveal, None, batch.now_ms)  # type: ignore[attr-defined]
            return hot.open(batch, None, reads, room)  # type: ignore[arg-type]

        opened = hot.in_turn(self.desks.of(principal).caller, tokens, None, work, uses=True)
        found = opened.found
        return (
            list(found.texts), opened.outcomes, found.classes, found.groups.data, list(found.groups),
            found.groups.locators(), list(found.missed),
        )  # fmt: skip


def people(desks: Desks) -> list[str]:
    """Tokens of customers in every state that a read can meet, and texts that are none."""
    crm, tokens = desks.crm, list[str]()
    for number in range(12):
        fields = {"name": f"Zoë {number}", "note": f"n{number}" * 9, "email": f"p{number}@example.com"}
        made = crm.tokens(f"person-{number}", fields, jurisdiction=("DE", "US", "FR")[number % 3])
        tokens += made
        if number == 1:
            crm.delete(made[1])
        if number == 2:
            orders = [
                TokenOrder(token=made[0], tags={"ticket": "7"}),
                TokenOrder(token=made[2], principal="agent"),
                TokenOrder(token=made[0], single_use=True),
            ]
            tokens += [desks.vault.issue_token(crm.caller, order, new_id()).token for order in orders]
        if number == 3:
            desks.privacy.restrict(by_id("person-3"))
        if number == 4:
            desks.privacy.restrict(by_id("person-4"), Scope(["marketing"], ["note"]))
        if number == 5:
            desks.eraser.shred(by_id("person-5"))
        if number == 6:
            desks.vault.rotate_dek(desks.admin.caller, by_id("person-6"), "")
    codec, region = desks.vault.engine.secrets.codec, desks.vault.engine.region
    nobody = [
        block(region, 1, 7, 0),  # the customer itself
        block(region, 1, 7, 60_000),  # a value that is not there
        block(region, 1, 999_999, 1),  # a customer that is not there
        block(region, 200, 7, 1),
        block(region ^ 1, 1, 7, 1),
    ]
    odd = ["", "cv1_" + "0" * 32, "ann@example.com", tokens[0].upper(), tokens[0][:-1]]
    return [*tokens, *codec.encode_many(nobody), *odd]


@pytest.fixture(scope="module")
def twins(deployment: Deployment) -> Iterator[tuple[Twins, list[str]]]:
    with deployment.opened() as desks:
        tokens = people(desks)
        yield Twins(desks, slots=12), tokens


@built
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_they_find_the_same(twins: tuple[Twins, list[str]], data: st.DataObject) -> None:
    pair, tokens = twins
    chosen = data.draw(st.lists(st.integers(0, len(tokens) - 1), max_size=60))
    principal = data.draw(st.sampled_from(["crm", "agent", "nobody", "partner", "bridge"]))
    purpose = data.draw(st.sampled_from(["support", "marketing", "undeclared"]))
    reveal = data.draw(st.sampled_from([Reveal.BEST, Reveal.PLAIN, Reveal.MASKED]))
    room = data.draw(st.sampled_from(ROOMS))
    batch = [tokens[number] for number in chosen]
    found = [
        pair.opened(hot, principal, batch, purpose, room, reveal) for hot in (pair.compiled, pair.reference)
    ]
    assert found[0] == found[1]


@built
def test_every_outcome_was_met(twins: tuple[Twins, list[str]]) -> None:
    pair, tokens = twins
    met = set[Reason]()
    for principal in ("crm", "agent", "partner"):
        for purpose in ("support", "marketing"):
            for room in (30, 10_000_000):
                outcomes = pair.opened(pair.compiled, principal, tokens, purpose, room, Reveal.BEST)[1]
                assert isinstance(outcomes, bytes)
                met |= {reason for reason in map(reason_of, outcomes) if reason is not None}
    assert met >= {
        Reason.DATA_LOSS,
        Reason.INVALID_REQUEST,
        Reason.PURPOSE_DENIED,
        Reason.REPLY_FULL,
        Reason.RESTRICTED,
        Reason.SHREDDED,
        Reason.TOKEN_BOUND,
        Reason.TOKEN_MALFORMED,
        Reason.TOKEN_UNKNOWN,
        Reason.VALUE_DELETED,
    }


@built
@pytest.mark.parametrize(("commits", "attempts"), [(0, [True]), (1, [True]), (2, [False, True])])
def test_commits_after_the_snapshot_began(
    twins: tuple[Twins, list[str]], monkeypatch: pytest.MonkeyPatch, commits: int, attempts: list[bool]
) -> None:
    """One later commit leaves the snapshot's roots where they were; after two the batch begins anew."""
    crm = twins[0].desks.crm
    (token,) = crm.tokens(f"between-{commits}", {"name": "0"})
    begin, begun = NativeLoop.begin, list[bool]()

    def late(loop: NativeLoop, snapshot: Snapshot) -> bool:
        if not begun:
            for number in range(commits):
                crm.update(token, str(number + 1))
        begun.append(begin(loop, snapshot))
        return begun[-1]

    monkeypatch.setattr(NativeLoop, "begin", late)
    assert crm.plain(token) == ("2" if commits == 2 else "0")
    assert begun == attempts


@built
def test_many_customers_come_and_go(twins: tuple[Twins, list[str]]) -> None:
    """The table of the compiled loop against a dictionary."""
    engine = twins[0].desks.vault.engine
    loop = native.read_loop(engine.store, XCHACHA20_POLY1305, engine.region)
    kept, known = loop.customers, dict[bytes, int]()
    order = random.Random(5)
    for step in range(60_000):
        customer = bytes((1,)) + order.randrange(9_000).to_bytes(5, "big")
        found = kept.find(customer)
        assert (found and found.slot) == known.get(customer)
        if customer not in known:
            known[customer] = step
            kept.keep(customer, Known(step, 0, 1, bytes(16)))
        elif order.random() < 0.6:
            kept.forget(customer)
            del known[customer]
        assert len(kept) == len(known)
    while (oldest := kept.oldest()) is not None:
        kept.forget(oldest)
        del known[oldest]
    assert not known
    loop.close()


@built
@pytest.mark.parametrize(("admitted", "error"), [(None, MemoryError), (0, IntegrityFailedError)])
def test_a_batch_that_fails_half_way_leaves_no_values(
    twins: tuple[Twins, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    admitted: int | None,
    error: type[Exception],
) -> None:
    """Also where a customer is said to be let in and, to the loop, never is: it does not ask for ever."""
    desks, texts = twins[0].desks, native._ffi.new("cv_found *")
    (first,), (second,) = (desks.crm.tokens(f"half-{admitted}-{n}", {"name": "x" * 40}) for n in range(2))
    assert desks.crm.plain(first) == "x" * 40

    def admit(*_: object) -> int:
        if admitted is None:
            raise MemoryError
        return admitted

    monkeypatch.setattr(Admission, "admit", admit)
    with pytest.raises(error):
        desks.crm.read([first, second])
    loop = desks.vault.engine.loop
    assert isinstance(loop, NativeLoop)
    loop._library.cv_found_of(loop._loop, texts)
    assert not any(native._ffi.buffer(texts.texts, 40)[:])


def test_what_does_not_fit_is_not_loaded(tmp_path: Path) -> None:
    assert native.load(tmp_path / "none.so") is None
    (tmp_path / "damaged.so").write_bytes(b"\x7fELF")
    assert native.load(tmp_path / "damaged.so") is None


@built
@pytest.mark.parametrize("compiled", [False, True])
def test_the_clock_gives_up_who_was_used_least(twins: tuple[Twins, list[str]], compiled: bool) -> None:
    engine = twins[0].desks.vault.engine
    loop = native.read_loop(engine.store, XCHACHA20_POLY1305, engine.region)
    customers: Customers = loop.customers if compiled else PortableCustomers()
    for slot in range(4):
        customers.keep(bytes((slot,)) * 6, Known(slot, 0, 1, bytes(16), uses=(1, 0, 3, 0)[slot]))
    given_up = []
    while (customer := customers.oldest()) is not None:
        given_up.append(customer[0])
        customers.forget(customer)
    assert given_up == [1, 3, 0, 2]
    loop.close()
