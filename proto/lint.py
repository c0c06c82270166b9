"""Lints the API definition with buf.

buf wants every import below its root, so the definition and the few googleapis files that it
imports are laid side by side in a scratch folder; only our own files are linted.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import google.rpc  # the namespace that googleapis-common-protos installs into

ROOT = Path(__file__).resolve().parent


def main() -> int:
    googleapis = Path(next(iter(google.rpc.__path__))).parents[1]
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        shutil.copytree(ROOT / "customervault", tree / "customervault")
        for package in ("rpc", "api", "longrunning"):
            (tree / "google" / package).mkdir(parents=True)
            for file in (googleapis / "google" / package).glob("*.proto"):
                name = file.name.replace("operations_proto.proto", "operations.proto")  # see generate.py
                shutil.copy(file, tree / "google" / package / name)
        shutil.copy(ROOT / "buf.yaml", tree / "buf.yaml")
        return subprocess.run([Path(sys.executable).parent / "buf", "lint"], cwd=tree, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
