"""Which calls queue with which, so that a flood of one kind does not hold up another.

Rules:
- Reads (Detokenize) take turns, one at a time: on the short way (`shortway`, `inbox`), or where the version
  of gRPC is not known, in a lane of their own here. Ordinary calls share `server.threads` turns.
- Urgent calls end something, or are what an administrator needs to end a flood. They have threads of their
  own and no shares, and are refused only when too many of them wait.
- Health and reflection are outside of all this.
- The door turns calls away in the thread that accepts them, which costs a fraction of doing so behind it: for
  gRPC does not tell there who calls. So it is closed only while nobody else is there to be turned away with
  the one who floods: while one principal alone has called for a second and has its share waiting. It still
  lets every eighth call in, and those that say that they are a second attempt (`cvault-attempt`, which only
  ever leads to being asked behind the door). A lane that holds more calls than its line is closed to all.
"""

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from typing import Any, Final, ParamSpec, TypeVar

import grpc

from vault.config import Settings
from vault.errors import OverloadedError
from vault.server.gate import Gate
from vault.server.refusals import Refusals
from vault.server.status import overloaded

READS: Final = frozenset({"Detokenize"})
URGENT: Final = frozenset(
    {
        # what ends something for a customer
        "ShredCustomer",
        "BatchShredCustomers",
        "DeleteValue",
        "RestrictCustomer",
        "PlaceHold",
        "SetExpiry",
        "WithdrawConsent",
        "RecordObjection",
        "IngestSignal",
        # what ends something for a principal, and what is needed for it
        "RevokePrincipal",
        "SuspendPrincipal",
        "ResumePrincipal",
        "CreatePrincipal",
        "ListPrincipals",
        "GetBudgetUse",
        "GetPolicy",
        "ApplyPolicy",
        "RequestApproval",
        "GetApproval",
        "ListApprovals",
        "Approve",
        "Reject",
        "Cancel",
        # keys, and how things stand
        "RotateDek",
        "RotateEpoch",
        "GetOperation",
        "GetKeyringStatus",
        "GetAuditStatus",
        "GetErasure",
        "ListErasures",
        "GetCertificate",
    }
)
_DOOR: Final = 32  # places of a lane's door beyond those of its line, for calls that are being refused
_LET_IN: Final = 8
_ATTEMPT: Final = "cvault-attempt"
_LATEST_GUARD: Final = 1024  # calls beyond all doors, at which gRPC itself cuts off
_URGENT_SECONDS: Final = 1.0  # when to come again, where too many urgent calls wait

Params = ParamSpec("Params")
Result = TypeVar("Result")


class LaneName(StrEnum):
    """The kinds of calls."""

    READ = "read"
    ORDINARY = "ordinary"
    URGENT = "urgent"


def lane_of(method: str) -> LaneName:
    """The kind of a method, by its short name."""
    if method in READS:
        return LaneName.READ
    return LaneName.URGENT if method in URGENT else LaneName.ORDINARY


class Threads(ThreadPoolExecutor):
    """Knows how many calls it has, waiting for a thread or on one."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(most, thread_name_prefix=name)
        self._here: set[Future[Any]] = set()

    @property
    def present(self) -> int:
        """How many they are; roughly, while others come and go."""
        return len(self._here)

    def submit(
        self, fn: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> "Future[Result]":
        """Runs a call; however it ends, it is not present any more afterwards."""
        future = super().submit(fn, *args, **kwargs)
        self._here.add(future)
        future.add_done_callback(self._here.discard)
        return future


class _AtOnce(ThreadPoolExecutor):
    """Runs everything in the thread that submits it; gRPC takes thread pools only."""

    def submit(
        self, fn: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> "Future[Result]":
        """Done when this returns."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as a pool's thread would
            future.set_exception(error)
        return future


class Lane:
    """Threads of one kind of calls, how many may come in, and the gate at which they wait, if they do."""

    def __init__(self, name: LaneName, *, places: int, threads: int, gate: Gate | None) -> None:
        self.name = name
        self.gate = gate
        self.threads = Threads(name.value, threads)
        self._places = places
        self._came = 0  # while the door was closed
        self._refusals = Refusals(name.value)

    def closed_to(self, call: grpc.HandlerCallDetails) -> bool:
        """Whether the call is turned away at the door."""
        if self.threads.present >= self._places:
            return True
        if self.gate is None or not self.gate.closed():
            return False
        self._came += 1
        return self._came % _LET_IN != 0 and all(name != _ATTEMPT for name, _ in call.invocation_metadata)

    def refuse(self) -> OverloadedError:
        """For a call that is turned away at the door."""
        return self._refusals.at_the_door(
            self.gate.wait_seconds() if self.gate is not None else _URGENT_SECONDS
        )


class Lanes(grpc.ServerInterceptor):
    """All lanes of a worker; as an interceptor, their doors.

    Attributes:
        short: Methods (short names) that go the short way instead.
        most_calls: How many calls all of them can hold, those of the short way included.
    """

    def __init__(self, settings: Settings, short: Collection[str] = ()) -> None:
        limits, turns = settings.limits, settings.server.threads
        self.short = frozenset(short)
        self._by_name = {
            LaneName.ORDINARY: _gated(LaneName.ORDINARY, turns, limits.waiting_calls, limits.waiting_items),
            LaneName.URGENT: Lane(
                LaneName.URGENT, places=limits.waiting_calls + turns, threads=turns, gate=None
            ),
        }
        if not self.short >= READS:
            self._by_name[LaneName.READ] = _gated(
                LaneName.READ, 1, limits.waiting_reads, limits.waiting_items
            )
        self.most_calls = limits.waiting_reads + 2 * limits.waiting_calls + _LATEST_GUARD
        self._of_path: dict[str, Lane] = {}
        self._at_once = _AtOnce(1)
        self._refusals = {lane: self._refusal(lane) for lane in self._by_name.values()}

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Those of ordinary calls."""
        return self._by_name[LaneName.ORDINARY].threads

    def of(self, method: str) -> Lane | None:
        """Where a method, by its short name, has to queue; None: it goes the short way."""
        return None if method in self.short else self._by_name[lane_of(method)]

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The method's handler, or one that refuses."""
        lane = self._of_path.get(handler_call_details.method)
        if lane is not None and lane.closed_to(handler_call_details):
            return self._refusals[lane]
        return continuation(handler_call_details)

    def watch(self, path: str) -> None:
        """Puts a door before a method, by its full path."""
        lane = self.of(path.rpartition("/")[2])
        if lane is not None:
            self._of_path[path] = lane

    def close(self) -> None:
        """Ends all threads; for when no call is left."""
        for lane in self._by_name.values():
            lane.threads.shutdown(wait=False, cancel_futures=True)
        self._at_once.shutdown(wait=False)

    def _refusal(self, lane: Lane) -> "grpc.RpcMethodHandler[Any, Any]":
        def refuse(_: object, context: grpc.ServicerContext) -> Any:
            context.abort_with_status(overloaded(lane.refuse()))

        refuse.experimental_thread_pool = self._at_once  # type: ignore[attr-defined]
        # A handler of streams is called before the request has come in; a unary one waits for it.
        return grpc.stream_unary_rpc_method_handler(refuse)


def _gated(name: LaneName, turns: int, calls: int, items: int) -> Lane:
    places = calls + turns + _DOOR
    return Lane(
        name, places=places, threads=places, gate=Gate(name.value, turns=turns, calls=calls, items=items)
    )
