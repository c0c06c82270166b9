"""Settings of a client: explicit arguments first, then `CVAULT_*` variables, then defaults."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from customervault.errors import ConfigurationError

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a client needs to connect. Certificates and key are PEM, as read from their files."""

    address: str
    ca: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    domain: str
    purpose: str
    timeout_seconds: float
    channels: int
    max_batch: int
    max_attempts: int
    server_name: str | None
    coalesce: bool


def resolve(
    address: str | None,
    *,
    ca: PathLike | None,
    certificate: PathLike | None,
    key: PathLike | None,
    domain: str | None,
    purpose: str | None,
    timeout: float | None,
    channels: int,
    max_batch: int,
    max_attempts: int,
    server_name: str | None,
    coalesce: bool,
) -> Config:
    """Settings from arguments and environment.

    Raises:
        ConfigurationError: Something is missing or unusable; names argument and variable.
    """
    return Config(
        address=_required("address", address),
        ca=_read("ca", ca),
        certificate=_read("certificate", certificate),
        key=_read("key", key),
        domain=_optional("domain", domain),
        purpose=_optional("purpose", purpose),
        timeout_seconds=_timeout_seconds(timeout),
        channels=_at_least_one("channels", channels),
        max_batch=_at_least_one("max_batch", max_batch),
        max_attempts=_at_least_one("max_attempts", max_attempts),
        server_name=server_name,
        coalesce=coalesce,
    )


def _variable(argument: str) -> str:
    return f"CVAULT_{argument.upper()}"


def _required(argument: str, explicit: PathLike | None) -> str:
    value = os.fspath(explicit) if explicit else os.environ.get(_variable(argument), "")
    if not value:
        raise ConfigurationError(f"missing {argument}: pass {argument}=... or set {_variable(argument)}")
    return value


def _optional(argument: str, explicit: str | None) -> str:
    return explicit if explicit is not None else os.environ.get(_variable(argument), "")


def _read(argument: str, explicit: PathLike | None) -> bytes:
    path = Path(_required(argument, explicit))
    try:
        return path.read_bytes()
    except OSError as failure:
        raise ConfigurationError(
            f"cannot read {argument} (argument {argument}, variable {_variable(argument)}): "
            f"{path}: {failure.strerror}"
        ) from failure


def _timeout_seconds(explicit: float | None) -> float:
    text = os.environ.get("CVAULT_TIMEOUT", "")
    try:
        seconds = explicit if explicit is not None else float(text or _DEFAULT_TIMEOUT_SECONDS)
    except ValueError:
        raise ConfigurationError("timeout (CVAULT_TIMEOUT) is not a number of seconds") from None
    if not 0 < seconds < float("inf"):
        raise ConfigurationError("timeout (CVAULT_TIMEOUT) must be above 0 seconds and finite")
    return seconds


def _at_least_one(argument: str, value: int) -> int:
    if value < 1:
        raise ConfigurationError(f"{argument} must be at least 1")
    return value


_DEFAULT_TIMEOUT_SECONDS = 10.0
