"""A directory of copied files with a manifest: whole, or not there.

    <name>/MANIFEST.json    {"format": 1, "kind": text, "vault_id": hex, "created_ms": n, "facts": {...},
                             "files": {path: {"bytes": n, "sha256": hex}, ...}}
    .partial-<name>/        one that is being made, or whose making was interrupted
    .removing-<name>/       one that is being removed

Rules:
- The manifest is written last, everything is synced, and then the directory gets its name. Removing begins by
  taking the name away. So whatever bears a name of its own is whole.
- The manifest is not signed: what the files hold is authenticated in itself.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vault.errors import IntegrityFailedError, InvalidRequestError, StorageFormatError
from vault.store.files import sync_directory, sync_file, write_durably

MANIFEST_FILE: Final = "MANIFEST.json"
_FORMAT: Final = 1
_PARTIAL: Final = ".partial-"
_REMOVING: Final = ".removing-"
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a manifest says."""

    path: Path
    kind: str
    vault_id: bytes
    created_ms: int
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(int(each["bytes"]) for each in self.files.values())

    @classmethod
    def read(cls, path: Path, kind: str) -> "Bundle":
        """Reads a manifest.

        Raises:
            InvalidRequestError: there is none, or it is of another kind.
            StorageFormatError: its format is unknown.
            IntegrityFailedError: it is damaged.
        """
        try:
            content = json.loads((path / MANIFEST_FILE).read_bytes())
            known, found = content["format"], content["kind"]
            bundle = cls(
                path, found, bytes.fromhex(content["vault_id"]), int(content["created_ms"]),
                dict(content["facts"]), dict(content["files"]),
            )  # fmt: skip
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidRequestError(f"{path} holds no {MANIFEST_FILE}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailedError(file=MANIFEST_FILE) from error
        if known != _FORMAT:
            raise StorageFormatError("the copy has an unknown format", format=str(known))
        if found != kind:
            raise InvalidRequestError(f"{path} is a copy of another kind: {found}, not {kind}")
        return bundle

    def damaged(self) -> list[str]:
        """Files that are missing, or are not what the manifest says."""
        return [name for name, said in self.files.items() if _described(self.path / name) != said]

    def copy_file(self, name: str, target: Path) -> None:
        """Copies one file, which must be what the manifest says.

        Raises:
            IntegrityFailedError: it is not.
        """
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(self.path / name, target)
        target.chmod(0o600)
        if _described(target) != self.files.get(name):
            raise IntegrityFailedError(file=name)


@contextmanager
def making(
    directory: Path, name: str, *, kind: str, vault_id: bytes, created_ms: int, facts: dict[str, Any]
) -> Iterator[Path]:
    """Makes the bundle `name` of the files that the block writes into the path it gets.

    `facts` may be completed within the block. If the block raises, nothing is left.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = directory / f"{_PARTIAL}{name}"
    if (directory / name).exists():
        raise InvalidRequestError(f"there is a copy named {name} already")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    try:
        yield partial
        paths = sorted(each for each in partial.rglob("*") if each.is_file())
        content = {
            "format": _FORMAT,
            "kind": kind,
            "vault_id": vault_id.hex(),
            "created_ms": created_ms,
            "facts": facts,
            "files": {str(each.relative_to(partial)): _described(each) for each in paths},
        }
        sync_tree(partial)
        write_durably(partial / MANIFEST_FILE, json.dumps(content, indent=2).encode() + b"\n")
        partial.rename(directory / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(directory)


def bundles(directory: Path, kind: str) -> list[Bundle]:
    """Every bundle of a kind in a directory, oldest first; other things there are passed over."""
    if not directory.is_dir():
        raise InvalidRequestError(f"{directory} is no directory")
    found = []
    for path in directory.iterdir():
        if not path.name.startswith(".") and (path / MANIFEST_FILE).is_file():
            try:
                found.append(Bundle.read(path, kind))
            except InvalidRequestError:
                continue  # a bundle of another kind
    return sorted(found, key=lambda bundle: (bundle.created_ms, bundle.path.name))


def remove(bundle: Bundle) -> None:
    """Removes a bundle; whatever a crash leaves bears no name of its own."""
    directory = bundle.path.parent
    removing = directory / f"{_REMOVING}{bundle.path.name}"
    if removing.exists():
        shutil.rmtree(removing)
    bundle.path.rename(removing)
    sync_directory(directory)
    shutil.rmtree(removing)
    sync_directory(directory)


def clear_leftovers(directory: Path, untouched_for_seconds: float) -> int:
    """Removes what interrupted makings and removals left; returns how many.

    One that is going on changes its directory, so it is younger than `untouched_for_seconds`.
    """
    left = [
        each
        for each in directory.iterdir()
        if each.name.startswith((_PARTIAL, _REMOVING))
        and time.time() - each.stat().st_mtime >= untouched_for_seconds
    ]
    for each in left:
        shutil.rmtree(each)
    return len(left)


def outdated(
    found: list[Bundle], *, keep: int, older_than_ms: int | None, worthless: Callable[[Bundle], bool]
) -> list[Bundle]:
    """Which of `found` (oldest first) may go: worthless ones, and all but the newest `keep`.

    With `older_than_ms`, Unix time, of the latter only those made before it.
    """
    worth = [each for each in found if not worthless(each)]
    beyond = worth[: max(len(worth) - keep, 0)]
    old = [each for each in beyond if older_than_ms is None or each.created_ms < older_than_ms]
    return [each for each in found if each in old or worthless(each)]


def bundle_name(created_ms: int) -> str:
    """A name that sorts by time: `20261121T224003.512Z`."""
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{created_ms % 1000:03}Z"


def sync_tree(root: Path) -> None:
    """Makes everything below `root` durable."""
    for path in root.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        elif path.is_file():
            sync_file(path)
    sync_directory(root)


def _described(path: Path) -> dict[str, Any]:
    try:
        digest, size = hashlib.sha256(), os.stat(path).st_size
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
    except OSError:
        return {}
    return {"bytes": size, "sha256": digest.hexdigest()}
