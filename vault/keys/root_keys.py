"""Root keys, asked for and ended through the provider's child.

Each call names the provider that holds the key, because it may be another than the one of new epochs:
moving from one provider to another is an epoch rotation, which destroys the old root key where it is.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from vault.errors import KeyUnavailableError
from vault.keys.provider import Assurance, Destruction, KeyDescription, KeyState
from vault.keys.unlock import run_child
from vault.model.secret import Secret


def describe_root_key(
    data_dir: Path, passphrase: Secret | None, *, provider: str, root_key_id: str
) -> KeyDescription:
    """The state of a root key.

    Raises:
        KeyUnavailableError: the provider cannot be used now; says why.
    """
    return _description(_ask(["describe", str(data_dir), provider, root_key_id], passphrase))


def disable_root_key(
    data_dir: Path, passphrase: Secret | None, *, provider: str, root_key_id: str
) -> KeyDescription:
    """Stops all use of a root key, reversibly; idempotent.

    Raises:
        KeyUnavailableError: the provider cannot be used now, or the key is neither active nor disabled.
    """
    return _description(_ask(["disable", str(data_dir), provider, root_key_id], passphrase))


def enable_root_key(
    data_dir: Path, passphrase: Secret | None, *, provider: str, root_key_id: str
) -> KeyDescription:
    """Takes `disable_root_key` back; idempotent.

    Raises:
        KeyUnavailableError: the provider cannot be used now, or the key is neither active nor disabled.
    """
    return _description(_ask(["enable", str(data_dir), provider, root_key_id], passphrase))


def destroy_root_key(
    data_dir: Path, passphrase: Secret | None, *, provider: str, root_key_id: str
) -> Destruction:
    """Ends a root key; idempotent. What it wrapped is lost for good once the destruction holds.

    Whether it does is `Destruction.holds` of a later `describe_root_key`. An `effective_ms` of None proves
    nothing: the provider shows no trace of the key.

    Raises:
        KeyUnavailableError: the provider cannot be used now; says why. Repeat it.
    """
    return _destruction(_ask(["destroy", str(data_dir), provider, root_key_id], passphrase))


def check_provider(data_dir: Path, passphrase: Secret | None) -> Destruction:
    """Takes a throw-away root key of the configured provider through its life: create, wrap, open, destroy.

    Raises:
        KeyUnavailableError: a step failed; says why.
    """
    return _destruction(_ask(["check", str(data_dir)], passphrase))


def _ask(arguments: list[str], passphrase: Secret | None) -> dict[str, Any]:
    said = run_child(arguments, passphrase, subprocess.PIPE)
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError as error:
        raise KeyUnavailableError("the key provider gave an answer of another form") from error
    return answer


def _description(answer: dict[str, Any]) -> KeyDescription:
    return KeyDescription(**answer | {"state": KeyState(answer["state"])})


def _destruction(answer: dict[str, Any]) -> Destruction:
    return Destruction(**answer | {"assurance": Assurance(answer["assurance"])})
