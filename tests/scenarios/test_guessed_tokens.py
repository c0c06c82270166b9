import random

import pytest

from tests.scenarios.support.deployment import by_id, by_token
from tests.scenarios.support.tampering import tampering
from vault.errors import DataLossError, Reason, TokenMalformedError, TokenUnknownError
from vault.hotpath.loop import ReadLoop
from vault.store.environment import Environment
from vault.store.layout import customer_key, value_key
from vault.store.snapshot import Snapshot

JANE = {"name": "Jane Doe", "email": "jane@example.com"}
MALFORMED = [
    "",
    "cv1_",
    "cv1_" + "0" * 31,
    "cv1_" + "0" * 33,
    "cv1_" + "g" * 32,
    "cv0_" + "0" * 32,
    "cv_" + "0" * 32,
    " cv1_" + "0" * 32,
    "cv1_" + "0" * 32 + "\n",
    "cv1_" + "０" * 32,
    "jane@example.com",
    "cv1_" + "0" * 100_000,
]


class LookedUp:
    """Counts the rows of `values` that are looked for, the meta row apart: by snapshots and by the loop."""

    def __init__(self, loop: ReadLoop) -> None:
        self.keys: list[bytes] = []
        self._loop = loop
        self._before = loop.lookups

    def clear(self) -> None:
        self.keys.clear()
        self._before = self._loop.lookups

    @property
    def count(self) -> int:
        return len(self.keys) + self._loop.lookups - self._before


@pytest.fixture
def looked_up(desks, monkeypatch) -> LookedUp:
    counted = LookedUp(desks.vault.engine.loop)
    bind = Snapshot._bind

    def counting(self, *arguments) -> None:
        bind(self, *arguments)
        genuine = self.get

        def get(key: bytes) -> bytes | None:
            counted.keys.append(key)
            return genuine(key)

        self.get = get

    monkeypatch.setattr(Snapshot, "_bind", counting)
    return counted


@pytest.fixture
def transactions(monkeypatch) -> list[str]:
    """The environment of every read transaction that is begun."""
    begun: list[str] = []
    genuine = Environment.read

    def read(self):
        begun.append(self.path.name)
        return genuine(self)

    monkeypatch.setattr(Environment, "read", read)
    return begun


def guesses(count: int) -> list[str]:
    order = random.Random(11)
    return [f"cv1_{order.getrandbits(128):032x}" for _ in range(count)]


def test_a_guess_costs_no_read_of_the_store(desks, looked_up, transactions):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    desks.crm.read([token])
    assert looked_up.count >= 2  # customer row and value: so the measure works
    looked_up.clear()
    transactions.clear()
    assert desks.crm.denied(guesses(1000)) == [Reason.TOKEN_UNKNOWN] * 1000
    assert looked_up.count == 0
    assert transactions == ["values"]  # one, for policy; none for keys


def test_among_genuine_tokens_guesses_cost_nothing_either(desks, looked_up):
    tokens = desks.crm.tokens("crm-1", JANE)
    mixed = [token for pair in zip(tokens, guesses(2), strict=True) for token in pair]
    looked_up.clear()
    desks.crm.read(mixed)
    first = looked_up.count
    looked_up.clear()
    desks.crm.read(mixed)
    assert looked_up.count == 3  # customer row, two values
    assert first >= 3


def test_a_genuine_token_with_one_digit_changed_is_a_guess(desks, looked_up):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    changed = []
    for at in range(4, len(token)):
        digit = "0123456789abcdef"[(int(token[at], 16) + 1) % 16]
        changed.append(token[:at] + digit + token[at + 1 :])
    looked_up.clear()
    assert desks.crm.denied(changed) == [Reason.TOKEN_UNKNOWN] * 32
    assert looked_up.count == 0


def test_a_token_key_generation_that_does_not_exist_is_a_guess(desks, looked_up):
    (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    looked_up.clear()
    assert desks.crm.denied(["cv2_" + token[4:], "cv99999_" + token[4:]]) == [Reason.TOKEN_UNKNOWN] * 2
    assert looked_up.count == 0


def test_what_is_no_token_is_malformed(desks, looked_up):
    assert desks.crm.denied(MALFORMED) == [Reason.TOKEN_MALFORMED] * len(MALFORMED)
    assert looked_up.count == 0


@pytest.mark.parametrize("text", [guesses(1)[0], *MALFORMED[:4]])
def test_every_other_use_case_refuses_it_the_same_way(desks, text):
    expected = TokenUnknownError if text.startswith("cv1_") and len(text) == 36 else TokenMalformedError
    vault = desks.vault
    for act in (
        lambda: vault.inspect(desks.crm.caller, text),
        lambda: desks.crm.customer(by_token(text)),
        lambda: desks.crm.update(text, "x"),
        lambda: desks.crm.delete(text),
        lambda: desks.eraser.shred(by_token(text)),
        lambda: vault.rotate_dek(desks.admin.caller, by_token(text), ""),
        lambda: vault.export_customer(desks.privacy.caller, by_token(text), "support", ""),
        lambda: desks.privacy.accesses(customer=by_token(text)),
    ):
        with pytest.raises(expected):
            act()


def test_a_genuine_token_whose_row_vanished_is_lost_data_and_never_not_found(deployment):
    with deployment.opened() as desks:
        name, mail = desks.crm.tokens("crm-1", JANE)
    with tampering(deployment) as session:
        assert session.delete_value(value_key(1, 1, 2))
    with deployment.opened() as desks:
        revealed = desks.crm.read([name, mail])
        assert revealed.values == ["", "jane@example.com"]
        assert [(d.index, d.reason) for d in revealed.denials] == [(0, Reason.DATA_LOSS)]
        for act in (
            lambda: desks.vault.inspect(desks.crm.caller, name),
            lambda: desks.crm.update(name, "Janet"),
            lambda: desks.crm.delete(name),
        ):
            with pytest.raises(DataLossError):
                act()
        assert (
            desks.vault.translate(desks.bridge.caller, [name], "partner").denials[0].reason
            is Reason.DATA_LOSS
        )
        assert desks.agent.denied([name]) == [Reason.DATA_LOSS]  # told to the domain
        assert desks.partner.denied([name]) == [Reason.TOKEN_UNKNOWN]  # and to nobody else


@pytest.mark.parametrize("lost", ["row", "key", "row and key", "everything"])
def test_a_customer_that_vanished_is_lost_data(deployment, lost):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    with tampering(deployment) as session:
        if "row" in lost or lost == "everything":
            session.delete_value(value_key(1, 1))
        if "key" in lost or lost == "everything":
            session.delete_dek(1, 1, 1)
        if lost == "everything":
            session.delete_customer_values(1, 1)
            session.delete_sheet(customer_key(1, 1))
            session.index_delete_customer(1, 1)
    with deployment.opened() as desks:
        assert desks.crm.denied(tokens) == [Reason.DATA_LOSS] * 2
        with pytest.raises(DataLossError):
            desks.vault.inspect(desks.crm.caller, tokens[0])


def test_a_lost_sheet_loses_no_value(deployment):
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", JANE)
    with tampering(deployment) as session:
        session.delete_sheet(customer_key(1, 1))
    with deployment.opened() as desks:
        assert desks.crm.read(tokens).values == list(JANE.values())
        with pytest.raises(DataLossError):
            desks.crm.customer(by_id("crm-1"))
