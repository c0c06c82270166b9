"""Generates the Python stubs in clients/python from the API definition, or checks them.

googleapis-common-protos brings `google/longrunning/operations.proto` under another file name, so protoc is
shown a copy under its own.

Usage:
    python proto/generate.py            write the stubs
    python proto/generate.py --check    exit 1 when the committed stubs differ
"""

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
TARGET = ROOT.parent / "clients" / "python"
PACKAGE = Path("customervault/v1")
OPERATIONS = Path("google/longrunning/operations.proto")
HEADER = "# Generated from proto/ by `make proto`. Do not edit.\n"


def generate(target: Path) -> None:
    """Writes message, service and type stubs for every proto file below `target`."""
    import google.api  # the namespace that googleapis-common-protos installs into

    googleapis = Path(next(iter(google.api.__path__))).parents[1]
    bin_dir = Path(sys.executable).parent
    renamed = target / "renamed" / OPERATIONS
    renamed.parent.mkdir(parents=True)
    shutil.copy(googleapis / OPERATIONS.with_name("operations_proto.proto"), renamed)
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{target / 'renamed'}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"-I{googleapis}",
        f"--plugin=protoc-gen-mypy={bin_dir / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_dir / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *sorted(str(path) for path in (ROOT / PACKAGE).glob("*.proto")),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    shutil.rmtree(target / "renamed")
    out = target / PACKAGE
    (out / "__init__.py").write_text('"""Stubs of the customervault.v1 API."""\n')
    for path in out.iterdir():
        path.write_text(HEADER + path.read_text())


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {p.name: p.read_text() for p in (Path(scratch) / PACKAGE).iterdir()}
        committed_dir = TARGET / PACKAGE
        if sys.argv[1:] == ["--check"]:
            committed = {p.name: p.read_text() for p in committed_dir.iterdir() if p.is_file()}
            drift = sorted(n for n in fresh.keys() | committed if fresh.get(n) != committed.get(n))
            if drift:
                raise SystemExit(f"stubs differ from proto/: {', '.join(drift)}; run `make proto`")
            return
        shutil.rmtree(committed_dir, ignore_errors=True)
        shutil.copytree(Path(scratch) / PACKAGE, committed_dir)


if __name__ == "__main__":
    main()
