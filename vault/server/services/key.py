"""`KeyService`: the keyring's state, and new keys for a customer."""

from customervault.v1 import key_service_pb2 as pb
from google.longrunning.operations_proto_pb2 import Operation

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert, convert_keys


class KeyService:
    """Reports on and rotates keys."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def get_keyring_status(
        self, caller: Caller, request: pb.GetKeyringStatusRequest
    ) -> pb.GetKeyringStatusResponse:
        """Epoch, provider and counts."""
        del request  # it has no fields
        return convert_keys.keyring_status(self._vault.keyring_status(caller))

    def rotate_epoch(self, caller: Caller, request: pb.RotateEpochRequest) -> Operation:
        """Asks for a new epoch."""
        return convert_keys.operation(
            self._vault.rotate_epoch(caller, request.request_id, request.approval_id)
        )

    def rotate_dek(self, caller: Caller, request: pb.RotateDekRequest) -> pb.RotateDekResponse:
        """Gives one customer a new key."""
        generation, values = self._vault.rotate_dek(
            caller, convert.to_ref(request.customer), request.request_id
        )
        return pb.RotateDekResponse(dek_generation=generation, values_resealed=values)
