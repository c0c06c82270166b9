"""Tells systemd about readiness (sd_notify(3)), where it listens."""

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(*assignments: str) -> None:
    """Sends lines such as `READY=1`; does nothing outside a service of `Type=notify`."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.sendto("\n".join(assignments).encode(), address)
