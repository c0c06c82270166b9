"""A real `cvault witness` process, and the settings of a vault that it watches."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.support.deployment import Deployment

_START_SECONDS = 30.0
_CVAULT = str(Path(sys.executable).parent / "cvault")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that serves."""

    address: str
    key: str


def log_key(deployment: Deployment) -> str:
    """The verifier key of a vault's ledger, as an operator gets it."""
    command = [_CVAULT, "witness", "log", "--data", str(deployment.data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def remembered(directory: Path) -> dict[str, object]:
    """What `cvault witness show` says of the one ledger."""
    command = [_CVAULT, "witness", "show", "--directory", str(directory), "--json"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    (ledger,) = shown["ledgers"]
    return dict(ledger)


@contextmanager
def witnessing(directory: Path, *keys: str, listen: str = "127.0.0.1:0") -> Iterator[Witness]:
    """`cvault witness serve` until the context ends; it must then end by itself, with code 0."""
    ready_file = directory.with_suffix(".ready")
    ready_file.unlink(missing_ok=True)
    logs = [argument for key in keys for argument in ("--log", key)]
    command = [_CVAULT, "witness", "serve", "--directory", str(directory), "--listen", listen]
    process = subprocess.Popen([*command, "--ready-file", str(ready_file), *logs], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _START_SECONDS
        while not ready_file.exists():
            assert process.poll() is None, "the witness ended at start"
            assert time.monotonic() < end, "the witness did not start in time"
            time.sleep(0.02)
        ready = json.loads(ready_file.read_text())
        yield Witness(ready["address"], ready["key"])
    finally:
        process.terminate()
        code = process.wait(_START_SECONDS)
    assert code == 0


def watch(deployment: Deployment, witness: Witness, mirror: Path | None = None) -> None:
    """Configures a vault to be watched from its next opening on."""
    path = deployment.data_dir / "vault.toml"
    lines = [f'witness = "{witness.address}"', f'witness_key = "{witness.key}"']
    if mirror is not None:
        lines.append(f'mirror = "{mirror}"')
    path.write_text(path.read_text() + "\n[ledger]\n" + "\n".join(lines) + "\n")
