"""Tasks that read single tokens at the same time share batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from customervault._coalesce import GATHER_SECONDS, Gate, Kind, concerns_all, own_copy
from customervault.errors import VaultError
from customervault.values import Values

Send = Callable[[Sequence[str], Kind, float], Awaitable[Values]]


@dataclass(slots=True, eq=False)
class _Read:
    """One caller's read. None as its answer: the read has to be sent by itself."""

    token: str
    deadline: float
    gathered: float
    answer: "asyncio.Future[Values | None]"


class Coalescer:
    """Belongs to the event loop of its first call."""

    def __init__(self, send: Send, *, most: int, parallel: int) -> None:
        """Says how batches are sent; the arguments are those of the threads' coalescer."""
        self._send = send
        self._most = most
        self._parallel = parallel
        self._gates: dict[Kind, Gate[_Read]] = {}
        self._batches: set[asyncio.Task[None]] = set()

    async def read(self, token: str, kind: Kind, deadline: float) -> Values:
        """Reads one token.

        Raises:
            VaultError: The call failed. A refused token stands in the container.
        """
        loop = asyncio.get_running_loop()
        mine = _Read(token, deadline, loop.time() + GATHER_SECONDS, loop.create_future())
        gate = self._gates.setdefault(kind, Gate(self._most, self._parallel))
        gate.waiting.append(mine)
        if len(gate.waiting) == 1:
            # Not before the tasks that are ready now had their turn: they belong to the same batch.
            loop.call_soon(self._look, gate, kind)
        elif len(gate.waiting) == self._most:
            self._look(gate, kind)
        try:
            values = await mine.answer
        except asyncio.CancelledError:
            if mine in gate.waiting:
                gate.waiting.remove(mine)
            raise
        return values if values is not None else await self._send([token], kind, deadline)

    def _look(self, gate: Gate[_Read], kind: Kind) -> None:
        """Sends who may leave, and comes back when the next have gathered."""
        loop = asyncio.get_running_loop()
        while gate.may_leave(loop.time()):
            task = loop.create_task(self._run(gate.take(), kind, gate))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
        if gate.waiting and gate.in_flight < self._parallel:
            loop.call_at(gate.waiting[0].gathered, self._look, gate, kind)

    async def _run(self, batch: list[_Read], kind: Kind, gate: Gate[_Read]) -> None:
        wanted = [read for read in batch if not read.answer.done()]
        try:
            if wanted:
                earliest = min(read.deadline for read in wanted)
                values = await self._send([read.token for read in wanted], kind, earliest)
                for at, read in enumerate(wanted):
                    _settle(read, values[at : at + 1])
        except VaultError as error:
            for read in wanted:
                _settle(read, None if len(wanted) > 1 and not concerns_all(error) else own_copy(error))
        except BaseException:
            for read in wanted:
                _settle(read, None)  # nobody may hang because this batch was ended
            raise
        finally:
            gate.in_flight -= 1
            self._look(gate, kind)


def _settle(read: _Read, answer: Values | BaseException | None) -> None:
    if read.answer.done():
        return
    if isinstance(answer, BaseException):
        read.answer.set_exception(answer)
    else:
        read.answer.set_result(answer)
