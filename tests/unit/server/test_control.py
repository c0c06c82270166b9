import socket
from dataclasses import fields
from pathlib import Path

from vault.config import SECTIONS, Settings, parse_settings
from vault.server.control import Channel, Start

SETTINGS = """
[server]
dns_names = ["vault.example", "localhost"]
threads = 2
[audit]
sync = "always"
[ledger]
mirror = "elsewhere"
[search.person]
fields = ["name", "birth_date"]
[fields.nickname]
kind = "text"
max_characters = 30
"""


def pair() -> tuple[Channel, Channel]:
    left, right = socket.socketpair()
    return Channel(left), Channel(right)


def test_messages_arrive_in_order() -> None:
    here, there = pair()
    here.send("ready", workers=2, ready=1)
    here.send("serve")
    assert there.receive() == {"kind": "ready", "workers": 2, "ready": 1}
    assert there.receive() == {"kind": "serve"}
    here.close()
    there.close()


def test_the_end_of_the_line_is_noticed_on_both_sides() -> None:
    here, there = pair()
    here.close()
    assert there.receive() is None
    there.send("ready")  # to nobody: dropped
    there.close()


def test_half_a_message_is_none() -> None:
    left, right = socket.socketpair()
    there = Channel(right)
    left.sendall(b'{"kind": "se')
    left.close()
    assert there.receive() is None
    there.close()


def test_every_section_of_the_settings_has_its_class() -> None:
    assert {field.name for field in fields(Settings)} == {*SECTIONS, "fields", "search"}


def test_the_start_message_carries_every_setting() -> None:
    start = Start(Path("/data"), parse_settings(SETTINGS), "worker-1", "127.0.0.1:1", dev=True, metrics_fd=7)
    here, there = pair()
    here.send("start", **start.content())
    message = there.receive()
    assert message is not None
    assert Start.of(message) == start
    here.close()
    there.close()
