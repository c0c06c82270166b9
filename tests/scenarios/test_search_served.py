"""Search over real connections: the client and the command line find the same, on every worker."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from customervault import AsyncVault, errors
from customervault.v1 import search_service_pb2 as api

from tests.scenarios.support.deployment import SMALL, found_vault, new_id, open_vault
from tests.scenarios.support.server import Server, call, serving
from tests.scenarios.test_search import FIELDS, SEARCHING

SETTINGS = f'{SMALL}[server]\nworkers = 2\nmetrics_listen = "127.0.0.1:0"\n'
PHONE = "+493012345678"
Cvault = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vault whose customers were there before anything was searchable."""
    deployment = found_vault(tmp_path_factory.mktemp("founded"), settings=SETTINGS, policy=SEARCHING)
    with open_vault(deployment.data_dir, "before") as desks:
        for n in range(100):
            desks.crm.store(f"old-{n}", {"phone": f"+4930123450{n:02}", "email": f"old-{n // 2}@example.org"})
    with (deployment.data_dir / "vault.toml").open("a") as settings:
        settings.write(FIELDS)
    with serving(deployment, tmp_path_factory.mktemp("served")) as server:
        yield server


def built(server: Server) -> None:
    """Waits for the keeper."""
    with server.connect("crm") as crm:
        give_up = time.monotonic() + 60
        while not all(each.ready for each in crm.search_status()):
            assert time.monotonic() < give_up
            time.sleep(0.05)


@pytest.fixture
def cvault(server: Server) -> Cvault:
    def run(*arguments: str, principal: str = "crm") -> "subprocess.CompletedProcess[str]":
        certificate, key = server.certificate(principal)
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


def test_the_keeper_builds_what_was_declared_later(server: Server) -> None:
    built(server)
    with server.connect("crm", purpose="support") as crm:
        assert [len(list(crm.find({"phone": f"+4930123450{n:02}"}))) for n in range(100)] == [1] * 100
        assert len(list(crm.list_duplicates("email", page_size=7))) == 50


def test_what_one_connection_stores_every_connection_finds(server: Server, cvault: Cvault) -> None:
    built(server)
    with server.connect("crm", purpose="support", channels=4) as crm:
        stored = crm.tokenize("jane", {"phone": PHONE, "name": "Jane Doe", "birth_date": "1990-01-02"})
        for text, region in ((PHONE, ""), ("030 12345678", "DE"), ("+٤٩ ٣٠ ١٢٣٤٥٦٧٨", "")):
            (found,) = crm.find({"phone": text}, region=region)
            assert found.customer_token == stored.customer_token
            assert found.tokens == {"phone": stored.token("phone")}
        (found,) = crm.find({"name": "JANE DOE", "birth_date": "1990-01-02"})
        assert found.tokens.keys() == {"name", "birth_date"}

        async def asynchronously() -> list[str]:
            certificate, key = server.certificate("crm")
            ca = server.deployment.data_dir / "tls" / "ca.crt"
            async with AsyncVault(
                server.address, ca=str(ca), certificate=str(certificate), key=str(key), purpose="support"
            ) as vault:
                assert all(each.ready for each in await vault.search_status())
                assert [group async for group in vault.list_duplicates("phone")] == []
                return [each.customer_token async for each in vault.find({"phone": PHONE})]

        assert asyncio.run(asynchronously()) == [stored.customer_token]
        ran = cvault(
            "find", "--class", "phone", "030/12345678", "--region", "DE", "--purpose", "support", "--json"
        )
        assert json.loads(ran.stdout) == {
            "customer": stored.customer_token,
            "values": {"phone": stored.token("phone")},
        }
        crm.update(stored.token("phone"), "+493012345679", request_id=new_id())
        assert list(crm.find({"phone": PHONE})) == []
        with server.connect("eraser") as eraser:
            eraser.shred(external_id="jane")
        assert list(crm.find({"phone": "+493012345679"})) == []
    assert cvault("find", "--class", "phone", PHONE, "--purpose", "support").returncode == 1
    assert cvault("find", "--status").stdout.count("ready") == 3


def test_refusals_are_typed_and_repeat_no_value(server: Server) -> None:
    built(server)
    with server.connect("partner", purpose="support") as partner, pytest.raises(errors.ActionDeniedError):
        list(partner.find({"phone": PHONE}))
    with server.connect("crm", purpose="support") as crm:
        with pytest.raises(errors.PurposeDeniedError):
            list(crm.find({"phone": PHONE}, purpose="marketing"))
        for values in ({"phone": "0301234"}, {"name": "Jane"}, {"phone": ""}):
            with pytest.raises(errors.InvalidRequestError) as refused:
                list(crm.find(values))
            assert "0301234" not in str(refused.value)
    with server.channel("crm") as channel:
        wrong = api.FindRequest(
            terms=[api.SearchTerm(field_class="phone", value=PHONE)], purpose="support", page_size=-1
        )
        answer = call(channel, "SearchService/Find", wrong)
        assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert "12345678" not in server.log()
