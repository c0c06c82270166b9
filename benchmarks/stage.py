"""Where questions are asked: a filled vault that serves, an echo, a C loop and a client, each on its core.

- One vault is filled for most questions and serves one after another, with one worker on one core.
- The rate for each core is values by CPU seconds of *all* processes of the vault (supervisor, keeper,
  workers; user and system time), whatever the clock on the wall says.
- Contestants take turns, run by run.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.c_loop.loop import CLoop, build, c_loop
from benchmarks.calls import contact_order, detokenize_calls, keys_of, random_order, whole
from benchmarks.cores import Cores, confined
from benchmarks.echo import echo_server
from benchmarks.figures import C_GET, C_LOOP, ECHO, VAULT
from benchmarks.filling import Filled, filled
from benchmarks.load import Load, Target, load
from benchmarks.processes import cpu_seconds, descendants, pin
from benchmarks.sizes import Size
from benchmarks.throwaway import ThrowAwayVault
from vault.crypto.suites import SUITES, XCHACHA20_POLY1305
from vault.hotpath.dekcache import SLOT_BYTES

BATCHES = (1, 10, 100, 1000)
SHAPES = ("contact", "random")
_LEAST_CPU = 1e-3
_CACHE_BYTES = 64 << 20  # of keys, as a vault has by default
_MOST_CALLS = 30_000  # that a client holds of one shape and size,
_MOST_VALUES = 20_000_000  # and values in them


@dataclass(frozen=True, slots=True)
class Script:
    """Calls that a client holds under a name, and the same values for the C loop."""

    name: str
    batch: int
    keys: bytes


class Serving:
    """A vault that serves a filled store on one core, beside its denominators."""

    def __init__(self, vault: ThrowAwayVault, source: Filled, sending: Load, cores: Cores) -> None:
        self.vault = vault
        self.filled = source
        self.load = sending
        self._cores = cores
        self.pids = descendants(vault.ready.pid)
        self._c_loop: CLoop | None = None
        self._echo_pid = 0
        self._c_turns: dict[str, int] = {}  # where each script's next lap goes on
        self._scripts: dict[str, Script] = {}
        self._warm: set[str] = set()

    def cpu(self) -> float:
        """Seconds that all processes of the vault have used."""
        return cpu_seconds(self.pids)

    def script(self, name: str, order: Sequence[int], batch: int, most_calls: int = 0) -> Script:
        """Gives the client the calls of an order, unless it holds them."""
        if name not in self._scripts:
            order = whole(order, batch, most_calls)
            self.load.hold(name, detokenize_calls(self.filled, order, batch))
            self._scripts[name] = Script(name, batch, keys_of(self.filled, order))
        return self._scripts[name]

    def shaped(self, shape: str, batch: int) -> Script:
        """Batches in a shape over all values."""
        name = f"{shape} {batch}"
        if name in self._scripts:
            return self._scripts[name]
        most = min(_MOST_CALLS, _MOST_VALUES // batch)
        if shape == "contact":
            return self.script(name, contact_order(range(self.filled.customers)), batch, most)
        return self.script(name, random_order(range(self.filled.values)), batch, most)

    def warm_up(self, script: Script) -> None:
        """Sends every call of a script once, and has the C loop read the same, unless that was done."""
        if script.name not in self._warm:
            self.load.once(VAULT, script.name)
            if self._c_loop is not None:
                with confined(self._cores.server):
                    self._c_loop.read(script.keys, script.batch)
            self._warm.add(script.name)

    def vault_lap(self, script: Script, seconds: float) -> float:
        """Values a second for each core that the vault used."""
        before = self.cpu()
        lap = self.load.lap(VAULT, script.name, seconds)
        return lap.values / max(_LEAST_CPU, self.cpu() - before)

    def sdk_lap(self, script: Script, seconds: float) -> float:
        """The same, called by the SDK."""
        before = self.cpu()
        lap = self.load.sdk_lap(VAULT, script.name, seconds)
        return lap.values / max(_LEAST_CPU, self.cpu() - before)

    def echo_lap(self, script: Script, seconds: float) -> float:
        """Values a second for each core that the echo used, had its replies been real."""
        before = cpu_seconds([self._echo_pid])
        lap = self.load.lap(ECHO, script.name, seconds)
        return lap.values / max(_LEAST_CPU, cpu_seconds([self._echo_pid]) - before)

    def c_lap(self, script: Script, seconds: float, *, opened: bool = True) -> float:
        """Values a second of the C loop, on the vault's core."""
        assert self._c_loop is not None
        with confined(self._cores.server):
            start = self._c_turns.get(script.name, 0)
            took = self._c_loop.read(script.keys, script.batch, seconds, start=start, opened=opened)
            self._c_turns[script.name] = took.next
        return took.values / took.cpu_seconds

    def contestants(self, script: Script, size: Size) -> dict[str, Callable[[], float]]:
        """Vault, echo and C loop with the same values, and the C loop without opening."""
        return {
            VAULT: lambda: self.vault_lap(script, size.seconds),
            ECHO: lambda: self.echo_lap(script, size.seconds),
            C_LOOP: lambda: self.c_lap(script, size.c_seconds),
            C_GET: lambda: self.c_lap(script, size.c_seconds / 2, opened=False),
        }

    @contextmanager
    def denominators(self, library: Path, batches: Sequence[int] = BATCHES) -> Iterator[None]:
        """Runs the echo, which answers as the vault does to batches of these sizes, and opens the C loop."""
        replies = {}
        for batch in batches:
            order = list(range(self.filled.values - batch, self.filled.values))
            name = f"genuine {batch}"
            self.load.hold(name, calls := detokenize_calls(self.filled, order, batch))
            replies[len(calls[0].request)] = self.load.reply(VAULT, name)
        with (
            c_loop(library, self.filled.records()) as self._c_loop,
            echo_server(self.vault.data / "tls", replies, cores=self._cores.server) as echo,
        ):
            self._echo_pid = echo.pid
            self.load.connect(ECHO, target_of(self.vault, echo.address))
            yield


class Stage:
    """What all questions share."""

    def __init__(self, size: Size, tell: Callable[[str], None], keep: Path | None = None) -> None:
        """`keep` is a folder for filled vaults that are used again; without, all is temporary."""
        self.size = size
        self.cores = Cores.of_machine()
        self.tell = tell
        self._closing = ExitStack()
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="customer-vault-")))
        self._kept = keep
        self._library = build(self.folder)
        self._main: tuple[ExitStack, Serving] | None = None

    def filled(self, values: int, suite: int = XCHACHA20_POLY1305) -> Filled:
        """A vault of so many values, the same for all questions."""
        self.tell(f"filling a vault with {values:,} values")
        return filled((self._kept or self.folder) / f"{values}-{suite}", values, suite)

    def copied(self, source: Filled) -> Filled:
        """A copy of a vault that nobody has open, for a question that spoils it."""
        target = self.folder / "copied"
        shutil.copytree(source.folder, target)
        return replace(source, folder=target)

    @contextmanager
    def serving(self, source: Filled, *, denominators: bool = True, settings: str = "") -> Iterator[Serving]:
        """Serves a filled vault, with one worker on one core and room for every customer's key."""
        key_bytes = max(_CACHE_BYTES, SLOT_BYTES * source.customers * 21 // 20)
        settings += f'[storage]\nsuite = "{SUITES[source.suite].name}"\ndek_cache_bytes = {key_bytes}\n'
        with ExitStack() as stack:
            vault = stack.enter_context(self.started(source.folder, 1, self.cores.server, settings))
            sending = stack.enter_context(load(cores=self.cores.client))
            sending.connect(VAULT, target_of(vault))
            serving = Serving(vault, source, sending, self.cores)
            if denominators:
                stack.enter_context(serving.denominators(self._library))
            yield serving

    @contextmanager
    def serving_of(self, values: int, suite: int = XCHACHA20_POLY1305) -> Iterator[Serving]:
        """Serves a vault of so many values: the shared one if it is like that, else another beside it."""
        if (values, suite) == (self.size.values, XCHACHA20_POLY1305):
            yield self.main()
            return
        with self.serving(self.filled(values, suite)) as serving:
            yield serving

    @contextmanager
    def started(
        self, folder: Path, workers: int, cores: set[int], settings: str = ""
    ) -> Iterator[ThrowAwayVault]:
        """A vault in a folder, all of its processes confined to these cores."""
        vault = ThrowAwayVault(folder)
        vault.start(workers, settings=settings)
        try:
            for pid in descendants(vault.ready.pid):
                pin(pid, cores)
            yield vault
        except BaseException:
            vault.end()
            raise
        vault.stop()

    def main(self, *, fresh: bool = False) -> Serving:
        """The vault that most questions share; started anew if it is to be `fresh`."""
        if fresh:
            self.end_main()
        if self._main is None:
            source = self.filled(self.size.values)
            stack = ExitStack()
            self.tell("starting the vault")
            self._main = stack, stack.enter_context(self.serving(source))
        return self._main[1]

    def rounds(self, contestants: Mapping[str, Callable[[], float]], runs: int = 0) -> dict[str, list[float]]:
        """Runs every contestant once a round, for so many rounds, or those of a side question."""
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(runs or self.size.side_runs):
            for name, run in contestants.items():
                found[name].append(run())
        return found

    def end_main(self) -> None:
        """Ends the shared vault, if it runs, so that its core and its data are free."""
        main, self._main = self._main, None
        if main is not None:
            main[0].close()

    def close(self) -> None:
        """Ends what runs and removes what is not kept."""
        try:
            self.end_main()
        finally:
            self._closing.close()


def target_of(vault: ThrowAwayVault, address: str = "") -> Target:
    """How a client connects to a vault, or to another server that has its certificates."""
    ready = vault.ready
    files = ready.certificates["dev"]
    return Target(address or ready.address, ready.ca, files["certificate"], files["key"])
