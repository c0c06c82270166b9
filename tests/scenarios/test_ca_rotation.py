"""The vault's own CA changes while it serves: both CAs first, then the new one alone; nothing restarts."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from customervault import Vault
from customervault.errors import UnauthenticatedError, VaultError

from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.server import Server, call, serving
from tests.scenarios.test_epoch_rotation import findings
from tests.scenarios.test_epoch_rotation_served import JANE
from vault.cli.main import main
from vault.core.authority import begin_ca_change, ca_certificates, end_ca_change
from vault.core.trail import Trail
from vault.crypto.certificates import Issuers, create_request
from vault.errors import InvalidRequestError
from vault.server.anchors import LOOK_SECONDS

pytestmark = pytest.mark.slow

METHOD = "TokenService/InspectToken"


@pytest.fixture
def server(deployment: Deployment, tmp_path: Path) -> Iterator[Server]:
    with serving(deployment, tmp_path) as server:
        yield server


class Client:
    """A principal's files, as an operator keeps them."""

    def __init__(self, server: Server, directory: Path, principal: str) -> None:
        self._server = server
        self._directory = directory
        self.principal = principal
        certificate, key = server.certificate(principal)
        self.take(key.read_bytes(), certificate.read_bytes(), server.ca)

    def take(self, key: bytes, certificate: bytes, ca: bytes) -> None:
        for name, content in (("key", key), ("crt", certificate), ("ca", ca)):
            (self._directory / f"{self.principal}.{name}").write_bytes(content)

    def renew(self, admin: Vault) -> None:
        """A new key and certificate, and `tls/ca.crt` as it is now."""
        request = create_request(self.principal)
        made = admin.create_principal(self.principal, request.csr_pem.decode())
        self.take(request.key_pem, made.certificate_pem.encode(), made.ca_pem.encode())

    def connect(self) -> Vault:
        at = self._directory / self.principal
        return Vault(
            self._server.address,
            ca=at.with_suffix(".ca"),
            certificate=at.with_suffix(".crt"),
            key=at.with_suffix(".key"),
            purpose="support",
        )

    def channel(self) -> grpc.Channel:
        at = self._directory / self.principal
        key, certificate, ca = (at.with_suffix(f".{end}").read_bytes() for end in ("key", "crt", "ca"))
        return self._server.channel_with(certificate, key, ca)


def rotate(server: Server, *options: str) -> None:
    command = ["keys", "rotate-ca", "--data", str(server.deployment.data_dir), "--json", *options]
    assert main(command) == 0


def workers(server: Server) -> set[int]:
    """The processes that serve, as the supervisor says now."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {int(pid) for pid in children}


def works(channel: grpc.Channel) -> bool:
    """Whether a call gets through to the vault, which does not know the token."""
    return call(channel, METHOD, b"").code is grpc.StatusCode.INVALID_ARGUMENT


def test_old_clients_work_then_both_then_only_new_ones(server: Server, tmp_path: Path) -> None:
    before = workers(server)
    old, new, admin_files = (Client(server, tmp_path, name) for name in ("eraser", "crm", "admin"))
    with admin_files.connect() as admin, old.channel() as open_connection, old.channel() as another:
        assert works(open_connection)
        rotate(server)
        assert works(open_connection)
        new.renew(admin)
        admin_files.renew(admin)
        with old.connect() as stale, new.connect() as fresh, admin_files.connect() as renewed:
            fresh.tokenize("crm-1", JANE)
            stale.shred(external_id="crm-1")
            assert works(another)
            with Renewed(new) as traffic:
                rotate(server, "--finish")
                time.sleep(2 * LOOK_SECONDS)
                for channel in (open_connection, another):
                    refused = call(channel, METHOD, b"")
                    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
                    assert refused.reason == "UNAUTHENTICATED"
                with pytest.raises(UnauthenticatedError):
                    stale.shred(external_id="crm-2")
                with pytest.raises(UnauthenticatedError):
                    list(admin.list_principals())
                with old.connect() as next_connection, pytest.raises(VaultError):
                    next_connection.shred(external_id="crm-2")
                trusting = server.channel_with(*(each.read_bytes() for each in server.certificate("eraser")))
                assert not works(trusting)  # it believes the server, and is not let in
                with new.connect() as next_one:
                    next_one.tokenize("crm-3", JANE)
            assert traffic.failures == []
            assert traffic.calls >= 10
            assert {each.name for each in renewed.list_principals()} >= {"crm", "eraser"}
    assert workers(server) == before
    assert len(before) >= 3


class Renewed:
    """Calls of a client with a certificate of the new CA, over one connection and over new ones."""

    def __init__(self, client: Client) -> None:
        self.failures: list[str] = []
        self.calls = 0
        self._client = client
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Renewed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        with self._client.connect() as kept:
            while not self._done.is_set() or self.calls < 10:
                try:
                    with self._client.connect() as made:
                        for vault in (kept, made):
                            vault.tokenize(f"busy-{self.calls}", JANE)
                except VaultError as error:
                    self.failures.append(f"{type(error).__name__}: {error}")
                self.calls += 1


def test_the_steps_come_one_after_the_other(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        engine = desks.vault.engine
        trail = Trail(engine.audit)
        first = ca_certificates(engine)
        with pytest.raises(InvalidRequestError):
            end_ca_change(engine, deployment.settings, trail)
        begin_ca_change(engine, trail)
        with pytest.raises(InvalidRequestError):
            begin_ca_change(engine, trail)
        both = ca_certificates(engine)
        assert both.endswith(first)
        rotation(desks.vault).rotate()  # a new epoch takes them along
    with deployment.opened() as desks:
        engine = desks.vault.engine
        assert ca_certificates(engine) == both == (deployment.data_dir / "tls" / "ca.crt").read_bytes()
        trail = Trail(engine.audit)
        for _ in range(2):
            end_ca_change(engine, deployment.settings, trail)
        assert both == ca_certificates(engine) + first
        assert engine.secrets.former_ca_key_pem == b""
        begin_ca_change(engine, trail)  # and so on
    assert findings(deployment) == []


def test_what_a_crash_kept_back_is_written_by_the_keeper(deployment: Deployment, tmp_path: Path) -> None:
    path = deployment.data_dir / "tls" / "ca.crt"
    before = path.read_bytes()
    with serving(deployment, tmp_path):
        pass  # it has a certificate for the server now
    with deployment.opened() as desks:
        trail = Trail(desks.vault.engine.audit)
        begin_ca_change(desks.vault.engine, trail)
        end_ca_change(desks.vault.engine, deployment.settings, trail)
        after = path.read_bytes()
    server_certificate = deployment.data_dir / "tls" / "server.crt"
    path.write_bytes(before)
    server_certificate.unlink()
    with serving(deployment, tmp_path):
        assert path.read_bytes() == after
        assert Issuers(after).vouch_for(server_certificate.read_bytes())
