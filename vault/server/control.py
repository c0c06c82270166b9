"""The line between the supervisor and one of its children: a socket pair, one JSON object a line.

To a child:      start {...}   first of all; see `Start`
                 serve         every worker is ready: answer health checks with SERVING
                 certificates  look after the server's certificate now (keeper)
                 ready         {"workers": n, "ready": n}: how many serve (keeper)
                 check         writes are stopped: are the stores sound? (keeper)
                 take-epoch    {"epoch"}: its key follows on the key pipe
                 leave-epoch   {"epoch"}: let go of its key
                 epoch-held    {"epoch"}: every process holds its key (keeper)
                 epoch-left    {"epoch"}: no process holds its key any more (keeper)
                 key-destroyed {"destruction", "gone"}: what the provider says (keeper)
                 key-failed    {"message"}: the provider could not do what was asked (keeper)
To the supervisor: ready       it can serve
                 failed        {"reason", "message"}: it cannot start, and why
                 overdue       {"pid"}: that process holds the write lock too long (keeper)
                 checked       {"errors": n}: how many the check found (keeper)
                 took-epoch    {"epoch"}
                 left-epoch    {"epoch"}
                 epoch-wanted  {"epoch", "root_key_id"}: make its key and hand it to everybody (keeper)
                 epoch-over    {"epoch"}: have everybody let go of its key (keeper)
                 key-destroy   {"root_key_id", "provider"}: destroy a root key (keeper)

The end of the line is a message too: a child whose supervisor is gone stops by itself.
"""

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from vault.config import SECTIONS, Settings

Message = dict[str, Any]


class Channel:
    """One end of the line. Any thread may send; one may receive."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()

    def send(self, kind: str, **content: object) -> None:
        """Sends a message; one to a process that is gone is dropped, since its end is seen elsewhere."""
        line = json.dumps({"kind": kind, **content}).encode() + b"\n"
        with self._sending:
            try:
                self._connection.sendall(line)
            except (BrokenPipeError, ConnectionResetError):
                return

    def receive(self) -> Message | None:
        """The next message, or None when the other end is gone."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            return None
        if not line.endswith(b"\n"):
            return None
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Ends the line."""
        self._lines.close()
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Start:
    """What a child is told first.

    Settings travel too: an edit of their file between two respawns must not leave workers with
    different ones.
    """

    data_dir: Path
    settings: Settings
    name: str
    address: str
    dev: bool
    epochs: tuple[int, ...] = ()  # whose keys follow on the key pipe, in this order
    metrics_fd: int = -1  # a listening socket, for the keeper

    def content(self) -> Mapping[str, object]:
        """As the content of a message."""
        return {
            "data_dir": str(self.data_dir),
            "settings": asdict(self.settings),
            "name": self.name,
            "address": self.address,
            "dev": self.dev,
            "epochs": list(self.epochs),
            "metrics_fd": self.metrics_fd,
        }

    @classmethod
    def of(cls, message: Message) -> "Start":
        """Reads the content of a message."""
        return cls(
            data_dir=Path(message["data_dir"]),
            settings=_settings(message["settings"]),
            name=message["name"],
            address=message["address"],
            dev=message["dev"],
            epochs=tuple(message["epochs"]),
            metrics_fd=message["metrics_fd"],
        )


def _settings(document: Mapping[str, Any]) -> Settings:
    sections: dict[str, Any] = {name: _section(kind, document[name]) for name, kind in SECTIONS.items()}
    return Settings(**sections, fields=document["fields"], search=document["search"])


def _section(kind: Any, table: Mapping[str, Any]) -> Any:
    return kind(**{each.name: _setting(each.default, table[each.name]) for each in fields(kind)})


def _setting(default: object, value: Any) -> Any:
    """A setting out of JSON, which knows neither sections of sections nor tuples."""
    if is_dataclass(default):
        return _section(type(default), value)
    return tuple(value) if isinstance(value, list) else value
