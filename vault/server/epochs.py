"""The supervisor's part in a new epoch: it has the key provider at hand, and gives every process the keys.

- It holds the EDK of each epoch that is in use or about to be, in guarded memory, and the passphrase, so
  that rotations need nobody at the keyboard.
- The provider is asked on a thread of its own; what it says comes back through the supervisor's queue.
- A process that starts gets every key at once; one that runs gets a further key by its pipe. `epoch-held`
  is said when all have confirmed, `epoch-left` when none holds the key any more, dead ones counting as
  having let go.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vault.config import Settings
from vault.crypto.hazmat import GuardedMemory
from vault.errors import VaultError
from vault.keys.root_keys import describe_root_key, destroy_root_key
from vault.keys.unlock import create_epoch_key
from vault.model.ids import Epoch
from vault.model.secret import Secret
from vault.server.control import Message
from vault.server.logs import log
from vault.server.slots import Slot, State
from vault.store.files import Format

Post = Callable[[Callable[[], None]], None]
"""Has the supervisor's main thread call something."""


class EpochKeys:
    """Keys by epoch, and who holds them. Everything but the provider happens on the main thread."""

    def __init__(
        self,
        data_dir: Path,
        settings: Settings,
        passphrase: Secret | None,
        slots: Sequence[Slot],
        tell_keeper: Callable[..., None],
        post: Post,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._passphrase = passphrase
        self._slots = slots
        self._tell_keeper = tell_keeper
        self._post = post
        self._edks: dict[int, GuardedMemory] = {}
        self._awaited: set[int] = set()  # epochs that the keeper waits for to be held by all
        self._ending: set[int] = set()  # epochs that the keeper waits for to be left by all

    @property
    def held(self) -> Mapping[int, GuardedMemory]:
        """What a process is given when it starts."""
        return self._edks

    def add(self, epoch: int, edk: GuardedMemory) -> None:
        """Holds a key, and gives it to every process that runs."""
        former = self._edks.pop(epoch, None)
        if former is not None:
            former.free()
        self._edks[epoch] = edk
        self.step()

    def close(self) -> None:
        """Zeroes every key."""
        for edk in self._edks.values():
            edk.free()
        self._edks.clear()

    def heard(self, slot: Slot, message: Message) -> bool:
        """Acts on a message from a process; whether it was about epochs."""
        match message["kind"]:
            case "took-epoch":
                slot.taken.add(message["epoch"])
            case "left-epoch":
                slot.held.discard(message["epoch"])
                slot.taken.discard(message["epoch"])
            case "epoch-wanted":
                self._want(Epoch(message["epoch"]), message["root_key_id"])
            case "epoch-over":
                self._end(message["epoch"])
            case "key-destroy":
                self._destroy(message["root_key_id"], message["provider"])
            case _:
                return False
        self.step()
        return True

    def step(self) -> None:
        """Hands out and takes back what is due, and tells the keeper what has come about."""
        for slot in self._slots:
            if slot.state is State.READY:
                for epoch, edk in self._edks.items():
                    if epoch not in slot.held:
                        slot.give_epoch(epoch, edk)
                for epoch in slot.taken - self._edks.keys():
                    slot.taken.discard(epoch)  # asked for once; `held` tells until it has let go
                    slot.send("leave-epoch", epoch=epoch)
        for epoch in list(self._awaited):
            if epoch in self._edks and all(epoch in slot.taken for slot in self._slots if slot.pid):
                self._awaited.discard(epoch)
                self._tell_keeper("epoch-held", epoch=epoch)
        for epoch in list(self._ending):
            if not any(epoch in slot.held for slot in self._slots):
                self._ending.discard(epoch)
                self._tell_keeper("epoch-left", epoch=epoch)

    def _want(self, epoch: Epoch, root_key_id: str) -> None:
        self._awaited.add(epoch)

        def create() -> None:
            edk = create_epoch_key(
                self._data_dir, self._settings, self._passphrase,
                vault_id=Format.read(self._data_dir).vault_id, epoch=epoch, root_key_id=root_key_id,
            )  # fmt: skip
            self._post(lambda: self.add(epoch, edk))

        self._ask_provider(create)

    def _end(self, epoch: int) -> None:
        self._awaited.discard(epoch)
        edk = self._edks.pop(epoch, None)
        if edk is not None:
            edk.free()
        self._ending.add(epoch)
        for slot in self._slots:
            if epoch in slot.held:
                slot.taken.add(epoch)  # so that `step` asks, also one that could not let go before

    def _destroy(self, root_key_id: str, provider: str) -> None:
        def destroy() -> None:
            where = self._data_dir, self._passphrase
            done = destroy_root_key(*where, provider=provider, root_key_id=root_key_id)
            gone = done.holds(describe_root_key(*where, provider=provider, root_key_id=root_key_id))
            self._post(lambda: self._tell_keeper("key-destroyed", destruction=asdict(done), gone=gone))

        self._ask_provider(destroy)

    def _ask_provider(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except (VaultError, OSError) as error:
                text = str(error)
                log.error("key provider failed", exception=type(error).__name__)
                self._post(lambda: self._tell_keeper("key-failed", message=text))

        threading.Thread(target=run, name="key-provider", daemon=True).start()
