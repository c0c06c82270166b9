"""Nothing personal and no key reaches a log, a metric, an error or, in the clear, the disk."""

import base64
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from customervault.v1 import (
    audit_service_pb2,
    customer_service_pb2,
    erasure_service_pb2,
    key_service_pb2,
    policy_service_pb2,
    search_service_pb2,
    token_service_pb2,
)
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from tests.scenarios.support.deployment import found_vault
from tests.scenarios.support.server import Server, serving
from vault.crypto.hazmat import GuardedMemory
from vault.keys.keyring import DEK_BYTES

pytestmark = pytest.mark.slow

MODULES = (
    token_service_pb2,
    customer_service_pb2,
    key_service_pb2,
    erasure_service_pb2,
    audit_service_pb2,
    policy_service_pb2,
    search_service_pb2,
)
METHODS: list[MethodDescriptor] = [
    method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
SETTINGS = '[server]\nworkers = 2\nmetrics_listen = "127.0.0.1:0"\n'

EXTERNAL_ID = "Canary-External-Id-77"
GONE_ID = "Canary-Gone-Id-78"
KEPT_ID = "Canary-Kept-Id-79"
MAIL = "Canary.Mail@example.com"
BAD_IBAN = "DE00 CANARY 1234"
STRAY = "Canary Stray +49301234567"  # a value where something else belongs
GUESS = "cv1_" + "c0ffee" * 5 + "c0"
NOT_A_REQUEST = b"\x0a\xff" + MAIL.encode() + EXTERNAL_ID.encode()


class Sent:
    """What was put into calls, and everything that came out of errors."""

    def __init__(self) -> None:
        self.secrets: set[str] = {
            EXTERNAL_ID,
            GONE_ID,
            KEPT_ID,
            MAIL,
            BAD_IBAN,
            STRAY,
            GUESS[4:],
            "CANARY",
            "Canary",
        }
        self.errors: list[str] = []
        self.codes: set[grpc.StatusCode] = set()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory) -> Iterator[tuple[Server, Sent]]:
    """A server after every call was made in every way, and all of its processes were asked."""
    directory = tmp_path_factory.mktemp("words")
    sent = Sent()
    with serving(found_vault(directory / "vault", settings=SETTINGS), directory, log_level="DEBUG") as server:
        with server.connect("crm") as crm, server.connect("eraser") as eraser:
            kept = crm.tokenize(EXTERNAL_ID, {"email": MAIL, "note": STRAY}).tokens["email"]
            gone = crm.tokenize(GONE_ID, {"email": MAIL}).tokens["email"]
            eraser.shred(external_id=GONE_ID)
        sent.secrets |= {kept[4:], gone[4:]}
        ways = [everything_is(STRAY), *(as_intended(token) for token in (kept, gone, GUESS, STRAY))]
        for principal in ("crm", "admin", "partner", "privacy", "agent", "eraser"):
            with server.channel(principal) as channel:
                for method in METHODS:
                    for fill in ways:
                        ask(channel, method, filled(method, fill).SerializeToString(), sent)
                    ask(channel, method, NOT_A_REQUEST, sent)
        with server.connect("crm") as crm:  # one whose key is still there to be searched for
            crm.tokenize(KEPT_ID, {"email": MAIL})
        yield server, sent


Fill = Callable[[FieldDescriptor], Any]


def everything_is(text: str) -> Fill:
    """Every text is this one, as by a caller that mixed its arguments up."""
    return lambda field: text if field.type == FieldDescriptor.TYPE_STRING else 7


def as_intended(token: str) -> Fill:
    """Texts where they belong: a good address, a bad IBAN, this token."""
    classes = iter(["email", "iban"] * 1000)
    values = {"email": MAIL, "iban": BAD_IBAN}
    last = [""]

    def fill(field: FieldDescriptor) -> Any:
        if field.type != FieldDescriptor.TYPE_STRING:
            return 1
        match field.name:
            case "field_class":
                last[0] = next(classes)
                return last[0]
            case "value":
                return values.get(last[0], MAIL)
            case "token" | "tokens" | "page_token":
                return token
            case "external_id":
                return EXTERNAL_ID
            case "request_id":
                return str(uuid.uuid4())
            case "purpose":
                return "support"
            case _:
                return ""

    return fill


def filled(method: MethodDescriptor, fill: Fill) -> Message:
    """A request with every field set, lists twice over."""
    message = GetMessageClass(method.input_type)()
    _fill(message, fill, depth=4)
    return message


def _fill(message: Message, fill: Fill, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.name in ("validate_only", "missing_ok") or not depth:
            continue
        if _is_map(field):
            key, value = field.message_type.fields
            getattr(message, field.name)[fill(key)] = fill(value)
        elif field.message_type is not None and field.is_repeated:
            for _ in range(2):
                _fill(getattr(message, field.name).add(), fill, depth - 1)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            _fill(getattr(message, field.name), fill, depth - 1)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, field.name, STRAY.encode())
        elif field.is_repeated:
            getattr(message, field.name).extend([fill(field)] * 2)
        else:
            setattr(message, field.name, fill(field))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def ask(channel: grpc.Channel, method: MethodDescriptor, request: bytes, sent: Sent) -> None:
    act = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")
    try:
        response = act(request, timeout=10)
    except grpc.RpcError as error:
        sent.codes.add(error.code())
        trailers = [value for _, value in error.trailing_metadata() or ()]
        sent.errors += [error.details() or "", error.debug_error_string()]
        sent.errors += [
            text.decode(errors="replace") if isinstance(text, bytes) else text for text in trailers
        ]
        return
    sent.codes.add(grpc.StatusCode.OK)
    sent.errors += _statuses(GetMessageClass(method.output_type).FromString(response))


def _statuses(message: Message) -> Iterator[str]:
    """Every `google.rpc.Status` inside a response, as text."""
    if isinstance(message, Status):
        yield str(message)
        yield message.SerializeToString().decode(errors="replace")
        return
    for field, content in message.ListFields():
        if field.message_type is not None and not _is_map(field):
            for each in content if field.is_repeated else [content]:
                yield from _statuses(each)


def keys_of(server: Server) -> dict[str, bytes]:
    """Every key of the vault in the clear, as only a test gets them."""
    found = {}
    with server.deployment.opened("canary") as desks:
        engine = desks.vault.engine
        with engine.store.keyring() as keys:
            keyring = engine.keyrings.at(keys.epoch)
            found["edk"] = bytes(keyring.edk.view(0, 32))
            for name, row in keys.secrets():
                found[name] = keyring.unwrap_secret(name, row)
            for key, row in keys.deks():
                number, generation = int.from_bytes(key[1:6], "big"), int.from_bytes(key[6:], "big")
                memory = GuardedMemory(DEK_BYTES)
                keyring.unwrap_dek(row, key[0], number, generation, memory.pointer())
                found[f"dek {number}"] = bytes(memory.view(0, DEK_BYTES))
                memory.free()
    return found


def shapes(key: bytes) -> list[str]:
    """How a key might be printed."""
    encoded = base64.b64encode(key).decode().rstrip("=")
    return [
        key.hex(),
        key.hex().upper(),
        encoded,
        encoded.replace("+", "-").replace("/", "_"),
        repr(key)[2:-1],
    ]


def assert_clean(text: str, sent: Sent, keys: dict[str, bytes]) -> None:
    for secret in sent.secrets:
        assert secret not in text, secret
    for name, key in keys.items():
        for shape in shapes(key):
            assert shape not in text, name


def test_every_method_was_called_and_answered_in_many_ways(aftermath):
    server, sent = aftermath
    assert len(METHODS) >= 20
    assert {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.NOT_FOUND,
    } <= sent.codes
    assert grpc.StatusCode.INTERNAL not in sent.codes
    assert grpc.StatusCode.UNKNOWN not in sent.codes
    for method in METHODS:
        assert f'method="{method.name}"' in server.metrics()


def test_no_error_tells_a_value_a_key_a_token_or_an_external_id(aftermath):
    server, sent = aftermath
    keys = keys_of(server)
    assert len(keys) >= 8
    assert len(sent.errors) > 500
    for text in sent.errors:
        assert_clean(text, sent, keys)


def test_no_log_line_does_either(aftermath):
    server, sent = aftermath
    log = server.log()
    assert "call refused" in log
    assert_clean(log, sent, keys_of(server))


def test_no_metric_does_either(aftermath):
    server, sent = aftermath
    assert_clean(server.metrics(), sent, keys_of(server))


def test_nothing_of_it_lies_in_the_clear_on_the_disk(aftermath):
    server, sent = aftermath
    keys = {name: key for name, key in keys_of(server).items() if name != "ca-key"}
    for path in server.deployment.data_dir.rglob("*"):
        if path.is_file() and path.name != "vault.toml":
            content = path.read_bytes()
            for secret in sent.secrets:
                assert secret.encode() not in content, (path.name, secret)
            for name, key in keys.items():
                assert key not in content, (path.name, name)


def test_no_process_shows_it_in_its_arguments_or_environment(aftermath):
    server, sent = aftermath
    keys = keys_of(server)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                arguments = (process / "cmdline").read_bytes()
                if str(server.deployment.data_dir).encode() not in arguments:
                    continue
                shown = (arguments + (process / "environ").read_bytes()).decode(errors="replace")
            except OSError:
                continue
            assert_clean(shown, sent, keys)
