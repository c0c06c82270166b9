"""What this server takes from gRPC's insides, and with which versions that was tested.

- Private names of `grpc._server` and `grpc._cython.cygrpc` (`shortway`).
- `GRPC_EXPERIMENTS=-event_engine_listener`: the thread that polls gRPC reads the sockets. Otherwise threads
  of gRPC's own do, and wake it: changes of thread, a tenth of what a small call costs. The variable has to
  stand before gRPC is loaded, so a process gets it at its start.

With any other version all of this is left alone. An operator's own GRPC_EXPERIMENTS stand.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

TESTED: Final = ("1.85.",)
VARIABLE: Final = "GRPC_EXPERIMENTS"
POLLER_READS: Final = "-event_engine_listener"


def is_known(installed: str = version("grpcio")) -> bool:
    """Whether this version of gRPC was tested."""
    return installed.startswith(TESTED)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that serves, made of the one that was given."""
    return {VARIABLE: POLLER_READS, **given} if is_known() else dict(given)
