"""Certificates as their reader checks them: from their bytes and the vault's published keys alone."""

import time
from pathlib import Path

from tests.scenarios.support.deployment import Deployment
from vault.erasure.publickeys import public_keys
from vault.erasure.verifying import Verified, verify
from vault.model.requests import Certificate, ShredResult


def published_keys(data_dir: Path) -> dict[str, bytes]:
    """What a reader has of the vault."""
    return public_keys((data_dir / "public" / "keys.json").read_bytes())


def checked(deployment: Deployment, certificate: Certificate | None, now_ms: int | None = None) -> Verified:
    """A certificate that holds; what is said about it is what it says."""
    assert certificate is not None
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    verified = verify(certificate.content, published_keys(deployment.data_dir), now_ms=moment)
    assert verified.conclusion.stage is certificate.stage
    assert verified.key_id == certificate.key_id
    assert verified.ledger_checked
    return verified


def checked_shred(deployment: Deployment, gone: ShredResult) -> Verified:
    """The certificate that came with a shred."""
    verified = checked(deployment, gone.certificate)
    assert gone.erasure is not None
    assert verified.statement.erasure_id == gone.erasure.shred_id
    assert verified.statement.commitment == gone.erasure.commitment
    return verified
