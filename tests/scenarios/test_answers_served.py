"""Pseudonyms, comparisons and derived answers by both clients and the command line, of a running vault."""

import asyncio
import json
from pathlib import Path

import pytest
from customervault import AsyncVault, errors
from customervault.inputs import Question

from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.server import Server, serving
from tests.scenarios.test_answers import ADA, OWN_POLICY, SAME
from vault.cli.main import main

DENIED = 3


def environment(server: Server, principal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = server.certificate(principal)
    ca = server.deployment.data_dir / "tls" / "ca.crt"
    settings = {"ADDRESS": server.address, "CA": ca, "CERTIFICATE": certificate, "KEY": key}
    for name, value in settings.items():
        monkeypatch.setenv(f"CVAULT_{name}", str(value))


def test_both_clients_and_the_command_line(
    deployment: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(deployment, tmp_path) as server:
        with server.connect("admin") as admin:
            admin.apply_policy(OWN_POLICY)
            told = admin.explain("support", "email", principal="nobody", reveal="pseudonym")
            assert (told.reveal, told.reason) == ("pseudonym", "")
            assert admin.explain("support", "email", principal="nobody").reason == "PURPOSE_DENIED"
        with server.connect("crm") as crm:
            ones = [each.token for each in crm.tokenize("c-1", ADA).results]
            others = [each.token for each in crm.tokenize("c-2", SAME, jurisdiction="DE").results]
            refused = crm.pseudonymize(ones[:1], purpose="support")[0]
            assert isinstance(refused.error, errors.VaultError)
            assert refused.error.reason == "REVEAL_DENIED"
        born = Question(ones[3], "age_over", age=18)
        with server.connect("nobody", purpose="support", max_batch=2, channels=3) as analyst:
            made = analyst.pseudonymize([ones[0], ones[1], others[0], others[1], ones[2]])
            assert [each.get() for each in made[:2]] == [each.get() for each in made[2:4]]
            with pytest.raises(errors.VaultError) as caught:
                made[4].get()
            assert caught.value.reason == "PURPOSE_DENIED"
            compared = analyst.compare([(ones[0], others[0]), (ones[2], others[2]), (ones[0], ones[2])])
            assert [each.get() for each in compared[:2]] == [True, True]
            assert isinstance(compared[2].error, errors.QuestionUnfitError)
            answers = analyst.derive([born, Question(ones[2], "country"), born], time_zone="Europe/Berlin")
            assert [each.get() for each in answers] == [True, "DE", True]
            with pytest.raises(errors.InvalidRequestError):
                analyst.derive([Question(ones[2], "country")], time_zone="Mars/Olympus")
            with pytest.raises(errors.InvalidRequestError):
                analyst.derive([Question(ones[2], "shoe_size")])  # type: ignore[arg-type]
        asyncio.run(_asynchronously(server, ones, [each.get() for each in made[:2]]))
        environment(server, "nobody", monkeypatch)
        capsys.readouterr()
        _by_command(ones, others, made[0].get(), capsys)
        _rotation_by_command(deployment, ones[0], made[0].get(), capsys)


async def _asynchronously(server: Server, ones: list[str], expected: list[str]) -> None:
    certificate, key = server.certificate("nobody")
    ca = server.deployment.data_dir / "tls" / "ca.crt"
    async with AsyncVault(
        server.address, ca=ca, certificate=certificate, key=key, purpose="support"
    ) as analyst:
        made = await analyst.pseudonymize(ones[:2])
        assert [each.get() for each in made] == expected
        assert [each.get() for each in await analyst.compare([(ones[0], ones[0])])] == [True]
        (answer,) = await analyst.derive([Question(ones[2], "country")])
        assert answer.get() == "DE"


def _by_command(
    ones: list[str], others: list[str], pseudonym: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = ["--purpose", "support"]
    assert main(["pseudonymize", ones[0], ones[2], *why]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["token,pseudonym", f"{ones[0]},{pseudonym}", f"{ones[2]},"]
    assert "token 2: " in shown.err and "[PURPOSE_DENIED]" in shown.err  # noqa: PT018
    assert main(["pseudonymize", ones[0], *why, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "token": ones[0], "pseudonym": pseudonym, "generation": 1,
    }  # fmt: skip
    assert main(["compare", ones[0], others[0], *why]) == 0
    assert capsys.readouterr().out == "equal\n"
    assert main(["compare", ones[1], others[1], *why]) == DENIED
    assert main(["derive", "country", ones[2], others[2], *why]) == 0
    assert capsys.readouterr().out == "DE\nDE\n"
    assert main(["derive", "age-over", ones[3], "--age", "18", *why, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"token": ones[3], "answer": True}
    for wrong in (["age-over"], ["country", "--age", "3"], ["postcode-area"], ["shoe-size"]):
        assert main(["derive", wrong[0], ones[3], *wrong[1:], *why]) == 2
    assert main(["pseudonymize", ones[0]]) == 2
    capsys.readouterr()


def _rotation_by_command(
    deployment: Deployment, token: str, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["keys", "rotate-pseudonym-key", "--domain", "crm", "--data", str(deployment.data_dir)]
    pseudonymize = ["pseudonymize", token, "--purpose", "support", "--json"]
    assert main([*command, "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["available"] == [{"generation": 1, "prefix": before[:13]}]
    assert main(command) == 0
    assert "are of generation 2" in capsys.readouterr().out
    assert main(pseudonymize) == 0  # by a process that has not been told
    after = json.loads(capsys.readouterr().out)
    assert after["generation"] == 2
    assert after["pseudonym"][:13] != before[:13]
    assert main([*pseudonymize, "--generation", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["pseudonym"] == before
    assert main([*command, "--withdraw", "1"]) == 0
    capsys.readouterr()
    assert main([*pseudonymize, "--generation", "1"]) != 0
    assert main([*command[:3], "nowhere", *command[4:]]) != 0
    capsys.readouterr()
