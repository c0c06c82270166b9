"""Rewrites the locks: exact versions, with hashes.

    requirements.lock              what a vault needs
    requirements-providers.lock    the same, and the libraries of all key providers
    requirements-tables.lock       what a machine needs that runs table jobs on Parquet files
    requirements-dev.lock          everything

Needs uv on the path. The locks name no index, so that any mirror serves them.
"""

import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "--quiet",
    "--no-config",
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--no-annotate",
]


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [d for d in project["project"]["dependencies"] if not d.startswith("customer-vault")]
    sdk = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    client, tables = sdk["dependencies"], sdk["optional-dependencies"]["tables"]
    extras = [d for wanted in project["project"]["optional-dependencies"].values() for d in wanted]
    extras = [d for d in extras if not d.startswith("customer-vault")]
    dev = project["dependency-groups"]["dev"]
    with tempfile.TemporaryDirectory() as scratch:
        locks = {
            "requirements": runtime + client,
            "requirements-providers": runtime + client + extras,
            "requirements-tables": runtime + client + tables,
            "requirements-dev": runtime + client + extras + tables + dev,
        }
        for name, wanted in locks.items():
            source = Path(scratch) / f"{name}.in"
            source.write_text("\n".join(wanted) + "\n")
            target = ROOT / f"{name}.lock"
            subprocess.run(["uv", "pip", "compile", *OPTIONS, str(source), "-o", str(target)], check=True)


if __name__ == "__main__":
    main()
