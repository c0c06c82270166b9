"""Certificates of erasure, from the shred to the day on which no copy of the key can be recovered."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.support.certificates import checked, published_keys
from tests.scenarios.support.deployment import (
    Deployment,
    Desks,
    by_id,
    copy_vault,
    found_vault,
    keep_backups,
)
from tests.scenarios.support.rotating import rotation
from tests.scenarios.support.slow_provider import DAY_MS, Clock, SlowProvider, slow_rotation
from tests.unit.keys.provider_services import kms_server
from vault.core.finality import LedgerEvents
from vault.erasure.events import Unit
from vault.erasure.finality import Finality
from vault.erasure.spans import Spans
from vault.erasure.verifying import Verified, verify
from vault.errors import VaultError
from vault.keys.provider import Assurance
from vault.model.erasure import Stage, Step
from vault.model.ids import CustomerNo, Generation, Region
from vault.store.entries import EpochIntent

pytestmark = pytest.mark.slow

JANE = {"name": "Jane Doe", "email": "jane@example.com"}


class Watched:
    """One shred, looked at as time goes by."""

    def __init__(self, deployment: Deployment, desks: Desks, clock: Clock, shred_id: str) -> None:
        self._deployment = deployment
        self._desks = desks
        self._clock = clock
        self._shred_id = shred_id

    def certificate(self) -> Verified:
        """The newest, checked by the clock of the vault."""
        made = self._desks.vault.get_certificate(self._desks.eraser.caller, self._shred_id)
        return checked(self._deployment, made, self._clock.now_ms)

    def content(self) -> bytes:
        return self._desks.vault.get_certificate(self._desks.eraser.caller, self._shred_id).content

    def stage(self) -> Stage:
        """What certificate, status and list say; they agree."""
        certified = self.certificate().conclusion
        erasure = self._desks.vault.get_erasure(self._desks.eraser.caller, self._shred_id)
        assert (erasure.stage, erasure.final_ms or None) == (certified.stage, certified.final_ms)
        assert erasure.assurance is certified.assurance
        assert bool(erasure.waits_for) == (erasure.stage is Stage.EFFECTIVE)
        for stage in (Stage.EFFECTIVE, Stage.FINAL_BEST_EFFORT, Stage.FINAL):
            listed = self._desks.vault.list_erasures(self._desks.eraser.caller, 10, "", stage).items
            assert (erasure in listed) == (erasure.stage is stage)
        return erasure.stage

    def waits_for(self) -> list[tuple[str, Step]]:
        found = self._desks.vault.get_erasure(self._desks.eraser.caller, self._shred_id).waits_for
        return [(each.root_key_id[:6], each.step) for each in found]


@pytest.fixture
def clock(desks: Desks) -> Clock:
    return Clock(desks.vault.engine)


@pytest.fixture
def watched(deployment: Deployment, desks: Desks, clock: Clock) -> Watched:
    desks.crm.store("crm-1", JANE)
    gone = desks.eraser.shred(by_id("crm-1"))
    assert gone.erasure is not None
    return Watched(deployment, desks, clock, gone.erasure.shred_id)


def test_a_certificate_is_final_only_after_the_provider_confirmed_at_or_after_the_date(
    desks: Desks, clock: Clock, watched: Watched
) -> None:
    slow = SlowProvider(clock, delay_ms=7 * DAY_MS)
    rotate = slow_rotation(desks.vault.engine, slow)
    assert watched.stage() is Stage.EFFECTIVE
    assert watched.waits_for() == [("root-1", Step.ROTATION)]
    rotate.rotate()
    (due_ms,) = slow.due_ms.values()
    assert watched.stage() is Stage.EFFECTIVE
    assert watched.waits_for() == [("root-1", Step.CONFIRMATION)]
    clock.pass_days(6.99)
    rotate.resume()
    assert watched.stage() is Stage.EFFECTIVE
    clock.now_ms = due_ms - 1
    rotate.resume()
    assert watched.stage() is Stage.EFFECTIVE
    clock.pass_days(1)  # the date has passed, and nobody has asked the provider
    assert watched.stage() is Stage.EFFECTIVE
    rotate.resume()
    assert watched.stage() is Stage.FINAL
    found = watched.certificate()
    assert found.conclusion.assurance is Assurance.SERVICE_ATTESTED
    assert found.conclusion.final_ms == clock.now_ms >= due_ms
    (root_key,) = found.conclusion.attempts
    assert root_key.due_ms == due_ms
    assert root_key.destroyed is not None
    assert root_key.destroyed.holds_from_ms == due_ms


def test_an_order_that_was_called_off_is_no_destruction(desks: Desks, clock: Clock, watched: Watched) -> None:
    slow = SlowProvider(clock, delay_ms=7 * DAY_MS)
    rotate = slow_rotation(desks.vault.engine, slow)
    rotate.rotate()
    (root_key_id,) = slow.due_ms
    slow.call_off(root_key_id)
    clock.pass_days(30)
    rotate.resume()  # ordered anew, from today
    assert watched.stage() is Stage.EFFECTIVE
    clock.pass_days(6)
    rotate.resume()
    assert watched.stage() is Stage.EFFECTIVE
    clock.pass_days(1)
    rotate.resume()
    assert watched.stage() is Stage.FINAL


def test_final_fails_on_every_changed_byte_and_not_as_it_is(
    deployment: Deployment, desks: Desks, clock: Clock, watched: Watched
) -> None:
    slow_rotation(desks.vault.engine, SlowProvider(clock, delay_ms=0)).rotate()
    assert watched.stage() is Stage.FINAL
    certificate, keys = watched.content(), published_keys(deployment.data_dir)
    verify(certificate, keys, now_ms=clock.now_ms)
    for at in range(len(certificate)):
        for bit in (1, 128):
            changed = bytearray(certificate)
            changed[at] ^= bit
            with pytest.raises(VaultError):
                verify(bytes(changed), keys, now_ms=clock.now_ms)


def test_it_is_not_final_before_the_providers_own_backups_have_ended(
    desks: Desks, clock: Clock, watched: Watched
) -> None:
    slow = SlowProvider(clock, delay_ms=DAY_MS, backups_ms=14 * DAY_MS)
    rotate = slow_rotation(desks.vault.engine, slow)
    rotate.rotate()
    clock.pass_days(2)
    rotate.resume()
    assert watched.stage() is Stage.EFFECTIVE
    assert watched.waits_for() == [("root-1", Step.BACKUPS)]
    clock.now_ms = next(iter(slow.due_ms.values())) + 14 * DAY_MS - 1
    assert watched.stage() is Stage.EFFECTIVE
    clock.now_ms += 1
    assert watched.stage() is Stage.FINAL


@pytest.mark.parametrize(
    "truth",
    [{"assurance": Assurance.BEST_EFFORT}, {"assurance": Assurance.HARDWARE, "backups_ms": None}],
    ids=["the provider cannot prove it", "nobody knows how long backups live"],
)
def test_best_effort_is_said_where_it_is_the_truth(
    desks: Desks, clock: Clock, watched: Watched, truth: dict[str, object]
) -> None:
    slow = SlowProvider(clock, delay_ms=0, **truth)  # type: ignore[arg-type]
    slow_rotation(desks.vault.engine, slow).rotate()
    assert watched.stage() is Stage.FINAL_BEST_EFFORT
    statement = watched.certificate().statement
    assert any("cannot be proven" in each for each in statement.not_covered)


def test_with_key_files_it_is_best_effort_always(desks: Desks, watched: Watched) -> None:
    """Also when the vault's clock, which stands still here, is behind what the provider saw."""
    rotation(desks.vault).rotate()
    assert watched.stage() is Stage.FINAL_BEST_EFFORT
    assert watched.certificate().conclusion.assurance is Assurance.BEST_EFFORT


def test_an_abandoned_attempt_is_waited_for_and_its_proof_counts(
    desks: Desks, clock: Clock, deployment: Deployment
) -> None:
    """It ran while the customer lived, so it may have wrapped its key."""
    desks.crm.store("crm-1", JANE)
    slow = SlowProvider(clock, delay_ms=7 * DAY_MS)

    def crash(step: str) -> None:
        if step == "copied":
            raise KeyboardInterrupt

    broken = slow_rotation(desks.vault.engine, slow)
    broken._after_step = crash
    with pytest.raises(KeyboardInterrupt):
        broken.rotate()
    gone = desks.eraser.shred(by_id("crm-1"))
    assert gone.erasure is not None
    watched = Watched(deployment, desks, clock, gone.erasure.shred_id)
    assert watched.waits_for() == [("root-1", Step.ROTATION), ("root-2", Step.ROTATION)]
    rotate = slow_rotation(desks.vault.engine, slow)
    rotate.rotate()
    assert watched.waits_for() == [("root-1", Step.CONFIRMATION), ("root-2", Step.CONFIRMATION)]
    clock.pass_days(7)
    rotate.resume()
    assert watched.stage() is Stage.FINAL
    attempts = watched.certificate().conclusion.attempts
    assert [(each.epoch, each.attempt, each.abandoned_seq is None) for each in attempts] == [
        (1, 1, True),
        (2, 1, False),
    ]


def test_a_swap_that_a_crash_cut_off_is_not_taken_for_the_end_of_an_epoch(
    desks: Desks, clock: Clock, watched: Watched
) -> None:
    """Its ledger entry is there, and voided by whoever writes next."""
    engine = desks.vault.engine
    slow = SlowProvider(clock, delay_ms=0)
    rotate = slow_rotation(engine, slow)
    swapping: list[str] = []

    def crash(step: str) -> None:
        if swapping and step == "ledger":
            raise RuntimeError("crash")

    rotate._after_step = lambda step: swapping.append(step) if step == "followed" else None
    engine.store._shared.after_step = crash
    with pytest.raises(RuntimeError, match="crash"):
        rotate.rotate()
    engine.store._shared.after_step = lambda _: None
    assert watched.waits_for() == [("root-1", Step.ROTATION)]
    desks.crm.store("crm-2", JANE)
    late = desks.eraser.shred(by_id("crm-2"))
    assert late.erasure is not None
    assert watched.waits_for() == [("root-1", Step.ROTATION)]
    slow_rotation(engine, slow).rotate()
    assert watched.stage() is Stage.FINAL
    found = desks.vault.get_erasure(desks.eraser.caller, late.erasure.shred_id)
    assert found.stage is Stage.FINAL


def test_generations_replaced_before_are_covered(desks: Desks, clock: Clock, deployment: Deployment) -> None:
    """Old bytes of the same values open under the first generation, whose epoch is not gone yet."""
    desks.crm.store("crm-1", JANE)
    slow = SlowProvider(clock, delay_ms=7 * DAY_MS)
    slow_rotation(desks.vault.engine, slow).rotate()
    desks.vault.rotate_dek(desks.admin.caller, by_id("crm-1"), "")
    gone = desks.eraser.shred(by_id("crm-1"))
    assert gone.erasure is not None
    watched = Watched(deployment, desks, clock, gone.erasure.shred_id)
    assert [each.generation for each in watched.certificate().statement.generations] == [2]
    assert watched.waits_for() == [("root-1", Step.CONFIRMATION), ("root-2", Step.ROTATION)]


@pytest.fixture
def without_backups(template: Deployment, tmp_path: Path) -> Iterator[tuple[Deployment, Desks]]:
    """A vault that keeps no replaced data key for them."""
    deployment = copy_vault(template, tmp_path)
    keep_backups(deployment, 0)
    with deployment.opened() as desks:
        yield deployment, desks


def test_a_deleted_value_is_final_with_the_rotation_that_follows(
    without_backups: tuple[Deployment, Desks],
) -> None:
    """By what is said of the erasure, and by the rule applied to the generation that sealed it."""
    deployment, desks = without_backups
    clock = Clock(desks.vault.engine)
    (_, email) = desks.crm.tokens("crm-1", JANE)
    desks.crm.delete(email)
    engine, slow = desks.vault.engine, SlowProvider(clock, delay_ms=DAY_MS)
    rotate = slow_rotation(engine, slow)
    old = Unit(Region(1), CustomerNo(1), Generation(1))
    (erasure,) = desks.vault.list_erasures(desks.eraser.caller, 10, "").items
    watched = Watched(deployment, desks, clock, erasure.shred_id)

    def of_the_generation() -> Stage:
        spans, rule, told = Spans([old]), Finality(), LedgerEvents()
        for event in map(told.event, engine.store.ledger()):
            spans.apply(event)
            rule = rule.after(event)
        return rule.verdict(spans.span(old), clock.now_ms).stage

    assert of_the_generation() is Stage.LIVE  # deleted, but the key that opens the old bytes is in use
    assert watched.waits_for() == [("root-1", Step.ROTATION)]
    rotate.rotate()
    assert watched.waits_for() == [("root-1", Step.CONFIRMATION)]
    assert watched.stage() is of_the_generation() is Stage.EFFECTIVE
    clock.pass_days(1)
    assert watched.stage() is Stage.EFFECTIVE
    rotate.resume()
    assert watched.stage() is of_the_generation() is Stage.FINAL
    assert watched.certificate().conclusion.assurance is Assurance.SERVICE_ATTESTED


def test_certificates_survive_a_restart_and_name_the_same_facts(deployment: Deployment) -> None:
    with deployment.opened() as desks:
        desks.crm.store("crm-1", JANE)
        gone = desks.eraser.shred(by_id("crm-1"))
        assert gone.erasure is not None
        rotation(desks.vault).rotate()
        before = desks.vault.get_certificate(desks.eraser.caller, gone.erasure.shred_id)
    with deployment.opened() as desks:
        after = desks.vault.get_certificate(desks.eraser.caller, gone.erasure.shred_id)
        statement = checked(deployment, after).statement
    assert statement.attempts == checked(deployment, before).statement.attempts
    assert checked(deployment, gone.certificate).conclusion.stage is Stage.EFFECTIVE  # still true of its time


@pytest.fixture
def kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A vault whose root keys are in moto's KMS."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    with kms_server(tmp_path / "log") as url:
        settings = f'provider = "aws-kms"\n[keys.aws_kms]\nregion = "eu-central-1"\nendpoint = "{url}"\n'
        yield found_vault(tmp_path / "vault", settings=settings)


def test_with_aws_kms_the_deletion_date_and_its_confirmation_are_waited_for(kms: Deployment) -> None:
    with kms.opened() as desks:
        desks.crm.store("crm-1", JANE)
        gone = desks.eraser.shred(by_id("crm-1"))
        assert gone.erasure is not None
        engine, shred_id = desks.vault.engine, gone.erasure.shred_id
        rotation(desks.vault).rotate()
        waiting = desks.vault.get_erasure(desks.eraser.caller, shred_id)
        assert waiting.stage is Stage.EFFECTIVE
        (awaited,) = waiting.waits_for
        assert (awaited.provider, awaited.step) == ("aws-kms", Step.CONFIRMATION)
        assert awaited.due_ms is not None
        assert awaited.due_ms - engine.now_ms() > 6.9 * DAY_MS
        rotation(desks.vault).resume()
        assert desks.vault.get_erasure(desks.eraser.caller, shred_id).stage is Stage.EFFECTIVE
        # As the record will be on that day: the date has passed, and AWS does not know the key any more.
        first = next(e.payload for e in engine.store.ledger() if isinstance(e.payload, EpochIntent))
        record = kms.data_dir / "root" / f"{first.root_key_id}.aws-kms.json"
        known = json.loads(record.read_text())
        known |= {"arn": known["arn"].replace("key/", "key/0"), "destruction_ms": engine.now_ms() - 1}
        record.write_text(json.dumps(known))
        assert desks.vault.get_erasure(desks.eraser.caller, shred_id).stage is Stage.EFFECTIVE
        rotation(desks.vault).resume()
        certificate = desks.vault.get_certificate(desks.eraser.caller, shred_id)
        conclusion = checked(kms, certificate).conclusion
        assert (conclusion.stage, conclusion.assurance) == (Stage.FINAL, Assurance.SERVICE_ATTESTED)
