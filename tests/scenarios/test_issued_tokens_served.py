"""Issued tokens over real connections: one use on two workers, a killed worker, clients and command line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from customervault import AsyncVault, Vault, errors
from customervault.v1 import token_service_pb2 as api

from tests.scenarios.support.deployment import Deployment, copy_vault
from tests.scenarios.support.server import Server, call, serving

ANN = {"name": "Ann Lee", "email": "ann@lee.org"}
THREADS = 8
TOKENS = 30


@pytest.fixture(scope="module")
def server(template: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("served")
    with serving(copy_vault(template, directory), directory) as server:
        yield server


@pytest.fixture
def cvault(server: Server) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command line, as crm."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        certificate, key = server.certificate("crm")
        environment = {
            "CVAULT_ADDRESS": server.address,
            "CVAULT_CA": str(server.deployment.data_dir / "tls" / "ca.crt"),
            "CVAULT_CERTIFICATE": str(certificate),
            "CVAULT_KEY": str(key),
        }
        command = [str(Path(sys.executable).parent / "cvault"), *arguments]
        return subprocess.run(
            command, env=os.environ | environment, check=False, capture_output=True, text=True, timeout=60
        )

    return run


def revealed(vault: Vault, token: str) -> tuple[str, str]:
    """The value, or the reason why there is none."""
    value = vault.detokenize(token, purpose="support")[0]
    return ("", value.error.reason) if value.error is not None else (value.get(), "")


def race(server: Server, tokens: list[str], meanwhile: Callable[[], None] = lambda: None) -> list[list[str]]:
    """What each token revealed, to many threads that read all of them, on connections of their own."""
    found: list[list[str]] = [[] for _ in tokens]
    start = threading.Barrier(THREADS + 1)

    def read() -> None:
        options = {"max_attempts": 1, "coalesce": False, "purpose": "support"}
        with server.connect("crm", channels=2, **options) as vault:
            start.wait()
            for at, token in enumerate(tokens):
                try:
                    value, reason = revealed(vault, token)
                except errors.VaultError:
                    continue  # its worker was killed; who knows what became of the use
                assert value or reason == "TOKEN_USED", reason
                if value:
                    found[at].append(value)

    with ThreadPoolExecutor(THREADS) as threads:
        running = [threads.submit(read) for _ in range(THREADS)]
        start.wait()
        meanwhile()
        for each in running:
            each.result()
    return found


def issue_many(server: Server, external_id: str) -> list[str]:
    with server.connect("crm") as vault:
        email = vault.tokenize(external_id, ANN).token("email")
        return [vault.issue_token(email, single_use=True).token for _ in range(TOKENS)]


def test_of_many_readers_on_two_workers_one_has_the_value(server: Server) -> None:
    tokens = issue_many(server, "raced")
    assert len(server.workers) == 2
    assert race(server, tokens) == [[ANN["email"]]] * TOKENS
    with server.connect("crm") as vault:
        assert {each.state for each in vault.list_tokens(external_id="raced")} == {"used"}


def test_a_killed_worker_reveals_nothing_twice(template: Deployment, tmp_path: Path) -> None:
    with serving(copy_vault(template, tmp_path), tmp_path) as server:
        tokens = issue_many(server, "killed")

        def kill() -> None:
            time.sleep(0.05)
            os.kill(server.workers[0], signal.SIGKILL)

        found = race(server, tokens, kill)
        assert all(len(each) <= 1 for each in found), found
        with server.connect("crm") as vault:
            again = [revealed(vault, token) for token in tokens]
        for first, (value, reason) in zip(found, again, strict=True):
            assert len(first) + bool(value) <= 1
            assert value or reason == "TOKEN_USED"


def test_the_client_issues_shows_lists_and_revokes(server: Server) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    with server.connect("crm") as vault:
        email = vault.tokenize("ann", ANN).token("email")
        made = vault.issue_token(
            email, expires=ends, single_use=True, principal="agent", tags={"campaign": "spring"}
        )
        assert (made.state, made.expires, made.single_use, made.principal) == ("live", ends, True, "agent")
        assert made.tags == {"campaign": "spring"}
        assert vault.get_token(made.token) == made
        assert list(vault.list_tokens(tags={"campaign": "spring"}, page_size=1)) == [made]
        assert list(vault.list_tokens(external_id="ann")) == [made]
        assert revealed(vault, made.token) == ("", "TOKEN_UNKNOWN")
        with pytest.raises(errors.TagRefusedError):
            vault.issue_token(email, tags={"who": ANN["email"]})
        with pytest.raises(ValueError, match="time zone"):
            vault.issue_token(email, expires=datetime(2030, 1, 1))
        vault.revoke_token(made.token)
        with pytest.raises(errors.TokenRevokedError):
            vault.revoke_token(made.token)
        assert vault.get_token(made.token).state == "revoked"
        used = vault.issue_token(email, single_use=True).token
        assert revealed(vault, used) == (ANN["email"], "")
        with pytest.raises(errors.TokenUsedError):
            vault.detokenize(used, purpose="support")[0].get()
    with server.connect("nobody") as nobody, pytest.raises(errors.DeniedError):
        nobody.issue_token(email, single_use=True)


def test_the_asyncio_client_does_the_same(server: Server) -> None:
    async def session() -> None:
        certificate, key = server.certificate("crm")
        ca = server.deployment.data_dir / "tls" / "ca.crt"
        async with AsyncVault(server.address, ca=ca, certificate=certificate, key=key) as vault:
            email = (await vault.tokenize("ada", ANN)).token("email")
            made = await vault.issue_token(email, tags={"team": "billing"})
            assert [each async for each in vault.list_tokens(tags={"team": "billing"})] == [made]
            await vault.revoke_token(made.token)
            assert (await vault.get_token(made.token)).state == "revoked"

    asyncio.run(session())


def test_the_command_line(server: Server, cvault: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    with server.connect("crm") as vault:
        email = vault.tokenize("cli", ANN).token("email")
    made = cvault(
        "tokens", "issue", email, "--single-use", "--expires", "2099-01-31", "--tag", "team=x", "--json"
    )
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    token = document["token"]
    assert (document["state"], document["single_use"], document["tags"]) == ("live", True, {"team": "x"})
    assert document["expires"].startswith("2099-01-31T00:00:00")
    shown = cvault("tokens", "show", token)
    assert "team=x" in shown.stdout
    assert ANN["email"] not in shown.stdout
    for arguments in (("cli",), ("--tag", "team=x")):
        listing = cvault("tokens", "list", *arguments)
        assert token in listing.stdout
        assert "1 token" in listing.stdout
    assert cvault("tokens", "revoke", token).stdout == "revoked\n"
    assert cvault("tokens", "revoke", token).returncode == 1
    assert cvault("tokens", "list").returncode == 2
    assert cvault("tokens", "issue", email, "--tag", "nothing").returncode == 2
    assert cvault("tokens", "issue", email, "--tag", "a=1", "--tag", "a=2").returncode == 2


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"max_uses": 2}, "INVALID_REQUEST"),
        ({"max_uses": 2**32 - 1}, "INVALID_REQUEST"),
        ({}, "INVALID_REQUEST"),
        ({"max_uses": 1, "token": "cv1_" + "0" * 32}, "TOKEN_UNKNOWN"),
        ({"max_uses": 1, "token": "nothing"}, "TOKEN_MALFORMED"),
        ({"max_uses": 1, "request_id": "x"}, "INVALID_REQUEST"),
        ({"max_uses": 1, "domain": "elsewhere"}, "DOMAIN_DENIED"),
        ({"principal": "\0"}, "PRINCIPAL_UNKNOWN"),
        ({"tags": {"": ""}}, "TAG_REFUSED"),
        ({"tags": {"a": "\0"}}, "TAG_REFUSED"),
        ({"tags": {f"k{number}": "v" for number in range(9)}}, "TAG_REFUSED"),
        ({"tags": {"a": "x" * 1_000_000}}, "TAG_REFUSED"),
    ],
)
def test_hostile_orders_are_refused(server: Server, wanted: dict[str, object], reason: str) -> None:
    with server.connect("crm") as vault:
        email = vault.tokenize("hostile", ANN).token("email")
    request = api.IssueTokenRequest(**({"token": email} | wanted))  # type: ignore[arg-type]
    with server.channel() as channel:
        answer = call(channel, "TokenService/IssueToken", request)
    assert answer.reason == reason
    assert answer.code is not grpc.StatusCode.OK


def test_broken_times_and_pages_are_refused(server: Server) -> None:
    with server.connect("crm") as vault:
        email = vault.tokenize("broken", ANN).token("email")
    with server.channel() as channel:
        for seconds in (-1, 1, 2**62):
            request = api.IssueTokenRequest(token=email)
            request.expire_time.seconds = seconds
            assert call(channel, "TokenService/IssueToken", request).reason == "INVALID_REQUEST"
        listing = api.ListTokensRequest(tags={"a": "b"}, page_size=-1)
        assert call(channel, "TokenService/ListTokens", listing).reason == "INVALID_REQUEST"
        listing = api.ListTokensRequest(tags={"a": "b"}, page_token="zz")
        assert call(channel, "TokenService/ListTokens", listing).reason == "INVALID_REQUEST"
