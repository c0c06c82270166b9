"""Generations of the token key: tokens of both open the same values, until the old one is withdrawn."""

from pathlib import Path

import pytest

from tests.scenarios.support.deployment import Deployment, Desks, by_token
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.server import serving
from tests.scenarios.test_epoch_rotation import findings
from tests.scenarios.test_epoch_rotation_served import Traffic, tokens_of
from vault.cli.main import main
from vault.core.tokenkeys import rotate_token_key, withdraw_token_key
from vault.core.trail import OPERATOR, Trail
from vault.errors import InvalidRequestError, KeyUnavailableError, Reason, TokenUnknownError
from vault.model.requests import AccessQuery, Outcome

JANE = {"name": "Jane Doe", "email": "jane@example.com"}


def rotate(desks: Desks) -> int:
    return rotate_token_key(desks.vault.engine, Trail(desks.vault.engine.audit))


def withdraw(desks: Desks, generation: int) -> None:
    withdraw_token_key(desks.vault.engine, Trail(desks.vault.engine.audit), generation)


def test_tokens_of_both_generations_open_the_same_values(desks: Desks) -> None:
    old = desks.crm.tokens("crm-1", JANE)
    assert rotate(desks) == 2
    again = desks.crm.store("crm-1", JANE)
    new = [each.token for each in again.results]
    assert {each.outcome for each in again.results} == {Outcome.UNCHANGED}
    assert [token[:4] for token in (*old, *new)] == ["cv1_"] * 2 + ["cv2_"] * 2
    for tokens in (old, new, [old[0], new[1]]):
        assert desks.crm.read(tokens).values == list(JANE.values())
    assert desks.crm.update(old[0], "Jane Roe") is Outcome.UPDATED
    assert desks.crm.plain(new[0]) == "Jane Roe"
    assert desks.vault.keyring_status(desks.admin.caller).token_key_generation == 2


def test_a_withdrawn_generation_is_unknown_everywhere_and_the_others_go_on(desks: Desks) -> None:
    old = desks.crm.tokens("crm-1", JANE)
    rotate(desks)
    new = desks.crm.tokens("crm-1", JANE)
    withdraw(desks, 1)
    assert desks.crm.denied(old) == [Reason.TOKEN_UNKNOWN] * 2
    with pytest.raises(TokenUnknownError):
        desks.crm.customer(by_token(old[0]))
    assert desks.crm.read(new).values == list(JANE.values())
    assert rotate(desks) == 3


@pytest.mark.parametrize(
    ("generation", "complaint"), [(2, "current one"), (1, "no generation 1"), (9, "no gen")]
)
def test_what_cannot_be_withdrawn(desks: Desks, generation: int, complaint: str) -> None:
    rotate(desks)
    if generation == 1:
        withdraw(desks, 1)
    with pytest.raises(InvalidRequestError, match=complaint):
        withdraw(desks, generation)


def test_generations_outlive_a_restart_and_a_new_epoch(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        old = desks.crm.tokens("crm-1", JANE)
        rotate(desks)
        new = desks.crm.tokens("crm-1", JANE)
        rotation(desks.vault).rotate()
        assert rotate(desks) == 3
        assert desks.crm.tokens("crm-1", JANE)[0].startswith("cv3_")
    with deployment.opened() as desks:
        for tokens in (old, new):
            assert desks.crm.read(tokens).values == list(JANE.values())
    assert findings(deployment) == []


def test_nothing_changes_while_an_epoch_is_made(desks: Desks) -> None:
    refused = []

    def at(step: str) -> None:
        if step in ("intent", "copied", "followed"):
            with pytest.raises(KeyUnavailableError, match="a new epoch is being made"):
                rotate(desks)
            refused.append(step)

    rotation(desks.vault, at).rotate()
    assert refused == ["intent", "copied", "followed"]
    assert rotate(desks) == 2


def test_it_is_recorded(desks: Desks) -> None:
    rotate(desks)
    withdraw(desks, 1)
    seen = desks.vault.list_access(desks.privacy.caller, AccessQuery()).items
    assert [(each.principal, each.action) for each in seen[:2]] == [
        (OPERATOR, "WithdrawTokenKey"),
        (OPERATOR, "RotateTokenKey"),
    ]


def test_no_call_fails_while_every_process_learns_of_a_generation(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["keys", "rotate-token-key", "--data", str(deployment.data_dir)]
    with serving(deployment, tmp_path) as server:
        clients = [server.connect("crm", purpose="support") for _ in range(6)]
        old = tokens_of(clients[0].tokenize("crm-1", JANE))
        with Traffic(server) as traffic:
            for generation in (2, 3, 4):
                assert main(command) == 0
                assert f"new tokens are of generation {generation}" in capsys.readouterr().out
                for number, client in enumerate(clients):
                    tokens = tokens_of(client.tokenize(f"{generation}-{number}", JANE))
                    assert tokens[0].startswith(f"cv{generation}_")
                    for other in clients:
                        assert other.detokenize([*tokens, *old]).plain_list() == 2 * list(JANE.values())
        assert traffic.failures == []
        assert main([*command, "--withdraw", "1"]) == 0
        for client in clients:
            denied = [each.error.reason for each in client.detokenize(old)]
            assert denied == ["TOKEN_UNKNOWN"] * 2
            client.close()
