"""Who calls: the principal's name out of the client certificate that TLS has verified.

Precedence: SPIFFE id (URI SAN), else the first DNS SAN, else the common name. gRPC has parsed the
certificate already and hands its names out for 10 µs a call, so nothing is cached here: an answer
remembered for a peer's address could outlive its connection and name somebody else.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import grpc

from vault.errors import UnauthenticatedError

SPIFFE_ID = "peer_spiffe_id"
URI = "peer_uri"
DNS = "peer_dns"
COMMON_NAME = "x509_common_name"

MAX_NAME_BYTES = 255


def principal_of(context: grpc.ServicerContext) -> str:
    """The name of the call's principal.

    Raises:
        UnauthenticatedError: no client certificate, or none of the three names in it is usable.
    """
    return name_in(cast(Mapping[str, Sequence[bytes]], context.auth_context()))


def name_in(properties: Mapping[str, Sequence[bytes]]) -> str:
    """The name in the properties that gRPC derives from a verified certificate.

    A certificate with a SPIFFE URI beside another URI is no SPIFFE certificate (X.509-SVID, section 2), and
    falling back to its other names would let it be two principals: it is refused.

    Raises:
        UnauthenticatedError: see `principal_of`.
    """
    if any(uri.lower().startswith(b"spiffe:") for uri in properties.get(URI, ())):
        candidates = properties.get(SPIFFE_ID, ())
    else:
        candidates = properties.get(DNS) or properties.get(COMMON_NAME, ())
    for raw in candidates:
        if (
            len(raw) <= MAX_NAME_BYTES
            and raw.isascii()
            and (name := raw.decode().strip()).isprintable()
            and name
        ):
            return name
        break
    raise UnauthenticatedError("the client certificate names no principal")
