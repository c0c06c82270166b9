"""The keeper's `Custodian`: it asks the supervisor, which has the key provider and every process's pipe."""

import queue

from vault.errors import KeyUnavailableError
from vault.keys.provider import Assurance, Destruction
from vault.model.ids import Epoch
from vault.server.control import Channel, Message

ANSWERS = ("epoch-held", "epoch-left", "key-destroyed", "key-failed")
_PATIENCE_SECONDS = 300.0


class SupervisorsCustodian:
    """Waits for the supervisor's answers; used by one thread, while another delivers them."""

    def __init__(self, channel: Channel, provider: str) -> None:
        self.provider = provider
        self._channel = channel
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def deliver(self, message: Message) -> None:
        """Takes an answer of the supervisor."""
        self._answers.put(message)

    def create(self, epoch: Epoch, root_key_id: str) -> None:
        """Has the epoch's key made and handed to every process."""
        self._ask("epoch-held", "epoch-wanted", epoch=epoch, root_key_id=root_key_id)

    def retire(self, epoch: Epoch) -> None:
        """Has every process let go of the epoch's key."""
        self._ask("epoch-left", "epoch-over", epoch=epoch)

    def destroy(self, root_key_id: str, provider: str) -> tuple[Destruction, bool]:
        """Has the root key destroyed."""
        told = self._ask("key-destroyed", "key-destroy", root_key_id=root_key_id, provider=provider)
        said = told["destruction"]
        return Destruction(**said | {"assurance": Assurance(said["assurance"])}), told["gone"]

    def _ask(self, answer: str, kind: str, **content: object) -> Message:
        while not self._answers.empty():
            self._answers.get()  # late, to a question that was given up
        self._channel.send(kind, **content)
        try:
            said = self._answers.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty:
            raise KeyUnavailableError("not every process took or left the epoch's key in time") from None
        if said["kind"] != answer:
            raise KeyUnavailableError(said.get("message", "the supervisor gave another answer"))
        return said
