"""Issued tokens: they expire, read once, are one principal's, carry tags; and they end with their values."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desk, Desks, by_id, by_token, new_id
from tests.scenarios.support.policies import POLICY
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from vault.core.backup import create_backup
from vault.core.checking import check
from vault.core.upkeep import chores
from vault.errors import (
    ActionDeniedError,
    InvalidRequestError,
    LimitExceededError,
    PrincipalUnknownError,
    Reason,
    RequestIdReusedError,
    TagRefusedError,
    TokenRevokedError,
    TokenUnknownError,
    ValueDeletedError,
    VaultError,
)
from vault.keys.unlock import unlock
from vault.model.access import Reveal
from vault.model.issued import IssuedState, IssuedToken, TokenOrder
from vault.model.requests import AccessQuery, CustomerRef, ValueState
from vault.store.layout import ValueFlag
from vault.store.session import WriteSession

ANN = {"name": "Ann Lee", "email": "ann@lee.org"}
HOUR_MS = 3_600_000


def issue(desk: Desk, token: str, request_id: str = "", **wanted: object) -> IssuedToken:
    return desk.vault.issue_token(desk.caller, TokenOrder(token, **wanted), request_id)  # type: ignore[arg-type]


def once(desk: Desk, token: str) -> str:
    return issue(desk, token, single_use=True).token


def state(desk: Desk, token: str) -> IssuedState:
    return desk.vault.get_token(desk.caller, token).state


def listed(desk: Desk, ref: CustomerRef | None = None, tags: Mapping[str, str] | None = None) -> list[str]:
    """Tokens of every page, one a page."""
    found, page_token = [], ""
    while True:
        page = desk.vault.list_tokens(desk.caller, ref, tags or {}, 1, page_token)
        found += [each.token for each in page.items]
        page_token = page.next_page_token
        if not page_token:
            return found


def findings(deployment: Deployment) -> list[str]:
    edk = unlock(deployment.data_dir, deployment.settings, None)
    try:
        return [f"{each.code} {each.detail}" for each in check(deployment.data_dir, deployment.settings, edk)]
    finally:
        edk.free()


def sweep(desks: Desks) -> str:
    (expiry,) = [chore for chore in chores(desks.vault) if chore.name == "expiry"]
    return expiry.run()


@pytest.fixture
def later(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the clock of reads and writes, for good within the test."""
    real, moved = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + moved[0] * 1_000_000)

    def move(ms: int) -> None:
        moved[0] += ms

    return move


def test_an_issued_token_reads_its_value_as_its_reader_may(desks: Desks) -> None:
    name, email = desks.crm.tokens("ann", ANN)
    made = issue(desks.crm, email, tags={"campaign": "spring"})
    assert made.token not in (name, email)
    assert (made.state, made.field_class, made.domain) == (IssuedState.LIVE, "email", "crm")
    assert made.tags == {"campaign": "spring"}
    assert desks.crm.read([made.token, email, made.token, name]).values == [
        ANN["email"], ANN["email"], ANN["email"], ANN["name"],
    ]  # fmt: skip
    assert list(desks.agent.read([made.token]).reveals) == [Reveal.MASKED]
    assert desks.nobody.denied([made.token]) == [Reason.PURPOSE_DENIED]
    assert desks.partner.denied([made.token]) == [Reason.TOKEN_UNKNOWN]
    desks.crm.update(email, "ann@new.org")
    assert desks.crm.plain(made.token) == "ann@new.org"


def test_one_use_is_one_use_also_within_a_batch(desks: Desks) -> None:
    name, email = desks.crm.tokens("ann", ANN)
    token, other = once(desks.crm, email), once(desks.crm, name)
    revealed = desks.crm.read([token, name, token, other])
    assert revealed.values == [ANN["email"], ANN["name"], "", ANN["name"]]
    assert [(each.index, each.reason) for each in revealed.denials] == [(2, Reason.TOKEN_USED)]
    assert desks.crm.denied([token, other]) == [Reason.TOKEN_USED] * 2
    found = desks.vault.get_token(desks.crm.caller, token)
    assert (found.state, found.single_use, found.field_class) == (IssuedState.USED, True, "email")
    assert found.ended_ms
    assert desks.crm.plain(email) == ANN["email"]


def test_a_read_that_is_denied_uses_nothing(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    token = once(desks.crm, email)
    assert desks.nobody.denied([token]) == [Reason.PURPOSE_DENIED]
    assert desks.agent.denied([token], reveal=Reveal.PLAIN) == [Reason.REVEAL_DENIED]
    assert desks.partner.denied([token]) == [Reason.TOKEN_UNKNOWN]
    assert state(desks.crm, token) is IssuedState.LIVE
    assert list(desks.agent.read([token]).reveals) == [Reveal.MASKED]
    assert desks.crm.denied([token]) == [Reason.TOKEN_USED]


def test_a_bound_token_is_unknown_to_others_and_the_log_knows_better(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    token = issue(desks.crm, email, principal="agent", single_use=True).token
    guess = "cv1_" + "0" * 32
    assert desks.crm.denied([token, guess]) == [Reason.TOKEN_UNKNOWN] * 2
    assert desks.nobody.denied([token]) == [Reason.TOKEN_UNKNOWN]
    assert list(desks.agent.read([token]).reveals) == [Reveal.MASKED]
    assert desks.crm.denied([token]) == [Reason.TOKEN_UNKNOWN]
    assert desks.agent.denied([token]) == [Reason.TOKEN_USED]
    page = desks.vault.list_access(desks.privacy.caller, AccessQuery(customer=by_id("ann")))
    assert Reason.TOKEN_BOUND in {reason for access in page.items for reason in access.reasons}
    assert "UseToken" in {access.action for access in page.items}
    with pytest.raises(PrincipalUnknownError):
        issue(desks.crm, email, principal="nobody-at-all")


def test_an_expired_token_reads_nothing_and_is_removed(desks: Desks, later: Callable[[int], None]) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    made = issue(desks.crm, email, expires_ms=time.time_ns() // 10**6 + HOUR_MS, tags={"ticket": "a-1"})
    assert desks.crm.plain(made.token) == ANN["email"]
    assert sweep(desks) == ""
    later(HOUR_MS)
    assert desks.crm.denied([made.token]) == [Reason.EXPIRED]
    assert state(desks.crm, made.token) is IssuedState.EXPIRED
    assert listed(desks.crm, tags={"ticket": "a-1"}) == [made.token]
    assert sweep(desks) == "1 expired or used tokens removed"
    assert sweep(desks) == ""
    assert desks.crm.denied([made.token]) == [Reason.EXPIRED]
    assert state(desks.crm, made.token) is IssuedState.EXPIRED
    assert listed(desks.crm, by_id("ann")) == listed(desks.crm, tags={"ticket": "a-1"}) == []
    assert desks.crm.plain(email) == ANN["email"]
    with pytest.raises(InvalidRequestError):
        issue(desks.crm, email, expires_ms=time.time_ns() // 10**6)


def test_what_was_used_is_removed_after_a_month_and_stays_used(
    desks: Desks, later: Callable[[int], None]
) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    made = issue(desks.crm, email, single_use=True, expires_ms=time.time_ns() // 10**6 + HOUR_MS)
    assert desks.crm.plain(made.token) == ANN["email"]
    later(2 * HOUR_MS)
    assert sweep(desks) == ""
    later(30 * 24 * HOUR_MS)
    assert sweep(desks) == "1 expired or used tokens removed"
    assert desks.crm.denied([made.token]) == [Reason.TOKEN_USED]
    assert state(desks.crm, made.token) is IssuedState.USED


def test_revoking_ends_the_token_and_not_the_value(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    made = issue(desks.crm, email, tags={"team": "billing"})
    request_id = new_id()
    for _ in range(2):
        desks.vault.revoke_token(desks.crm.caller, made.token, request_id)
    assert desks.crm.denied([made.token]) == [Reason.TOKEN_REVOKED]
    assert desks.crm.plain(email) == ANN["email"]
    assert listed(desks.crm, tags={"team": "billing"}) == []
    found = desks.vault.get_token(desks.crm.caller, made.token)
    assert (found.state, found.tags) == (IssuedState.REVOKED, {})
    with pytest.raises(TokenRevokedError):
        desks.vault.revoke_token(desks.crm.caller, made.token, "")
    used = once(desks.crm, email)
    desks.crm.plain(used)
    desks.vault.revoke_token(desks.crm.caller, used, "")
    assert desks.crm.denied([used]) == [Reason.TOKEN_USED]


def test_a_value_takes_its_issued_tokens_along(desks: Desks) -> None:
    name, email = desks.crm.tokens("ann", ANN)
    mine = issue(desks.crm, email, tags={"team": "billing"}).token
    other = issue(desks.crm, name, tags={"team": "billing"}).token
    desks.crm.delete(email)
    assert desks.crm.denied([mine, email]) == [Reason.VALUE_DELETED] * 2
    assert state(desks.crm, mine) is IssuedState.VALUE_DELETED
    assert listed(desks.crm, tags={"team": "billing"}) == [other]
    with pytest.raises(ValueDeletedError):
        once(desks.crm, email)
    assert desks.eraser.shred_all([by_id("ann")], validate_only=True)[0].values == 2  # name, external id
    assert desks.eraser.shred(by_id("ann")).values == 2
    assert desks.crm.denied([mine, other]) == [Reason.SHREDDED] * 2
    assert state(desks.crm, other) is IssuedState.SHREDDED
    assert listed(desks.crm, tags={"team": "billing"}) == []
    with desks.vault.engine.store.keyring() as keys:
        assert keys.count_surrogates() == 0


def test_an_issued_token_does_nothing_but_read(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    token = issue(desks.crm, email, domain="crm", tags={"a": "b"}).token
    for act in (
        lambda: desks.crm.update(token, "other@lee.org"),
        lambda: desks.crm.delete(token),
        lambda: once(desks.crm, token),
        lambda: desks.vault.inspect(desks.crm.caller, token),
    ):
        with pytest.raises(InvalidRequestError):
            act()
    translated = desks.vault.translate(desks.bridge.caller, [token, email], "partner")
    assert [each.reason for each in translated.denials] == [Reason.INVALID_REQUEST]
    for plain in (email, desks.crm.customer(by_id("ann")).customer_token):
        with pytest.raises(InvalidRequestError):
            desks.vault.get_token(desks.crm.caller, plain)
        with pytest.raises(InvalidRequestError):
            desks.vault.revoke_token(desks.crm.caller, plain, "")
    assert desks.vault.inspect(desks.crm.caller, email).state is ValueState.LIVE
    assert len(desks.crm.customer(by_token(token)).held) == 2
    assert [each.field_class for each in desks.crm.customer(by_id("ann")).held] == ["external_id", "email"]


def test_who_may_issue_look_and_revoke(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    token = issue(desks.crm, email, tags={"team": "billing"}).token
    with pytest.raises(ActionDeniedError):
        once(desks.agent, email)
    with pytest.raises(ActionDeniedError):
        desks.vault.revoke_token(desks.agent.caller, token, "")
    with pytest.raises(ActionDeniedError):
        desks.vault.get_token(desks.nobody.caller, token)
    with pytest.raises(ActionDeniedError):
        desks.vault.list_tokens(desks.nobody.caller, by_id("ann"), {}, 10, "")
    with pytest.raises(VaultError) as refused:
        issue(desks.crm, email, domain="partner", single_use=True)
    assert refused.value.reason is Reason.DOMAIN_DENIED
    with pytest.raises(TokenUnknownError):
        once(desks.partner, email)
    assert desks.crm.plain(token) == ANN["email"]


def test_a_token_of_another_domain_is_issued_by_who_may_write_and_translate(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    with pytest.raises(ActionDeniedError):
        issue(desks.bridge, email, domain="partner", single_use=True)
    policy = POLICY.replace('may = ["translate"]', 'may = ["translate", "write", "inspect"]')
    desks.vault.apply_policy(desks.admin.caller, policy, request_id="", validate_only=False)
    made = issue(desks.bridge, email, domain="partner", single_use=True, tags={"a": "b"})
    assert made.domain == "partner"
    assert desks.crm.denied([made.token]) == [Reason.TOKEN_UNKNOWN]
    assert listed(desks.crm, by_id("ann")) == listed(desks.crm, tags={"a": "b"}) == []
    assert listed(desks.bridge, tags={"a": "b"}) == [made.token]
    assert desks.partner.plain(made.token) == ANN["email"]


def test_a_retry_gets_the_same_token(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    request_id = new_id()
    first = issue(desks.crm, email, request_id, single_use=True, tags={"a": "b"})
    assert issue(desks.crm, email, request_id, single_use=True, tags={"a": "b"}) == first
    with pytest.raises(RequestIdReusedError):
        issue(desks.crm, email, request_id, single_use=True, tags={"a": "c"})
    assert listed(desks.crm, by_id("ann")) == [first.token]


@pytest.mark.parametrize(
    "wanted",
    [{}, {"tags": {}}, {"expires_ms": 1}, {"expires_ms": 2**63}, {"expires_ms": -5}],
)
def test_an_order_that_makes_no_sense_is_refused(desks: Desks, wanted: Mapping[str, object]) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    with pytest.raises(InvalidRequestError):
        issue(desks.crm, email, **wanted)


def test_personal_data_is_no_tag_and_is_not_repeated(desks: Desks) -> None:
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    for value in (ANN["email"], "+44 20 7183 8750", "GB82WEST12345698765432", "4111-1111-1111-1111"):
        with pytest.raises(TagRefusedError) as refused:
            issue(desks.crm, email, tags={"who": value})
        assert value not in f"{refused.value}{refused.value.details}"
        with pytest.raises(TagRefusedError):
            desks.vault.list_tokens(desks.crm.caller, None, {"who": value}, 10, "")


def test_tags_lead_across_customers_page_by_page(desks: Desks) -> None:
    made = []
    for number in range(4):
        (email,) = desks.crm.tokens(f"c{number}", {"email": f"c{number}@lee.org"})
        tags = {"campaign": "spring", "batch": str(number % 2)}
        made.append(issue(desks.crm, email, tags=tags).token)
        issue(desks.crm, email, tags={"campaign": "autumn"})
    assert listed(desks.crm, tags={"campaign": "spring"}) == made
    assert listed(desks.crm, tags={"campaign": "spring", "batch": "1"}) == made[1::2]
    assert listed(desks.crm, tags={"campaign": "winter"}) == []
    assert len(listed(desks.crm, by_id("c0"))) == 2
    assert listed(desks.crm, by_id("c0"), {"campaign": "spring"}) == made[:1]
    assert listed(desks.partner, tags={"campaign": "spring"}) == []
    for page_token in ("x", "x.1", made[0], f"{made[0]}.-1", f"{made[0]}.ffffffffff"):
        with pytest.raises(VaultError):
            desks.vault.list_tokens(desks.crm.caller, None, {"campaign": "spring"}, 1, page_token)
    with pytest.raises(InvalidRequestError):
        desks.vault.list_tokens(desks.crm.caller, None, {}, 10, "")


def test_a_customer_has_so_many_and_no_more(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.core.aliases.MOST_LIVE", 2)
    (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
    first = once(desks.crm, email)
    once(desks.crm, email)
    with pytest.raises(LimitExceededError):
        once(desks.crm, email)
    desks.vault.revoke_token(desks.crm.caller, first, "")
    once(desks.crm, email)


def test_rotations_keep_tokens_tags_and_ends(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        _, email = desks.crm.tokens("ann", ANN)
        used, live = once(desks.crm, email), issue(desks.crm, email, tags={"team": "billing"}).token
        revoked = issue(desks.crm, email, tags={"team": "billing"}).token
        desks.crm.plain(used)
        desks.vault.revoke_token(desks.crm.caller, revoked, "")
        desks.vault.rotate_dek(desks.admin.caller, by_id("ann"), "")
    for _ in range(2):
        with deployment.opened() as desks:
            assert desks.crm.denied([used, revoked]) == [Reason.TOKEN_USED, Reason.TOKEN_REVOKED]
            assert desks.crm.plain(live) == ANN["email"]
            assert listed(desks.crm, tags={"team": "billing"}) == [live]
            rotation(desks.vault).rotate()
    assert findings(deployment) == []


def test_a_restore_makes_nothing_usable_again(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.opened() as desks:
        name, email = desks.crm.tokens("ann", ANN)
        used, late = once(desks.crm, email), once(desks.crm, name)
        revoked = issue(desks.crm, email, tags={"team": "billing"}).token
        live = issue(desks.crm, name, tags={"team": "billing"}).token
    backup = create_backup(deployment.data_dir, tmp_path / "backup").path
    with deployment.opened() as desks:
        desks.crm.plain(used)
        desks.vault.revoke_token(desks.crm.caller, revoked, "")
        after = once(desks.crm, email)
        desks.crm.plain(after)
    restore(deployment, backup)
    with deployment.opened() as desks:
        assert desks.crm.denied([used, revoked, after]) == [
            Reason.TOKEN_USED, Reason.TOKEN_REVOKED, Reason.DATA_LOSS,
        ]  # fmt: skip
        assert listed(desks.crm, tags={"team": "billing"}) == [live]
        assert desks.crm.read([late, live]).values == [ANN["name"]] * 2
        assert desks.crm.denied([late]) == [Reason.TOKEN_USED]
    assert findings(deployment) == []


def test_a_hold_keeps_its_values_tokens_and_no_tags(desks: Desks) -> None:
    name, email = desks.crm.tokens("ann", ANN)
    held, gone = issue(desks.crm, email, tags={"a": "b"}).token, issue(desks.crm, name, tags={"a": "b"}).token
    hold = desks.privacy.hold(by_id("ann"), "email")
    desks.eraser.shred(by_id("ann"))
    assert desks.crm.denied([gone, held]) == [Reason.VALUE_DELETED, Reason.RESTRICTED]
    assert listed(desks.crm, tags={"a": "b"}) == []
    with pytest.raises(VaultError) as refused:
        once(desks.crm, email)
    assert refused.value.reason is Reason.HELD
    desks.privacy.release(by_id("ann"), hold)
    assert desks.crm.denied([gone, held]) == [Reason.SHREDDED] * 2


def test_the_check_finds_tags_of_no_token(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        (email,) = desks.crm.tokens("ann", {"email": ANN["email"]})
        token = issue(desks.crm, email, tags={"a": "b"}).token
        engine = desks.vault.engine
        key = value_key_of(desks, token)
        engine.committer.submit(lambda session: session.delete_value(key))
    assert [each.split()[0] for each in findings(deployment)] == ["SHEET_WRONG"]


def test_a_token_that_leads_nowhere_is_noted_and_reads_nothing(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        _, email = desks.crm.tokens("ann", ANN)
        token = once(desks.crm, email)
        key = value_key_of(desks, email)
        desks.vault.engine.committer.submit(lambda session: session.delete_value(key))
        assert desks.crm.denied([token]) == [Reason.DATA_LOSS]
        assert state(desks.crm, token) is IssuedState.LIVE
    assert [each.split()[0] for each in findings(deployment)] == ["VALUE_LOST"]


@pytest.mark.parametrize("place", ["header", "body", "moved", "flag"])
def test_a_forged_record_reads_nothing(desks: Desks, place: str) -> None:
    _, email = desks.crm.tokens("ann", ANN)
    token, other = issue(desks.crm, email, principal="agent").token, once(desks.crm, email)
    mine, theirs = value_key_of(desks, token), value_key_of(desks, other)

    def forge(session: WriteSession) -> None:
        record = bytearray(session.get(theirs) or b"")
        if place == "header":
            record[12] ^= 1  # expires_s
        elif place == "body":
            record[-1] ^= 1
        elif place == "flag":
            record[2] = 0  # a value, by its header
        session.put_value(mine if place == "moved" else theirs, bytes(record))

    desks.vault.engine.committer.submit(forge)
    assert desks.crm.denied([token if place == "moved" else other]) == [Reason.INTEGRITY_FAILED]


def test_an_alias_of_an_alias_reads_nothing(desks: Desks) -> None:
    _, email = desks.crm.tokens("ann", ANN)
    first, second = once(desks.crm, email), once(desks.crm, email)
    engine = desks.vault.engine
    parts = engine.secrets.codec.decode(first)
    target = engine.secrets.codec.decode(second).value_no

    def chain(session: WriteSession) -> None:
        with engine.book.open(session, session, parts.customer_no) as customer:
            issued = engine.aliases.require(session, customer, parts.value_no)
            plain = replace(issued.alias, target=target).pack()
            flags = ValueFlag.ALIAS
            engine.book.put_value(session, customer, parts.value_no, 1, plain, flags=flags)

    engine.committer.submit(chain)
    assert desks.crm.denied([first]) == [Reason.INTEGRITY_FAILED]
    assert desks.crm.plain(second) == ANN["email"]


@pytest.mark.parametrize("step", ["ledger", "values"])
@pytest.mark.parametrize("act", ["read", "revoke"])
def test_a_crash_ends_the_token_and_reveals_nothing(deployment: Deployment, act: str, step: str) -> None:
    with deployment.opened() as desks:
        _, email = desks.crm.tokens("ann", ANN)
        token = issue(desks.crm, email, single_use=True, tags={"team": "billing"}).token
    command = [sys.executable, "-m", "tests.scenarios.support.using"]
    ended = subprocess.run(
        [*command, str(deployment.data_dir), act, token, step],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, ""), ended.stderr
    with deployment.opened() as desks:
        desks.crm.tokens("bob", {"name": "Bob"})  # whoever writes next carries out what the ledger says
        end = Reason.TOKEN_USED if act == "read" else Reason.TOKEN_REVOKED
        assert desks.crm.denied([token]) == [end]
        assert listed(desks.crm, tags={"team": "billing"}) == ([token] if act == "read" else [])
        assert desks.crm.plain(email) == ANN["email"]
    assert findings(deployment) == []


def test_before_recovery_an_interrupted_use_is_no_use_to_anybody(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        _, email = desks.crm.tokens("ann", ANN)
        token = once(desks.crm, email)
    command = [sys.executable, "-m", "tests.scenarios.support.using"]
    subprocess.run(
        [*command, str(deployment.data_dir), "read", token, "ledger"],
        check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    with deployment.opened() as desks:
        # The record still says that it is live; to use it takes the write lock, whose holder recovers first.
        assert desks.crm.denied([token]) == [Reason.TOKEN_USED]


def value_key_of(desks: Desks, token: str) -> bytes:
    engine = desks.vault.engine
    parts = engine.secrets.codec.decode(token)
    return engine.book.value_key(parts.customer_no, parts.value_no)
