import socket

import pytest

from vault.config import ServerSettings
from vault.errors import InvalidRequestError, KeyUnavailableError
from vault.server import address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8443", "127.0.0.1", 8443), ("[::1]:0", "::1", 0), ("vault.example:1", "vault.example", 1)],
)
def test_addresses_are_read_and_spelt(text: str, host: str, port: int) -> None:
    assert address.parse(text) == (host, port)
    assert address.spell(host, port) == text


@pytest.mark.parametrize(
    "text", ["", "8443", ":8443", "host:", "host:http", "host:65536", "host:-1", "host:²"]
)
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        address.parse(text)


def test_loopback_is_recognised() -> None:
    assert all(map(address.is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(address.is_loopback, ("0.0.0.0", "::", "192.0.2.1", "vault.example")))  # noqa: S104


@pytest.mark.parametrize("setting", ["listen", "metrics_listen"])
def test_development_stays_on_loopback(setting: str) -> None:
    address.check_loopback(ServerSettings())
    with pytest.raises(InvalidRequestError, match=setting):
        address.check_loopback(ServerSettings(**{setting: "0.0.0.0:1"}))  # type: ignore[arg-type]


def test_workers_share_the_reserved_port() -> None:
    reserved, text = address.reserve("127.0.0.1:0")
    with reserved, _worker(text), _worker(text):
        pass


def test_a_port_is_not_shared_with_another_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "BIND_SECONDS", 0.2)
    reserved, text = address.reserve("127.0.0.1:0")
    with reserved, _worker(text), pytest.raises(KeyUnavailableError, match="cannot listen"):
        address.reserve(text)
    again, _ = address.reserve(text)
    again.close()


def test_foreign_addresses_cannot_be_listened_on() -> None:
    with pytest.raises(KeyUnavailableError):
        address.listen("192.0.2.1:0")


def _worker(text: str) -> socket.socket:
    worker = socket.socket()
    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    worker.bind(address.parse(text))
    worker.listen()
    return worker
