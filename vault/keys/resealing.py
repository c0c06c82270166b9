"""Seals the root keys of the provider `file` anew: under another passphrase or another key file.

Rules:
- Every root key is opened before the first file is written, so a wrong old passphrase changes nothing.
- One file after the other: written, synced, renamed. At every moment each opens with the old secret or the
  new one. Whoever was cut off repeats the same call: what the new secret opens already is left alone.
- Nobody makes, disables or destroys a root key meanwhile (`root_keys_alone`): a key made under the old
  passphrase in between would be lost with it, and a destroyed one must not come back.
- It is the sealing that changes, not the root key: an old copy of a file opens with the old secret.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.errors import KeyUnavailableError
from vault.keys.file_provider import FileProvider


@dataclass(frozen=True, slots=True)
class Resealed:
    """Ids of root keys: those sealed anew now, and those that the new secret opened already."""

    now: tuple[str, ...]
    before: tuple[str, ...]


def reseal(data_dir: Path, old: FileProvider, new: FileProvider) -> Resealed:
    """Seals every root key that `old` opens under the secret of `new`.

    Args:
        data_dir: of the vault.
        old: the provider with the secret of before.
        new: of the same directory, with the secret from now on.

    Raises:
        KeyUnavailableError: a root key opens with neither, and nothing was changed; or there is none.
    """
    with root_keys_alone(data_dir):
        found = old.sealed_root_keys()
        if not found:
            raise KeyUnavailableError(f"there is no root key in {old.directory}")
        waiting: list[str] = []
        done: list[str] = []
        for root_key_id in found:
            (done if _opens(new, root_key_id) else waiting).append(root_key_id)
        for root_key_id in waiting:
            old.check_opens(root_key_id)
        for root_key_id in waiting:
            new.seal_anew(root_key_id, old)
    return Resealed(tuple(waiting), tuple(done))


@contextmanager
def root_keys_alone(data_dir: Path) -> Iterator[None]:
    """Waits until nobody else changes root keys of this vault, and keeps others from it meanwhile."""
    descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opens(provider: FileProvider, root_key_id: str) -> bool:
    try:
        provider.check_opens(root_key_id)
    except KeyUnavailableError:
        return False
    return True
