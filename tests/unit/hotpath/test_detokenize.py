import random
import threading
import time

import pytest

from tests.scenarios.support.deployment import by_id
from vault.errors import DeadlineExceededError, LimitExceededError, Reason
from vault.model.access import Reveal
from vault.model.requests import Caller

SUITES = ("xchacha20-poly1305", "aes-256-gcm", "aegis-256")


@pytest.fixture
def configure(deployment):
    """Changes settings of the module's vault for one test."""
    path = deployment.data_dir / "vault.toml"
    before = path.read_text()

    def change(section: str, line: str) -> None:
        header = f"[{section}]\n"
        path.write_text(
            before.replace(header, header + line + "\n") if header in before else f"{before}{header}{line}\n"
        )

    yield change
    path.write_text(before)


@pytest.fixture
def fresh_name(request) -> str:
    return request.node.name[:200]


def test_records_of_every_suite_open_under_every_configured_suite(deployment, configure, fresh_name):
    stored = {}
    for suite in SUITES:
        configure("storage", f'suite = "{suite}"')
        with deployment.opened() as desks:
            fields = {"name": suite, "note": f"Grüße, {suite} 你好"}
            tokens = desks.crm.tokens(
                fresh_name, {f"{name}/{suite[:3]}": text for name, text in fields.items()}
            )
            stored |= dict(zip(tokens, fields.values(), strict=True))
    for suite in SUITES:
        configure("storage", f'suite = "{suite}"')
        with deployment.opened() as desks:
            assert desks.crm.read(list(stored)).values == list(stored.values())
            masked = desks.agent.read(list(stored)).values
            assert masked[1] == "•••"
            desks.vault.rotate_dek(desks.admin.caller, by_id(fresh_name), "")
            assert desks.crm.read(list(stored)).values == list(stored.values())


def test_answers_stay_right_when_the_cache_holds_a_fraction_of_the_customers(
    deployment, configure, fresh_name
):
    with deployment.opened() as desks:
        tokens = {}
        for number in range(300):
            text = f"customer {number}"
            first, second = desks.crm.tokens(f"{fresh_name}-{number}", {"name": text, "note": text.upper()})
            tokens |= {first: text, second: text.upper()}
        engine = desks.vault.engine
        engine.cache._pool._capacity = 40  # beneath the smallest budget that configuration gives
        order = random.Random(7)
        for _ in range(30):
            batch = order.sample(sorted(tokens), 200)
            assert desks.crm.read(batch).values == [tokens[token] for token in batch]
            assert len(engine.cache) <= 40
        assert engine.cache.misses > 300


def test_what_is_read_often_survives_in_the_cache(deployment, fresh_name):
    with deployment.opened() as desks:
        hot, *cold = (desks.crm.tokens(f"{fresh_name}-{number}", {"name": "x"})[0] for number in range(200))
        engine = desks.vault.engine
        engine.cache._pool._capacity = 40
        for token in cold:
            desks.crm.read([hot])
            desks.crm.read([token])
        assert engine.cache.misses <= len(cold) * 1.1


def test_an_evicted_key_is_zeroed_at_once(deployment, fresh_name):
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens(fresh_name, {"name": "x"})
        desks.crm.read([token])
        cache = desks.vault.engine.cache
        customer = desks.vault.engine.loop.customers.oldest()
        slab = cache._pool._slabs[0]
        held = slab.view(cache.find(customer).slot * 64, 64)
        assert any(held)
        desks.vault.engine.hot.forget(customer)
        assert not any(held)


def test_after_a_shred_the_key_is_no_longer_in_the_cache(deployment, fresh_name):
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens(fresh_name, {"name": "x"})
        desks.crm.read([token])
        assert len(desks.vault.engine.cache) == 1
        desks.eraser.shred(by_id(fresh_name))
        assert len(desks.vault.engine.cache) == 0


def read_all(desk, tokens: list[str]) -> tuple[dict[str, str], int]:
    """Asks again for what did not fit, as a client does; returns the values and the number of calls."""
    found, calls, waiting = {}, 0, tokens
    while waiting:
        calls += 1
        revealed = desk.read(waiting)
        full = {denial.index for denial in revealed.denials if denial.reason is Reason.REPLY_FULL}
        assert len(full) == len(revealed.denials)
        assert len(full) < len(waiting)
        found |= {
            token: value
            for index, (token, value) in enumerate(zip(waiting, revealed.values, strict=True))
            if index not in full
        }
        waiting = [token for index, token in enumerate(waiting) if index in full]
    return found, calls


@pytest.mark.parametrize("letter", ["x", "é", "你", "😀"])
def test_a_reply_is_bounded_in_bytes_and_the_rest_is_said_to_be_missing(
    deployment, configure, fresh_name, letter
):
    configure("limits", "reply_bytes = 100000")
    text = letter * (12_000 // len(letter.encode()))
    with deployment.opened() as desks:
        fields = {f"note/n{number}": f"{number:02}{text}" for number in range(20)}
        tokens = desks.crm.tokens(fresh_name, fields)
        first = desks.crm.read(tokens)
        assert 100_000 <= sum(len(value.encode()) for value in first.values) <= 112_010
        found, calls = read_all(desks.crm, tokens)
        assert [found[token] for token in tokens] == list(fields.values())
        assert calls == 3


def test_masks_count_with_their_own_length(deployment, configure, fresh_name):
    configure("limits", "reply_bytes = 20000")
    with deployment.opened() as desks:
        tokens = desks.crm.tokens(fresh_name, {f"note/n{number}": "x" * 12_000 for number in range(20)})
        assert desks.agent.read(tokens).values == ["•••"] * 20
    configure("limits", "reply_bytes = 25")
    with deployment.opened() as desks:
        assert desks.agent.read(tokens).values == ["•••"] * 3 + [""] * 17


def test_a_full_reply_reveals_nothing_of_what_did_not_fit(deployment, configure, fresh_name):
    configure("limits", "reply_bytes = 1")
    with deployment.opened() as desks:
        tokens = desks.crm.tokens(fresh_name, {"name": "first", "note": "second"})
        revealed = desks.crm.read(tokens)
        assert (revealed.values, list(revealed.reveals)) == (["first", ""], [Reveal.PLAIN, Reveal.NONE])
        (access, *_) = desks.privacy.accesses(principal="crm")
        assert (access.values_plain, access.values_denied, list(access.reasons)) == (1, 1, ["REPLY_FULL"])


def test_a_deadline_that_has_passed_reads_nothing(deployment, fresh_name):
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens(fresh_name, {"name": "x"})
        with pytest.raises(DeadlineExceededError):
            desks.crm.with_deadline(-0.001).read([token])
        assert desks.crm.with_deadline(30).plain(token) == "x"


def test_a_deadline_is_looked_at_again_after_waiting_for_a_turn(deployment, fresh_name):
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens(fresh_name, {"name": "x"})
        hot, outcome = desks.vault.engine.hot, []

        def read() -> None:
            try:
                outcome.append(desks.crm.with_deadline(0.05).read([token]))
            except DeadlineExceededError as error:
                outcome.append(error)

        with hot._turn:
            reading = threading.Thread(target=read)
            reading.start()
            time.sleep(0.2)
        reading.join()
        assert isinstance(outcome[0], DeadlineExceededError)


def test_threads_that_read_at_once_each_get_their_own_values(deployment, fresh_name):
    with deployment.opened() as desks:
        texts = [f"value {number}" * 20 for number in range(24)]
        tokens = [desks.crm.tokens(f"{fresh_name}-{n}", {"note": text})[0] for n, text in enumerate(texts)]
        wrong = []

        def read(seed: int) -> None:
            order = random.Random(seed)
            for _ in range(60):
                picked = [order.randrange(24) for _ in range(17)]
                if desks.crm.read([tokens[i] for i in picked]).values != [texts[i] for i in picked]:
                    wrong.append(picked)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_batch_beyond_the_limit_is_refused_with_its_size(deployment):
    with deployment.opened() as desks:
        with pytest.raises(LimitExceededError) as caught:
            desks.crm.read(["cv1_" + "0" * 32] * 1001)
        assert dict(caught.value.details) == {"limit": "batch_tokens", "allowed": "1000", "size": "1001"}


def test_an_empty_batch_is_an_empty_answer(deployment):
    with deployment.opened() as desks:
        revealed = desks.crm.read([])
        assert (list(revealed.values), list(revealed.reveals), revealed.denials) == ([], [], [])


def test_a_value_whose_time_has_passed_is_expired_also_when_the_clock_goes_back(deployment, fresh_name):
    """No call sets an expiry yet; the record is genuine, sealed by the vault's own parts."""
    from vault.core.records import seal_record
    from vault.store.layout import value_key

    with deployment.opened() as desks:
        tokens = desks.crm.tokens(fresh_name, {"name": "past", "note": "to come", "address": "by the floor"})
        engine = desks.vault.engine
        parts = [engine.secrets.codec.decode(token) for token in tokens]
        now = int(time.time())
        ends = (now - 5, now + 3600, now + 3600)

        def expire(session):
            with engine.book.open(session, session, parts[0].customer_no) as customer:
                for part, text, end in zip(parts, (b"past", b"to come", b"by the floor"), ends, strict=True):
                    key = value_key(part.region, part.customer_no, part.value_no)
                    held = session.get(key)
                    record = seal_record(
                        customer.dek,
                        engine.suite,
                        engine.vault_id + key,
                        held[1],
                        text,
                        version=2,
                        expires_s=end,
                    )
                    session.put_value(key, record)

        engine.committer.submit(expire)
        revealed = desks.crm.read(tokens)
        assert revealed.values == ["", "to come", "by the floor"]
        assert [(d.index, d.reason) for d in revealed.denials] == [(0, Reason.EXPIRED)]

        def raise_floor(session):
            session.meta.time_floor_ms = (now + 7200) * 1000

        engine.committer.submit(raise_floor)
        assert desks.crm.denied(tokens) == [Reason.EXPIRED] * 3


def test_the_principal_named_by_nobody_is_refused_before_anything_is_read(deployment, fresh_name):
    with deployment.opened() as desks:
        (token,) = desks.crm.tokens(fresh_name, {"name": "x"})
        from vault.errors import UnauthenticatedError

        with pytest.raises(UnauthenticatedError):
            desks.vault.detokenize(Caller(""), [token], "support", Reveal.BEST)
