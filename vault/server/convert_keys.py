"""Messages of the keyring and of long work on it; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from customervault.v1 import key_service_pb2 as key_pb
from google.longrunning.operations_proto_pb2 import Operation

from vault.core import operations
from vault.errors import Reason, error_for
from vault.model.requests import KeyringStatus
from vault.server.convert import timestamp
from vault.server.status import status_of


def keyring_status(status: KeyringStatus) -> key_pb.GetKeyringStatusResponse:
    return key_pb.GetKeyringStatusResponse(
        epoch=status.epoch,
        epoch_create_time=timestamp(status.epoch_created_ms),
        provider=status.provider,
        assurance=status.assurance,
        root_key_id=status.root_key_id,
        customers=status.customers,
        shredded_customers=status.shredded_customers,
        wrapped_deks=status.wrapped_deks,
        token_key_generation=status.token_key_generation,
        ledger_entries=status.ledger_entries,
        ledger_applied=status.ledger_applied,
        vault_id=status.vault_id,
        signing_key_id=status.signing_key_id,
    )


def operation(model: operations.Operation) -> Operation:
    """Long work, as google.longrunning tells of it."""
    metadata = key_pb.RotateEpochMetadata(
        epoch=model.epoch,
        step=model.step,
        done=model.done,
        total=model.total,
        request_time=timestamp(model.requested_ms),
        start_time=timestamp(model.started_ms),
        update_time=timestamp(model.updated_ms),
        waits_for=model.message if model.state is operations.State.WAITING else "",
    )
    if model.remaining_ms is not None:
        metadata.remaining.FromMilliseconds(model.remaining_ms)
    message = Operation(name=model.name, done=model.finished)
    message.metadata.Pack(metadata)
    if model.state is operations.State.DONE:
        message.response.Pack(key_pb.RotateEpochResponse(epoch=model.epoch))
    elif model.state is operations.State.FAILED:
        message.error.CopyFrom(status_of(error_for(Reason(model.reason))(model.message)))
    return message
