import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from tests.scenarios.support.deployment import SMALL
from vault.config import load_settings
from vault.core import founding
from vault.core.authority import issue_server_certificate
from vault.core.founding import found
from vault.core.vault import Vault
from vault.crypto import certificates
from vault.errors import InvalidRequestError, KeyUnavailableError, PolicyInvalidError
from vault.keys.unlock import unlock
from vault.model.requests import Caller


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "key-file").write_bytes(bytes(64))
    data = tmp_path / "data"
    data.mkdir()
    (data / "vault.toml").write_text(f'[keys]\nkey_file = "{tmp_path / "key-file"}"\n{SMALL}')
    return data


def make(data_dir, **options):
    return found(data_dir, load_settings(data_dir), None, **({"admin": "alice"} | options))


def opened(data_dir) -> Vault:
    settings = load_settings(data_dir)
    return Vault.open(data_dir, settings, unlock(data_dir, settings, None), process_name="test")


def test_a_new_vault_opens_and_its_administrator_may_administer_and_read_nothing(data_dir):
    made = make(data_dir)
    vault = opened(data_dir)
    try:
        assert vault.get_policy(Caller("alice")).version == 1
        assert vault.keyring_status(Caller("alice")).vault_id == made.vault_id
        assert [each.name for each in vault.list_principals(Caller("alice"), 10, "").items] == ["alice"]
    finally:
        vault.close()


def test_certificates_are_of_the_vaults_own_authority_and_name_their_principals(data_dir, tmp_path):
    made = make(data_dir, out=tmp_path / "out", principals=("crm", "spiffe://example.com/sales"))
    assert made.admin_certificate.parent == tmp_path / "out"
    for name, file_name in (("crm", "crm"), ("spiffe://example.com/sales", "spiffe:__example.com_sales")):
        info = certificates.describe((tmp_path / "out" / f"{file_name}.crt").read_bytes())
        assert name in (info.common_name, *info.uris, *info.dns_names)


def test_nobody_else_may_look_into_it(data_dir):
    made = make(data_dir)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    for path in data_dir.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o077 or path.name == "vault.toml", (path.name, oct(mode))
    assert stat.S_IMODE(made.admin_key.stat().st_mode) == 0o600


def test_a_vault_is_never_founded_over_another(data_dir):
    make(data_dir)
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    with pytest.raises(InvalidRequestError, match="already"):
        make(data_dir)
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "error"),
    [({"policy": "version = 2"}, PolicyInvalidError), ({"admin": ""}, InvalidRequestError)],
)
def test_a_wrong_request_leaves_nothing_behind(data_dir, options, error):
    with pytest.raises(error):
        make(data_dir, **options)
    assert [path.name for path in data_dir.iterdir()] == ["vault.toml"]


def test_a_provider_that_fails_leaves_no_vault_and_the_next_try_succeeds(data_dir, tmp_path):
    (tmp_path / "key-file").write_bytes(b"short")
    with pytest.raises(KeyUnavailableError):
        make(data_dir)
    assert not (data_dir / "FORMAT").exists()
    (tmp_path / "key-file").write_bytes(bytes(64))
    make(data_dir)
    opened(data_dir).close()


@pytest.mark.parametrize("step", ["_write_public", "_issue"])
def test_a_crash_at_any_step_leaves_something_that_can_be_founded_again(data_dir, monkeypatch, step):
    class CrashError(Exception):
        pass

    def crash(*arguments: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(founding, step, crash)
        with pytest.raises(CrashError):
            make(data_dir)
    assert not (data_dir / "FORMAT").exists()
    make(data_dir)
    opened(data_dir).close()


def test_the_public_key_that_certificates_need_is_published(data_dir):
    make(data_dir)
    (entry,) = json.loads((data_dir / "public" / "keys.json").read_text())
    vault = opened(data_dir)
    try:
        assert entry["key_id"] == vault.engine.secrets.signing_key.key_id
    finally:
        vault.close()


def test_the_server_certificate_is_made_once_and_again_near_its_end(data_dir):
    make(data_dir)
    settings, path = load_settings(data_dir), data_dir / "tls" / "server.crt"
    vault = opened(data_dir)
    try:
        issue_server_certificate(vault.engine, settings)
        first = path.read_bytes()
        issue_server_certificate(vault.engine, settings)
        assert path.read_bytes() == first
        info = certificates.describe(first)
        assert "localhost" in info.dns_names
        issue_server_certificate(vault.engine, settings, lambda: datetime.now(UTC) + timedelta(days=61))
        assert path.read_bytes() != first
    finally:
        vault.close()
