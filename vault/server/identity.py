"""Who calls: the principal's name out of the client certificate that TLS has verified.

Precedence, as for the certificates that the vault itself issues: SPIFFE id, else the first DNS name, else
the common name. gRPC has parsed the certificate already. Nothing may be remembered for a peer's address: it
could outlive its connection and name somebody else. `anchors` remembers names, for the certificate's bytes.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import grpc

from vault.crypto.certificates import principal_name
from vault.errors import UnauthenticatedError

URI = "peer_uri"
DNS = "peer_dns"
COMMON_NAME = "x509_common_name"

MAX_NAME_CHARACTERS = 255


def peer_of(context: grpc.ServicerContext) -> Mapping[str, Sequence[bytes]]:
    """What gRPC has of the caller's certificate; costs about 10 µs."""
    return cast(Mapping[str, Sequence[bytes]], context.auth_context())


def name_in(properties: Mapping[str, Sequence[bytes]]) -> str:
    """The name in the properties that gRPC derives from a verified certificate.

    Raises:
        UnauthenticatedError: no client certificate, or it does not name exactly one principal.
    """
    try:
        uris, names, common = (
            [raw.decode() for raw in properties.get(kind, ())] for kind in (URI, DNS, COMMON_NAME)
        )
    except UnicodeDecodeError:
        raise UnauthenticatedError("the client certificate's names are not text") from None
    name = principal_name(uris, names, common[0] if common else "")
    if not name.isprintable() or name != name.strip() or len(name) > MAX_NAME_CHARACTERS:
        raise UnauthenticatedError("the client certificate's name is not usable")
    return name
