"""Names as a real TLS handshake delivers them, and the odd ones that no CA of ours would sign."""

from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
import pytest
from cryptography import x509

from vault.errors import UnauthenticatedError
from vault.server.identity import MAX_NAME_CHARACTERS, name_in, peer_of

URI = x509.UniformResourceIdentifier
DNS = x509.DNSName


@pytest.fixture(scope="module")
def whoami(authority: Any, server_pair: Any) -> Iterator[str]:
    """Address of a server that answers each call with the principal's name."""

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return name_in(peer_of(context)).encode()
        except UnauthenticatedError:
            return b"nobody"

    server = grpc.server(futures.ThreadPoolExecutor(1))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Who": handler}),))
    credentials = grpc.ssl_server_credentials(
        [(server_pair.key, server_pair.certificate)], authority.pem, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("common_name", "names", "principal"),
    [
        ("crm", [], "crm"),
        ("crm", [DNS("crm.example")], "crm.example"),
        ("crm", [DNS("crm.example"), DNS("other.example")], "crm.example"),
        ("crm", [DNS("crm.example"), URI("spiffe://acme/crm")], "spiffe://acme/crm"),
        ("", [URI("spiffe://acme/crm")], "spiffe://acme/crm"),
        ("crm", [URI("https://acme/crm"), DNS("crm.example")], "crm.example"),
        ("crm", [URI("https://acme/crm")], "crm"),
        ("crm", [URI("spiffe://acme/crm"), URI("https://acme/crm")], "spiffe://acme/crm"),
        ("spiffe://acme/crm", [], "nobody"),
        ("crm", [DNS("spiffe://acme/crm")], "nobody"),
        ("zoë", [], "zoë"),
        ("crm", [URI("spiffe://acme/a"), URI("spiffe://acme/b")], "nobody"),
        ("", [x509.RFC822Name("crm@acme.example")], "nobody"),
    ],
)
def test_precedence(
    whoami: str, authority: Any, common_name: str, names: Sequence[x509.GeneralName], principal: str
) -> None:
    pair = authority.issue(common_name, names)
    credentials = grpc.ssl_channel_credentials(authority.pem, pair.key, pair.certificate)
    with grpc.secure_channel(whoami, credentials) as channel:
        who: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Test/Who")
        assert who(b"", timeout=10).decode() == principal


@pytest.mark.parametrize(
    "raw", [b"", b"  ", b" crm", b"\xff", b"a\x00b", b"a\nb", b"x" * (MAX_NAME_CHARACTERS + 1)]
)
def test_a_name_is_short_and_printable(raw: bytes) -> None:
    with pytest.raises(UnauthenticatedError):
        name_in({"x509_common_name": [raw]})


def test_no_certificate_is_nobody() -> None:
    with pytest.raises(UnauthenticatedError):
        name_in({"transport_security_type": [b"ssl"]})
