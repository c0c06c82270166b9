"""`--dev`: a vault that founds itself, for trying things out.

    <data>/dev/passphrase          of the root key, random, 0600: readable to whoever reads the data
    <data>/dev/<principal>.crt|key of the administrator and of the two developers in the policy

Only a directory that was founded this way is served so; `check_loopback` keeps it from the network.
"""

import os
from pathlib import Path

from vault.config import Settings
from vault.core.founding import found
from vault.errors import InvalidRequestError
from vault.keys import passphrases
from vault.model.secret import Secret
from vault.policy.bootstrap import DEVELOPER, OTHER_DEVELOPER, development_policy
from vault.server.ready import Certificates

ADMIN = "admin"
DEVELOPERS = (DEVELOPER, OTHER_DEVELOPER)


def prepare(data_dir: Path, settings: Settings) -> tuple[Secret, Certificates]:
    """Founds a development vault where there is none; returns its passphrase and client certificates.

    Raises:
        InvalidRequestError: the vault that is there was not founded this way.
    """
    own = data_dir / "dev"
    kept = own / "passphrase"
    if not (data_dir / "FORMAT").exists():
        passphrase = passphrases.new()
        _keep(passphrase, kept)
        policy = development_policy(ADMIN)
        found(data_dir, settings, passphrase, admin=ADMIN, policy=policy, out=own, principals=DEVELOPERS)
    elif not kept.exists():
        raise InvalidRequestError(f"{data_dir} is not a development vault; serve it without --dev")
    return Secret(kept.read_text()), {name: _files(own, name) for name in (ADMIN, *DEVELOPERS)}


def _keep(passphrase: Secret, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(passphrase.reveal())


def _files(directory: Path, name: str) -> dict[str, str]:
    return {"certificate": str(directory / f"{name}.crt"), "key": str(directory / f"{name}.key")}
