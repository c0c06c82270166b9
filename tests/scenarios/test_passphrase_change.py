"""The secret of the root keys changes under a vault that serves."""

from pathlib import Path

import pytest
from customervault.errors import VaultError

from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.server import serving
from tests.scenarios.test_epoch_rotation_served import finished, tokens_of
from vault.cli.main import main

JANE = {"name": "Jane Doe", "email": "jane@example.com"}


def test_reads_go_on_and_no_epoch_is_sealed_under_the_old_secret(
    deployment: Deployment, tmp_path: Path
) -> None:
    data = deployment.data_dir
    (tmp_path / "new-key-file").write_bytes(bytes(range(64, 128)))
    before = (data / "vault.toml").read_text()
    change = ["keys", "passphrase", "--data", str(data), "--new-key-file", str(tmp_path / "new-key-file")]
    with (
        serving(deployment, tmp_path) as server,
        server.connect("admin") as admin,
        server.connect("crm", purpose="support") as crm,
    ):
        tokens = tokens_of(crm.tokenize("crm-1", JANE))
        assert main(change) == 0
        refused = finished(admin, admin.rotate_epoch())
        assert isinstance(refused.error, VaultError)
        assert "restart the vault" in str(refused.error)
        assert crm.detokenize(tokens).plain_list() == list(JANE.values())
        assert admin.keyring_status().epoch == 1
    (data / "vault.toml").write_text(_with_key_file(before, tmp_path / "new-key-file"))
    with serving(deployment, tmp_path) as server, server.connect("admin") as admin:
        assert finished(admin, admin.rotate_epoch()).error is None
        with server.connect("crm", purpose="support") as crm:
            assert crm.detokenize(tokens).plain_list() == list(JANE.values())
    (data / "vault.toml").write_text(before)
    with pytest.raises(AssertionError, match="does not open root key"), serving(deployment, tmp_path):
        pass


def _with_key_file(settings: str, path: Path) -> str:
    lines = [
        f'key_file = "{path}"' if line.startswith("key_file") else line for line in settings.splitlines()
    ]
    return "\n".join(lines) + "\n"
