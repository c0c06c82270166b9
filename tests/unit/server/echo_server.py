"""A server with the workers' TLS set-up and one method that echoes; a program, run by `test_tls`.

    python echo_server.py CERTIFICATE KEY CA...

A process of its own, since gRPC reads the cipher suites when it is first imported. Prints its port and
ends when its standard input does.
"""

import sys
from concurrent import futures
from pathlib import Path

from vault.server.tls import CertificateSource, TlsFiles, server_credentials

import grpc  # isort: skip


def main() -> None:
    certificate, key, *cas = map(Path, sys.argv[1:])
    server = grpc.server(futures.ThreadPoolExecutor(1))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda request, _: request
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Echo": handler}),))
    credentials = server_credentials(CertificateSource(TlsFiles(certificate, key, tuple(cas))))
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)  # noqa: T201
    server.start()
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
