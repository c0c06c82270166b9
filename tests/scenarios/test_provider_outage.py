"""The key provider is down: a running vault reads on, a start fails closed and says why, nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.support.deployment import SMALL, Deployment, open_vault
from tests.scenarios.support.policies import ADMIN, POLICY, PRINCIPALS
from tests.unit.keys import transit_server
from vault.config import load_settings
from vault.core.founding import found
from vault.errors import KeyUnavailableError
from vault.keys.unlock import unlock

EMAIL = "ada@example.org"


def found_on_transit(directory: Path, url: str, token: str) -> Deployment:
    """A vault whose root key is in a transit engine."""
    data_dir = directory / "data"
    data_dir.mkdir()
    (directory / "token").write_text(token)
    (data_dir / "vault.toml").write_text(
        f'[keys]\nprovider = "transit"\n[keys.transit]\nurl = "{url}"\ntoken_file = "{directory / "token"}"\n'
        + SMALL
    )
    settings = load_settings(data_dir)
    founded = found(data_dir, settings, None, admin=ADMIN, policy=POLICY, principals=PRINCIPALS)
    return Deployment(data_dir, founded)


def test_an_outage_stops_starts_and_nothing_else(tmp_path: Path) -> None:
    with transit_server.running() as server:
        deployment = found_on_transit(tmp_path, server.url, server.token)
        port, keys = server.http.server_port, server.keys
        with open_vault(deployment.data_dir, "warm", unlocking=True) as desks:
            (token,) = desks.crm.tokens("customer-1", {"email": EMAIL})
            server.http.shutdown()
            server.http.server_close()
            assert desks.crm.plain(token) == EMAIL
            desks.crm.tokens("customer-2", {"email": EMAIL})
    before = (deployment.data_dir / "keyring" / "1" / "EDK").read_bytes()
    serve = subprocess.run(
        [Path(sys.executable).parent / "cvault", "serve", "--data", deployment.data_dir],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert serve.returncode == 4
    assert "transit engine transit of 127.0.0.1 cannot be reached" in serve.stderr
    with pytest.raises(KeyUnavailableError, match="cannot be reached"):
        unlock(deployment.data_dir, deployment.settings, None)
    assert (deployment.data_dir / "keyring" / "1" / "EDK").read_bytes() == before
    with transit_server.running(port) as server:
        server.keys = keys
        with open_vault(deployment.data_dir, "cold", unlocking=True) as desks:
            assert desks.crm.plain(token) == EMAIL


def test_a_sealed_service_or_a_disabled_key_is_told_apart(tmp_path: Path) -> None:
    with transit_server.running() as server:
        deployment = found_on_transit(tmp_path, server.url, server.token)
        server.sealed = True
        with pytest.raises(KeyUnavailableError, match="is sealed"):
            unlock(deployment.data_dir, deployment.settings, None)
        server.sealed = False
        (key,) = server.keys.values()
        key.least["min_encryption_version"] = 2
        with pytest.raises(KeyUnavailableError, match="is disabled"):
            unlock(deployment.data_dir, deployment.settings, None)
        server.token = "s.other"
        with pytest.raises(KeyUnavailableError, match="denies this token"):
            unlock(deployment.data_dir, deployment.settings, None)
