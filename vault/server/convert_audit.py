"""Messages of the access log and of its proofs, to the model and back; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from customervault.v1 import audit_service_pb2 as audit_pb
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidRequestError
from vault.model.access import Decision
from vault.model.requests import Access, AccessQuery, AuditStatus, ConsistencyProof, InclusionProof
from vault.server.convert import END_OF_TIME_MS, from_basis, timestamp, to_page_size, to_ref


def to_access_query(message: audit_pb.ListAccessRequest) -> AccessQuery:
    """What to look for in the access log."""
    if message.order not in (audit_pb.ACCESS_ORDER_UNSPECIFIED, audit_pb.ACCESS_ORDER_RECORDED):
        raise InvalidRequestError("order: unknown number", field="order")
    return AccessQuery(
        customer=to_ref(message.customer) if message.HasField("customer") else None,
        principal=message.principal,
        start_ms=_to_ms(message.start_time) if message.HasField("start_time") else 0,
        end_ms=_to_ms(message.end_time) if message.HasField("end_time") else END_OF_TIME_MS,
        page_size=to_page_size(message.page_size),
        page_token=message.page_token,
        field_class=message.field_class,
        purpose=message.purpose,
        actions=tuple(message.actions),
        decision=_to_decision(message.decision),
        as_recorded=message.order == audit_pb.ACCESS_ORDER_RECORDED,
        only_new=message.only_new,
    )


def _to_decision(number: int) -> Decision | None:
    if number and number not in tuple(Decision):
        raise InvalidRequestError("decision: unknown number", field="decision")
    return Decision(number) if number else None


def _to_ms(time: Timestamp) -> int:
    """Whole milliseconds, rounded up: right for an inclusive start and for an exclusive end alike."""
    return time.seconds * 1000 + -(-time.nanos // 1_000_000)


def access(record: Access) -> audit_pb.Access:
    return audit_pb.Access(
        time=timestamp(record.time_ms),
        principal=record.principal,
        action=record.action,
        purpose=record.purpose,
        values_plain=record.values_plain,
        values_masked=record.values_masked,
        values_denied=record.values_denied,
        customers=record.customers,
        field_classes=record.field_classes,
        reasons=record.reasons,
        detail=record.detail,
        lawful_basis=from_basis(record.basis),
        break_glass=record.break_glass,
        leaf=record.leaf,
    )


def inclusion_proof(proof: InclusionProof) -> audit_pb.GetInclusionProofResponse:
    """That a record is sealed."""
    return audit_pb.GetInclusionProofResponse(
        leaf=proof.leaf,
        size=proof.size,
        entry=proof.entry,
        leaf_hash=proof.leaf_hash,
        hashes=proof.hashes,
        checkpoint=proof.checkpoint,
    )


def consistency_proof(proof: ConsistencyProof) -> audit_pb.GetConsistencyProofResponse:
    """That the sealed log only grew."""
    return audit_pb.GetConsistencyProofResponse(
        old_size=proof.old_size,
        size=proof.size,
        old_root=proof.old_root,
        hashes=proof.hashes,
        checkpoint=proof.checkpoint,
    )


def audit_status(status: AuditStatus) -> audit_pb.GetAuditStatusResponse:
    return audit_pb.GetAuditStatusResponse(
        segments=status.segments,
        records=status.records,
        bytes=status.bytes,
        free_bytes=status.free_bytes,
        writable=status.writable,
        sync_interval_ms=status.sync_interval_ms,
        gaps=status.gaps,
        sealed=status.sealed,
    )
