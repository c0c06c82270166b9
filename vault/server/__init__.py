"""The vault as a gRPC service: one supervisor, worker processes on one port, one keeper.

- `supervisor` unlocks the vault, spawns the others, respawns them, drains them. Opens no store.
- `worker` serves calls. `calls` is the one way into every call; `services` are thin.
- `keeper` does background work and shows the metrics.
- `convert` alone maps protobuf to the model, but for usual reads (`wire`) and imports (`columns`); `status`
  alone maps errors to gRPC.

gRPC reads these variables once, when its library starts, so they are set before any module here imports
it: TLS 1.2 is spoken with ECDHE key exchange and an AEAD only (RFC 9325, section 4.2), and its C
library writes no lines of its own between ours.
"""

import os

TLS12_CIPHER_SUITES = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)

os.environ["GRPC_SSL_CIPHER_SUITES"] = TLS12_CIPHER_SUITES
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
