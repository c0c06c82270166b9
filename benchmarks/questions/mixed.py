"""What do writes among the reads cost?"""

import random
import uuid

from customervault.v1 import common_pb2
from customervault.v1 import token_service_pb2 as api

from benchmarks.calls import SERVICE, Call, contact_order, detokenize_calls, whole
from benchmarks.figures import VAULT, Answer, Figure
from benchmarks.filling import FIELDS
from benchmarks.stage import Serving, Stage

_WRITES_OF_100 = 5
_MOST_CALLS_A_SECOND = 8_000
_NAMES = ("reads only", "95 % reads, 5 % writes")


def ask(stage: Stage) -> Answer:
    """Calls for one customer's five values, alone and with one call in twenty that stores a new customer."""
    serving = stage.main()
    stage.tell("reads and writes")
    calls = int(_MOST_CALLS_A_SECOND * stage.size.seconds * (stage.size.side_runs + 1)) + 500
    serving.load.hold(_NAMES[0], _calls(serving, calls, 0))
    serving.load.hold(_NAMES[1], _calls(serving, calls, _WRITES_OF_100))
    wall: dict[str, list[float]] = {name: [] for name in _NAMES}
    core: dict[str, list[float]] = {name: [] for name in _NAMES}
    for _ in range(stage.size.side_runs):
        for name in _NAMES:
            before = serving.cpu()
            lap = serving.load.lap(VAULT, name, stage.size.seconds)
            core[name].append(lap.calls / max(1e-3, serving.cpu() - before))
            wall[name].append(lap.calls / lap.seconds)
    figures = []
    for name in _NAMES:
        figures.append(Figure(name, "calls/s a core", "calls/s a core", tuple(core[name])))
        figures.append(Figure(name, "calls/s on the wall", "calls/s", tuple(wall[name])))
    return Answer(
        "mixed",
        "Reads and writes mixed",
        "Calls of four clients in a closed loop: one customer's five values each; one in twenty instead "
        "stores a new customer with five values and waits until it is durable on this disk.",
        tuple(figures),
    )


def _calls(serving: Serving, count: int, writes_of_100: int) -> list[Call]:
    order = whole(contact_order(range(serving.filled.customers), seed=9), FIELDS)
    reads = detokenize_calls(serving.filled, order[: FIELDS * count], FIELDS)
    rng = random.Random(9)
    return [
        _write() if rng.random() * 100 < writes_of_100 else reads[number % len(reads)]
        for number in range(count)
    ]


def _write() -> Call:
    name = uuid.uuid4().hex
    given = (
        ("name", "first", "Ada"),
        ("name", "last", "Lovelace"),
        ("email", "", f"{name}@example.org"),
        ("address", "street", "12 St James's Square"),
        ("address", "city", "London"),
    )
    fields = [
        common_pb2.FieldInput(field_class=field_class, label=label, value=value)
        for field_class, label, value in given
    ]
    entry = api.TokenizeEntry(customer=common_pb2.CustomerRef(external_id=f"mixed-{name}"), fields=fields)
    request = api.TokenizeRequest(entry=entry, request_id=str(uuid.uuid4()))
    return Call(SERVICE + "Tokenize", request.SerializeToString(), 0)
