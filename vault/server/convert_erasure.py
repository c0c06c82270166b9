"""Messages of shreds, their stages and certificates, to the model and back; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from customervault.v1 import customer_service_pb2 as customer_pb
from customervault.v1 import erasure_service_pb2 as erasure_pb

from vault.errors import InvalidRequestError
from vault.model.erasure import Awaited, Stage, Step
from vault.model.requests import Certificate, Erasure, ShredResult
from vault.server.convert import timestamp
from vault.server.status import status_of

_STAGES = {
    Stage.EFFECTIVE: erasure_pb.ERASURE_STAGE_EFFECTIVE,
    Stage.FINAL_BEST_EFFORT: erasure_pb.ERASURE_STAGE_FINAL_BEST_EFFORT,
    Stage.FINAL: erasure_pb.ERASURE_STAGE_FINAL,
    Stage.HELD: erasure_pb.ERASURE_STAGE_HELD,
}
_STEPS = {
    Step.ROTATION: erasure_pb.AWAITED_STEP_ROTATION,
    Step.DESTRUCTION: erasure_pb.AWAITED_STEP_DESTRUCTION,
    Step.CONFIRMATION: erasure_pb.AWAITED_STEP_CONFIRMATION,
    Step.COPIES: erasure_pb.AWAITED_STEP_COPIES,
    Step.RESEALING: erasure_pb.AWAITED_STEP_RESEALING,
    Step.KEPT: erasure_pb.AWAITED_STEP_KEPT,
    Step.BACKUPS: erasure_pb.AWAITED_STEP_BACKUPS,
    Step.HOLD: erasure_pb.AWAITED_STEP_HOLD,
}


def to_stage(number: int) -> Stage | None:
    """The stage that is asked for; unspecified means any."""
    if not number:
        return None
    for stage, known in _STAGES.items():
        if known == number:
            return stage
    raise InvalidRequestError("stage: unknown number", field="stage")


def shred_result(result: ShredResult) -> customer_pb.ShredResult:
    return customer_pb.ShredResult(
        values=result.values,
        dek_generations=result.dek_generations,
        salt=result.salt,
        erasure=erasure(result.erasure) if result.erasure else None,
        certificate=certificate(result.certificate) if result.certificate else None,
        error=status_of(result.error) if result.error else None,
        held_values=result.held_values,
    )


def erasure(model: Erasure) -> erasure_pb.Erasure:
    return erasure_pb.Erasure(
        shred_id=model.shred_id,
        stage=_STAGES[model.stage],
        effective_time=timestamp(model.effective_ms),
        ledger_seq=model.ledger_seq,
        commitment=model.commitment,
        final_time=timestamp(model.final_ms),
        assurance=model.assurance.value if model.assurance else "",
        waits_for=[_awaited(each) for each in model.waits_for],
        held_values=model.held_values,
    )


def _awaited(root_key: Awaited) -> erasure_pb.AwaitedRootKey:
    return erasure_pb.AwaitedRootKey(
        root_key_id=root_key.root_key_id,
        epoch=root_key.epoch,
        provider=root_key.provider,
        step=_STEPS[root_key.step],
        due_time=timestamp(root_key.due_ms or 0),
        missing_copies=root_key.copies.count if root_key.copies else 0,
        missing_copies_epoch=root_key.copies.epoch if root_key.copies else 0,
    )


def certificate(model: Certificate) -> erasure_pb.Certificate:
    return erasure_pb.Certificate(
        content=model.content, stage=_STAGES[model.stage], key_id=model.key_id
    )  # fmt: skip
