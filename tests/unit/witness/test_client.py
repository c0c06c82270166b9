"""The vault's side: what it believes, and what it makes of a witness that is away or lies."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.unit.tlog.samples import LOG_KEY, ORIGIN, OTHER_SEED, Log, numbered
from tests.unit.witness.test_state import request_of
from vault.crypto import hazmat
from vault.errors import InvalidRequestError, WitnessUnavailableError
from vault.tlog import notes
from vault.tlog.notes import COSIGNATURE, VerifierKey
from vault.tlog.witness import CheckpointRefusedError, Refusal
from vault.witness.client import WitnessClient
from vault.witness.service import WitnessServer

OTHER_WITNESS = VerifierKey("example.org/w", COSIGNATURE, hazmat.public_key(OTHER_SEED))


def client_of(server: WitnessServer, key: VerifierKey | None = None) -> WitnessClient:
    return WitnessClient(f"http://127.0.0.1:{server.server_address[1]}", key or server.state.key)


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A listener that reads something and sends these bytes, one connection each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def test_a_cosignature_is_verified_and_given_back(server: WitnessServer) -> None:
    client = client_of(server)
    log = Log(numbered(9))
    for old, new in ((0, 4), (4, 9), (9, 9)):
        request = request_of(log, old, new)
        cosignature = client.add_checkpoint(request)
        assert notes.verify(request.note.with_signatures([cosignature]), [server.state.key])
    client.close()


def test_a_refusal_names_its_reason_and_the_size(server: WitnessServer) -> None:
    client = client_of(server)
    log = Log(numbered(9))
    client.add_checkpoint(request_of(log, 0, 6))
    with pytest.raises(CheckpointRefusedError) as caught:
        client.add_checkpoint(request_of(log, 2, 9))
    assert (caught.value.refusal, caught.value.size) == (Refusal.CONFLICT, 6)
    with pytest.raises(CheckpointRefusedError) as caught:
        client.add_checkpoint(request_of(Log(numbered(9, 100)), 6, 9))
    assert caught.value.refusal is Refusal.INCONSISTENT
    client.close()


def test_another_key_than_the_configured_one_counts_for_nothing(server: WitnessServer) -> None:
    client = client_of(server, OTHER_WITNESS)
    with pytest.raises(WitnessUnavailableError, match="no signature of its key"):
        client.add_checkpoint(request_of(Log(numbered(3)), 0, 3))
    client.close()


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = WitnessClient(f"http://127.0.0.1:{port}", OTHER_WITNESS)
    with pytest.raises(WitnessUnavailableError, match="cannot be reached"):
        client.add_checkpoint(request_of(Log(numbered(3)), 0, 3))


def test_a_silent_witness_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = WitnessClient(f"http://127.0.0.1:{silent.getsockname()[1]}", OTHER_WITNESS, 0.05)
        with pytest.raises(WitnessUnavailableError, match="cannot be reached"):
            client.add_checkpoint(request_of(Log(numbered(3)), 0, 3))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\n\xff\n\n",
        b"HTTP/1.1 409 x\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 409 x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\nabc",
        b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_unavailable(answer: bytes) -> None:
    with answering(answer) as url:
        client = WitnessClient(url, OTHER_WITNESS)
        with pytest.raises(WitnessUnavailableError):
            client.add_checkpoint(request_of(Log(numbered(3)), 0, 3))
        client.close()


def test_a_connection_closed_meanwhile_is_opened_again() -> None:
    refused = b"HTTP/1.1 409 x\r\nContent-Length: 2\r\n\r\n7\n"
    with answering(refused, refused) as url:
        client = WitnessClient(url, OTHER_WITNESS)
        for _ in range(2):
            with pytest.raises(CheckpointRefusedError) as caught:
                client.add_checkpoint(request_of(Log(numbered(9)), 0, 9))
            assert caught.value.size == 7
        client.close()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8477", "ftp://host", "http://", "http://host:x", "http://h/?q"]
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        WitnessClient(url, OTHER_WITNESS)


def test_a_key_that_signs_notes_is_no_witness() -> None:
    assert LOG_KEY.name == ORIGIN
    with pytest.raises(InvalidRequestError):
        WitnessClient("http://127.0.0.1:1", LOG_KEY)
