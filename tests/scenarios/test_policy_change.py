import pytest

from tests.scenarios.support.deployment import by_id, new_id
from tests.scenarios.support.elsewhere import opened_elsewhere
from tests.scenarios.support.policies import POLICY
from tests.scenarios.support.tampering import tampering
from vault.errors import (
    ActionDeniedError,
    IntegrityFailedError,
    InvalidRequestError,
    PolicyInvalidError,
    PrincipalExistsError,
    PrincipalUnknownError,
    Reason,
    RequestIdReusedError,
    SuspendedError,
    UnauthenticatedError,
)

CLOSED = POLICY.replace('"*" = "PLAIN"', '"*" = "MASKED"')


def apply(desks, document: str, *, request_id: str = "", validate_only: bool = False):
    return desks.vault.apply_policy(
        desks.admin.caller, document, validate_only=validate_only, request_id=request_id
    )


@pytest.fixture
def token(desks) -> str:
    (made,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
    return made


def test_a_change_holds_from_the_next_call_on_in_another_process(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        assert other.read("crm", [token])["values"] == ["Jane Doe"]
        apply(desks, CLOSED)
        assert other.read("crm", [token])["values"] == ["J••• D•••"]
        apply(desks, POLICY)
        assert other.read("crm", [token])["values"] == ["Jane Doe"]


def test_a_grant_taken_away_is_gone_at_once_also_where_the_answer_was_cached(desks, token):
    assert desks.crm.plain(token) == "Jane Doe"
    apply(desks, CLOSED)
    assert desks.crm.read([token]).values == ["J••• D•••"]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "version = 1",
        "not toml at all",
        POLICY.replace('"PLAIN"', '"PLAN"'),
        POLICY.replace('may = ["write", "inspect"]', 'may = ["write", "inspct"]'),
        POLICY.replace("[purposes.billing]", "[purpose.billing]"),
        POLICY.replace('may = ["admin", "rotate", "inspect", "audit"]', 'may = ["rotate"]'),
    ],
)
def test_a_bad_policy_changes_nothing_and_says_why(desks, token, bad):
    before = desks.vault.get_policy(desks.admin.caller)
    for validate_only in (True, False):
        with pytest.raises(PolicyInvalidError) as caught:
            apply(desks, bad, validate_only=validate_only)
        assert len(str(caught.value)) > 10
    assert desks.vault.get_policy(desks.admin.caller) == before
    assert desks.crm.plain(token) == "Jane Doe"


def test_a_check_alone_changes_nothing(desks, token):
    apply(desks, CLOSED, validate_only=True)
    assert desks.crm.plain(token) == "Jane Doe"
    assert desks.vault.get_policy(desks.admin.caller).version == 1


def test_versions_count_and_a_retry_is_not_another_one(deployment):
    request_id = new_id()
    with deployment.opened() as desks:
        first = apply(desks, CLOSED, request_id=request_id)
        assert first.version == 2
        apply(desks, POLICY)
    with deployment.opened() as desks:
        assert apply(desks, CLOSED, request_id=request_id).version == 2
        assert desks.vault.get_policy(desks.admin.caller).document == POLICY
        with pytest.raises(RequestIdReusedError):
            apply(desks, POLICY, request_id=request_id)


def test_only_an_administrator_sees_or_changes_the_policy(desks):
    for principal in ("crm", "privacy", "nobody"):
        with pytest.raises(ActionDeniedError):
            desks.vault.get_policy(desks.of(principal).caller)
        with pytest.raises(ActionDeniedError):
            desks.vault.apply_policy(desks.of(principal).caller, CLOSED, validate_only=False, request_id="")


def test_a_domain_that_comes_back_has_its_old_tokens(desks, token):
    """Numbers of names are never given to another name."""
    without = POLICY.replace('domains = ["crm"]', 'domains = ["other"]').replace(
        "[domains.partner]", "[domains.partner]\n[domains.other]"
    )
    apply(desks, without)
    assert desks.crm.denied([token]) == [Reason.TOKEN_UNKNOWN]
    apply(desks, POLICY)
    assert desks.crm.plain(token) == "Jane Doe"


def test_a_revoked_principal_does_nothing_more_anywhere(deployment):
    with deployment.opened() as desks, opened_elsewhere(deployment) as other:
        (token,) = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        assert other.read("crm", [token])["values"] == ["Jane Doe"]
        revoked = desks.vault.revoke_principal(desks.admin.caller, "crm", new_id())
        assert revoked.revoked
        for act in (
            lambda: other.read("crm", [token]),
            lambda: other.ask("crm", "store", "crm-2", {"name": "Bob"}),
            lambda: other.ask("crm", "update", token, "Janet"),
            lambda: desks.crm.read([token]),
            lambda: desks.crm.customer(by_id("crm-1")),
        ):
            with pytest.raises(SuspendedError):
                act()
        assert desks.privacy.plain(token) == "Jane Doe"


def test_a_revocation_is_for_good_and_may_be_repeated(deployment):
    with deployment.opened() as desks:
        first = desks.vault.revoke_principal(desks.admin.caller, "crm", "")
        assert desks.vault.revoke_principal(desks.admin.caller, "crm", "") == first
    with deployment.opened() as desks:
        with pytest.raises(SuspendedError):
            desks.crm.read([])
        with pytest.raises((InvalidRequestError, PrincipalExistsError)):
            desks.vault.create_principal(desks.admin.caller, "crm", "", 0, "")


def test_nobody_locks_the_vault_by_revoking_itself(desks):
    with pytest.raises(InvalidRequestError):
        desks.vault.revoke_principal(desks.admin.caller, "admin", "")
    with pytest.raises(PrincipalUnknownError):
        desks.vault.revoke_principal(desks.admin.caller, "stranger", "")


def test_a_new_principal_may_do_nothing_until_the_policy_says_so(desks, token):
    with pytest.raises(UnauthenticatedError):
        desks.of("sales").read([token])
    desks.vault.create_principal(desks.admin.caller, "sales", "", 0, new_id())
    assert desks.of("sales").denied([token]) == [Reason.TOKEN_UNKNOWN]
    apply(
        desks,
        POLICY
        + '\n[principals.sales]\ndomains = ["crm"]\n[principals.sales.reveal.support]\n"*" = "PLAIN"\n',
    )
    assert desks.of("sales").plain(token) == "Jane Doe"
    listed = desks.vault.list_principals(desks.admin.caller, 100, "").items
    assert "sales" in [each.name for each in listed]


@pytest.mark.parametrize("table", ["names", "principals", "policies"])
def test_a_table_that_shows_an_older_state_grants_nothing(deployment, table):
    """As if a flipped bit in a root page's number had led LMDB to the pages of an earlier commit."""
    with deployment.opened() as desks:
        tokens = desks.crm.tokens("crm-1", {"name": "Jane Doe"})
        with desks.vault.engine.store.snapshot() as snapshot:
            older = dict(snapshot.rows(table))
        document = desks.vault.get_policy(desks.admin.caller).document + "\n# once more\n"
        desks.vault.apply_policy(desks.admin.caller, document, validate_only=False, request_id="")
        assert desks.crm.read(tokens).values == ["Jane Doe"]
    with tampering(deployment) as session:
        for key, _ in list(session.rows(table)):
            session.delete_row(table, key)
        for key, row in older.items():
            session.put_row(table, key, row)
    with pytest.raises(IntegrityFailedError), deployment.opened() as desks:
        desks.crm.read(tokens)
