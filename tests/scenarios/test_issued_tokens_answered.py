"""Issued tokens beside answers, search and histories: they answer as their values, within their limits."""

import time
from pathlib import Path

import pytest

from tests.scenarios.support.controls import apply
from tests.scenarios.support.deployment import Desks, by_id, found_vault
from tests.scenarios.support.restoring import restore
from tests.scenarios.support.rotating import rotation
from tests.scenarios.test_answers import ANALYST, OWN_POLICY, ask, is_equal, pseudonyms
from tests.scenarios.test_issued_tokens import HOUR_MS, issue, once, state
from tests.scenarios.test_search import FIELDS, SEARCHING, SETTINGS, duplicates, find, findings
from vault.core.backup import create_backup
from vault.core.searchbuilding import SearchBuilding
from vault.errors import AuditUnavailableError, InvalidRequestError, Reason
from vault.fields.derived import Question
from vault.model.access import Denial, Reveal
from vault.model.blast import ReadCounts
from vault.model.history import HistoryQuery
from vault.model.issued import IssuedState
from vault.model.requests import AccessQuery, Caller

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "birth_date": "1990-12-10"}
ADULT = Question(Reveal.AGE_OVER, age=18)


def issued_for(desks: Desks, token: str) -> str:
    return issue(desks.crm, token, tags={"for": "analysis"}).token


def refusals(desks: Desks, token: str, who: str = ANALYST) -> list[Reason]:
    """Why a token of a name, or of a date of birth, is neither compared nor given a pseudonym."""
    caller = Caller(who)
    made = desks.vault.pseudonymize(caller, [token], "support")
    compared = desks.vault.compare(caller, [(token, token)], "support")
    assert (list(made.pseudonyms), list(compared.equal)) == ([""], [False])
    return [denial.reason for denial in (*made.denials, *compared.denials)]


def test_an_issued_token_answers_as_its_value_does(desks: Desks) -> None:
    apply(desks, OWN_POLICY)
    name, mail, born = desks.crm.tokens("c-1", ADA)
    other = desks.crm.tokens("c-2", {"name": "Grace", "birth_date": "2020-01-01"})
    assert pseudonyms(desks, [issued_for(desks, name)]) == pseudonyms(desks, [name])
    assert is_equal(desks, issued_for(desks, name), name)
    assert not is_equal(desks, issued_for(desks, name), issued_for(desks, other[0]))
    assert ask(desks, issued_for(desks, born), ADULT) is True
    assert ask(desks, issued_for(desks, other[1]), ADULT) is False
    assert ask(desks, issued_for(desks, mail), ADULT) is Reason.PURPOSE_DENIED
    assert refusals(desks, issued_for(desks, born)) == [Reason.REVEAL_DENIED] * 2


def test_an_issued_token_answers_within_its_limits(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(desks, OWN_POLICY)
    name, _, born = desks.crm.tokens("c-1", ADA)
    guess = "cv1_" + "0" * 32
    bound = issue(desks.crm, name, principal="agent").token
    assert refusals(desks, bound) == refusals(desks, guess) == [Reason.TOKEN_UNKNOWN] * 2
    assert ask(desks, issue(desks.crm, born, principal="agent").token, ADULT) is Reason.TOKEN_UNKNOWN
    mine = issue(desks.crm, name, principal=ANALYST).token
    assert is_equal(desks, mine, name)
    desks.vault.revoke_token(desks.crm.caller, mine, "")
    assert refusals(desks, mine) == [Reason.TOKEN_REVOKED] * 2
    timed = issue(desks.crm, name, expires_ms=time.time_ns() // 10**6 + HOUR_MS).token
    assert pseudonyms(desks, [timed]) == pseudonyms(desks, [name])
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_MS * 10**6)
    assert refusals(desks, timed) == [Reason.EXPIRED] * 2
    page = desks.vault.list_access(desks.privacy.caller, AccessQuery(customer=by_id("c-1")))
    compared = [each for each in page.items if each.action == "Compare"]
    assert {Reason.TOKEN_BOUND, Reason.TOKEN_REVOKED, Reason.EXPIRED} == {
        reason for each in compared for reason in each.reasons
    }


def test_a_token_for_a_single_use_is_asked_nothing_and_stays_unused(desks: Desks) -> None:
    apply(desks, OWN_POLICY)
    name, _, born = desks.crm.tokens("c-1", ADA)
    single = once(desks.crm, name)
    assert refusals(desks, single) == [Reason.QUESTION_UNFIT] * 2
    assert ask(desks, once(desks.crm, born), ADULT) is Reason.QUESTION_UNFIT
    found = desks.vault.compare(Caller(ANALYST), [(name, single), (name, name)], "support")
    assert found.denials == [Denial(0, Reason.QUESTION_UNFIT)]
    assert list(found.equal) == [False, True]
    assert state(desks.crm, single) is IssuedState.LIVE
    assert desks.crm.plain(single) == ADA["name"]
    assert refusals(desks, single) == [Reason.TOKEN_USED] * 2


def test_a_search_finds_values_and_not_their_issued_tokens(tmp_path: Path) -> None:
    deployment = found_vault(tmp_path / "vault", settings=SETTINGS, policy=SEARCHING)
    values = {"email": ADA["email"], "phone": "+493012345678"}
    with deployment.opened() as desks:
        stored = {who: desks.crm.tokens(who, values) for who in ("ada", "eve")}
        made = issue(desks.crm, stored["ada"][0], tags={"team": "billing"}).token
        used = once(desks.crm, stored["eve"][0])
        assert desks.crm.plain(used) == ADA["email"]
        gone = once(desks.crm, stored["eve"][1])

        def found() -> list[str]:
            return sorted(each.token for one in find(desks.crm, email=ADA["email"]) for each in one.values)

        assert found() == sorted(stored[who][0] for who in stored)
        assert [len(group) for group in duplicates(desks.crm, "email")] == [2]
        desks.crm.delete(stored["eve"][1])
        assert desks.crm.denied([gone]) == [Reason.VALUE_DELETED]
        assert len(find(desks.crm, phone=values["phone"])) == 1
        for act in (
            lambda: desks.vault.inspect(desks.crm.caller, made),
            lambda: desks.crm.update(made, "x@example.org"),
            lambda: desks.crm.delete(made),
        ):
            with pytest.raises(InvalidRequestError):
                act()
        backup = create_backup(deployment.data_dir, tmp_path / "backups", store=desks.vault.engine.store).path
        rotation(desks.vault).rotate()
        assert found() == sorted(stored[who][0] for who in stored)
    assert findings(deployment) == []
    with deployment.opened() as desks:
        desks.vault.revoke_token(desks.crm.caller, made, "")
        desks.eraser.shred(by_id("eve"))
        assert found() == [stored["ada"][0]]
    assert findings(deployment) == []
    restore(deployment, backup)
    with deployment.opened() as desks:
        assert found() == [stored["ada"][0]]
        assert desks.crm.denied([made, used]) == [Reason.TOKEN_REVOKED, Reason.SHREDDED]
    assert [each for each in findings(deployment) if not each.startswith("DEK_ORPHAN")] == []


def test_an_index_that_is_built_later_passes_over_issued_tokens(tmp_path: Path) -> None:
    deployment = found_vault(tmp_path, policy=SEARCHING)
    with deployment.opened() as desks:
        (mail,) = desks.crm.tokens("ada", {"email": ADA["email"]})
        made = issued_for(desks, mail)
    with (deployment.data_dir / "vault.toml").open("a") as settings:
        settings.write(FIELDS)
    with deployment.opened() as desks:
        assert "complete" in SearchBuilding(desks.vault.engine).run()
        assert [each.token for one in find(desks.crm, email=ADA["email"]) for each in one.values] == [mail]
        assert desks.crm.plain(made) == ADA["email"]
    assert findings(deployment) == []


def test_a_customer_is_told_of_issued_tokens_and_of_what_was_read_with_them(desks: Desks) -> None:
    (name,) = desks.crm.tokens("ada", {"name": ADA["name"]})
    single = once(desks.crm, name)
    bound = issue(desks.crm, name, principal="agent").token
    desks.crm.plain(single)
    desks.crm.denied([bound])
    desks.vault.revoke_token(desks.crm.caller, bound, "")
    events = desks.vault.access_history(desks.privacy.caller, HistoryQuery(by_id("ada"))).events
    assert [each.action for each in reversed(events)] == [
        "Tokenize", "IssueToken", "IssueToken", "UseToken", "Detokenize", "Detokenize", "RevokeToken",
    ]  # fmt: skip
    revoked, refused, read, *_ = events
    assert (read.counts, refused.counts) == (
        {"name": ReadCounts(1, 0, 0, 1)},
        {"name": ReadCounts(0, 0, 1)},
    )
    assert "Refused: name (the access was meant for somebody else)" in refused.text
    assert revoked.text == "crm ended a limited access to one entry of yours."


def test_a_token_is_revoked_although_the_access_log_is_full(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = desks.crm.tokens("ada", {"name": ADA["name"]})
    made = issued_for(desks, name)

    def full(_: bytes) -> None:
        raise AuditUnavailableError("full")

    monkeypatch.setattr(desks.vault.engine.audit, "append", full)
    with pytest.raises(AuditUnavailableError):
        issued_for(desks, name)
    with pytest.raises(AuditUnavailableError):
        desks.crm.read([made])
    desks.vault.revoke_token(desks.crm.caller, made, "")
    monkeypatch.undo()
    assert desks.crm.denied([made]) == [Reason.TOKEN_REVOKED]
