"""The protocol, as a stranger's HTTP client sees it."""

import hashlib
import http.client
from typing import NamedTuple

import pytest

from tests.unit.store.test_signers import CHAIN
from tests.unit.tlog.samples import LOG_KEY, ORIGIN, OTHER_SEED, Log, numbered
from tests.unit.witness.test_state import request_of
from vault.crypto import hazmat
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Note
from vault.tlog.witness import AddCheckpoint
from vault.witness.service import MAX_BODY_BYTES, WitnessServer
from vault.witness.successors import AddKeys

HASHED = hashlib.sha256(ORIGIN.encode()).hexdigest()


class Answer(NamedTuple):
    status: int
    content: bytes
    content_type: str


def ask(server: WitnessServer, method: str, path: str, body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.headers["Content-Type"])
    finally:
        connection.close()


def add(server: WitnessServer, request: AddCheckpoint) -> Answer:
    return ask(server, "POST", "/add-checkpoint", request.encode())


def test_a_checkpoint_is_cosigned_and_can_be_fetched(server: WitnessServer) -> None:
    request = request_of(Log(numbered(5)), 0, 5)
    answer = add(server, request)
    assert answer.status == 200
    note = request.note.with_signatures(notes.parse_signatures(answer.content.decode()))
    assert notes.verify(note, [server.state.key])
    fetched = ask(server, "GET", f"/{HASHED}/checkpoint")
    assert fetched.status == 200
    assert Note.parse(fetched.content) == note


def test_keys_are_followed_only_of_logs_that_are_vaults(server: WitnessServer) -> None:
    unknown = AddKeys("customervault/00/ledger", (CHAIN[0],)).encode()
    assert ask(server, "POST", "/add-keys", unknown).status == 404
    assert ask(server, "POST", "/add-keys", AddKeys(ORIGIN, ()).encode()).status == 200
    assert ask(server, "POST", "/add-keys", b"nonsense").status == 400


def test_each_refusal_has_its_status(server: WitnessServer, said: list[str]) -> None:
    log = Log(numbered(9))
    assert add(server, request_of(log, 0, 5)).status == 200
    conflict = add(server, request_of(log, 0, 9))
    assert conflict == Answer(409, b"5\n", "text/x.tlog.size")
    forked = Log([*numbered(4), b"x", *numbered(4)])
    assert add(server, request_of(forked, 5, 9)).status == 422
    stranger = Checkpoint("example.org/other", 1, bytes(32)).signed(LOG_KEY, lambda _: bytes(64))
    assert add(server, AddCheckpoint(0, (), stranger)).status == 404
    forged = Checkpoint(ORIGIN, 9, log.tree.root()).signed(
        LOG_KEY, lambda message: hazmat.sign(OTHER_SEED, message)
    )
    assert add(server, AddCheckpoint(5, (), forged)).status == 403
    assert ask(server, "POST", "/add-checkpoint", b"nonsense").status == 400
    assert said == [
        f"refused: {name}" for name in ("CONFLICT", "INCONSISTENT", "UNKNOWN_LOG", "NOT_SIGNED", "MALFORMED")
    ]


@pytest.mark.parametrize("length", ["", "-1", "x", "²", str(MAX_BODY_BYTES + 1), "9" * 30])
def test_a_body_without_a_usable_length_is_not_read(server: WitnessServer, length: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.putrequest("POST", "/add-checkpoint")
    if length:
        connection.putheader("Content-Length", length.encode())
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("POST", "/sign-subtree"),
        ("GET", "/"),
        ("GET", "/add-checkpoint"),
        ("GET", f"/{HASHED}"),
        ("GET", f"/{HASHED}/other"),
        ("GET", f"/{HASHED}/checkpoint"),
        ("GET", f"/{HASHED}/checkpoint/more"),
        ("GET", "/../key/checkpoint"),
    ],
)
def test_there_is_nothing_else(server: WitnessServer, method: str, path: str) -> None:
    assert ask(server, method, path, b"" if method == "POST" else None).status == 404


def test_one_connection_serves_several_requests(server: WitnessServer) -> None:
    log = Log(numbered(5))
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    for old, new in ((0, 1), (1, 3), (3, 5)):
        connection.request("POST", "/add-checkpoint", request_of(log, old, new).encode())
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        assert connection.sock is not None
    connection.close()


def test_a_failing_disk_is_not_the_callers_fault(
    server: WitnessServer, said: list[str], tmp_path: object
) -> None:
    log = Log(numbered(5))
    add(server, request_of(log, 0, 3))
    path = next(iter((server.state._directory / "logs").iterdir()))
    path.write_bytes(b"damaged")
    answer = add(server, request_of(log, 3, 5))
    assert (answer.status, answer.content) == (500, b"")
    assert said == ["cannot cosign: stored data failed its integrity check"]
