"""`google.longrunning.Operations`: how far long work is. There is only GetOperation."""

from google.longrunning import operations_proto_pb2 as pb

from vault.core.vault import Vault
from vault.model.requests import Caller
from vault.server import convert_keys


class OperationsService:
    """Reports on operations."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def get_operation(self, caller: Caller, request: pb.GetOperationRequest) -> pb.Operation:
        """One operation."""
        return convert_keys.operation(self._vault.operation(caller, request.name))
