import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.unit.cli.conftest import Cvault
from vault.cli.exits import ExitCode, code_for, code_for_batch
from vault.cli.main import build
from vault.errors import DeniedError, Reason, ServiceError, error_for


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = dict(commands(typer.main.get_command(build())))
LEAVES = [path for path, command in ALL.items() if not hasattr(command, "commands")]
WITNESS = {("witness", name) for name in ("serve", "show", "log")}
OFFLINE = {
    ("init",),
    ("serve",),
    ("check",),
    ("version",),
    ("keys", "provider-check"),
    ("keys", "passphrase"),
    ("keys", "rotate-token-key"),
    ("keys", "rotate-signing-key"),
    ("keys", "rotate-pseudonym-key"),
    ("keys", "rotate-ca"),
    ("erasure", "verify"),
    ("audit", "verify"),
    ("consent", "verify"),
    ("policy", "test"),
} | WITNESS
OFFLINE |= {("keys", name) for name in ("copy", "copies", "verify", "prune")}
OFFLINE |= {path for path in LEAVES if path[0] == "backup"}
SILENT = {("serve",), ("witness", "serve")}


def test_the_tree_is_complete() -> None:
    top = {path[0] for path in ALL if path}
    assert top == {
        *("init", "serve", "status", "import", "tokenize", "detokenize", "find", "shred", "check", "version"),
        *("keys", "customers", "consent", "principals", "policy", "approvals", "erasure", "audit"),
        *("witness", "backup", "tokens"),
        *("tokenize-table", "detokenize-table", "import-tokens"),
        *("pseudonymize", "compare", "derive"),
    }
    copies = {("copy",), ("copies",), ("verify",), ("prune",)}
    assert {path[1:] for path in LEAVES if path[0] == "keys"} == {
        ("status",),
        ("rotate",),
        ("rotate-dek",),
        ("rotate-token-key",),
        ("rotate-signing-key",),
        ("rotate-pseudonym-key",),
        ("rotate-ca",),
        ("passphrase",),
        ("provider-check",),
        *copies,
    }
    backups = {("create",), ("list",), ("verify",), ("restore",), ("prune",)}
    assert {path[1:] for path in LEAVES if path[0] == "backup"} == backups
    assert {path[1:] for path in LEAVES if path[0] == "customers"} == {
        *(("show",), ("list",), ("export",)),
        *(("restrict",), ("lift",), ("hold",), ("release",), ("expire",), ("accesses",)),
    }
    assert {path[1:] for path in LEAVES if path[0] == "tokens"} == {
        *(("issue",), ("show",), ("list",), ("revoke",)),
    }
    assert {path[1:] for path in LEAVES if path[0] == "principals"} == {
        *(("add",), ("list",), ("revoke",), ("suspend",), ("resume",), ("budget",)),
    }
    assert {path[1:] for path in LEAVES if path[0] == "policy"} == {
        *(("check",), ("test",), ("diff",), ("apply",), ("show",), ("history",), ("explain",)),
    }
    assert {path[1:] for path in LEAVES if path[0] == "erasure"} == {
        ("list",),
        ("status",),
        ("certificate",),
        ("verify",),
    }
    consents = ("record", "withdraw", "object", "state", "list", "receipt", "export", "ingest", "verify")
    assert {path[1:] for path in LEAVES if path[0] == "consent"} == {(name,) for name in consents}
    audits = ("list", "tail", "export", "customers", "status", "prove", "grown", "verify", "blast-radius")
    assert {path[1:] for path in LEAVES if path[0] == "audit"} == {(name,) for name in audits}
    requests = {("request", act) for act in ("shred", "export", "rotate-epoch", "break-glass")}
    approvals = {(name,) for name in ("list", "show", "approve", "reject", "cancel")}
    assert {path[1:] for path in LEAVES if path[0] == "approvals"} == approvals | requests
    assert {path for path in LEAVES if path[0] == "witness"} == WITNESS


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "cvault")
def test_every_help_ends_in_an_example(cvault: Cvault, path: tuple[str, ...]) -> None:
    ran = cvault(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    example = ran.out.rpartition("Example")[2].splitlines()
    assert example[0] in {":", "s:"}
    assert " ".join(("cvault", *path)) in "\n".join(example[1:])
    assert "--help" not in "\n".join(example)


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in OFFLINE], ids=" ".join)
def test_online_commands_show_how_to_connect(cvault: Cvault, path: tuple[str, ...]) -> None:
    shown = " ".join(cvault(*path, "--help").out.split())
    for name in ("ADDRESS", "CA", "CERTIFICATE", "KEY"):
        assert f"--{name.lower()} " in shown
        assert f"[env var: CVAULT_{name}]" in shown


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in SILENT], ids=" ".join)
def test_every_command_speaks_json(cvault: Cvault, path: tuple[str, ...]) -> None:
    assert "--json" in cvault(*path, "--help").out


def test_starting_up_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from vault.cli.main import main\n"
        "main(['--help'])\n"
        "heavy = {'grpc', 'google.protobuf', 'phonenumbers', 'rich', 'lmdb', 'cryptography', 'nacl'}\n"
        "heavy |= {'pyarrow', 'pandas', 'customervault._sync'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted({path[0] for path in LEAVES}))
def test_what_is_built_for_one_command_has_all_of_it(name: str) -> None:
    alone = dict(commands(typer.main.get_command(build(name))))
    assert {path for path in alone if path[:1] == (name,)} == {path for path in ALL if path[:1] == (name,)}
    assert len(alone) < len(ALL) / 2


def test_a_command_imports_no_other_one() -> None:
    program = (
        "import sys\n"
        "from vault.cli.main import main\n"
        "main(['version', '--json'])\n"
        "print(*(name for name, module in sys.modules.items() if hasattr(module, 'register')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = [name for name in done.stdout.split() if name.startswith("vault.cli.")]
    assert ours == ["vault.cli.version"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("frobnicate",), "No such command"),
        (("keys", "status", "--frobnicate"), "No such option"),
        (("detokenize", "cv1_x"), "no --address given, and CVAULT_ADDRESS is not set"),
        (("shred",), ""),
        (("check", "--data", "/nonexistent"), "no vault in /nonexistent"),
        (("serve", "--data", "/nonexistent"), "no vault in /nonexistent"),
    ],
)
def test_usage_errors_exit_2(cvault: Cvault, arguments: tuple[str, ...], complaint: str) -> None:
    ran = cvault(*arguments)
    assert ran.code == ExitCode.USAGE
    assert complaint in ran.err
    assert ran.out == ""


def test_errors_are_json_with_json(cvault: Cvault) -> None:
    import json

    ran = cvault("status", "--json")
    assert ran.out == ""
    assert json.loads(ran.err) == {
        "error": {"reason": "USAGE", "message": "no --address given, and CVAULT_ADDRESS is not set"}
    }


def test_superfluous_arguments_are_not_repeated(cvault: Cvault) -> None:
    ran = cvault("customers", "show", "id", "secret@example.org")
    assert ran.code == ExitCode.USAGE
    assert "secret" not in ran.err


def test_an_unreadable_certificate_is_a_usage_error(cvault: Cvault, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    options = ("--ca", missing, "--certificate", missing, "--key", missing)
    ran = cvault("status", "--address", "127.0.0.1:1", *options)
    assert ran.code == ExitCode.USAGE
    assert str(missing) in ran.err


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "vault.cli", "version"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (ExitCode.READER_GONE, b"")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_the_exit_code_of_its_kind(reason: Reason) -> None:
    kind = error_for(reason)
    code = code_for(reason)
    if issubclass(kind, DeniedError):
        assert code is ExitCode.DENIED
    elif reason in {Reason.DATA_LOSS, Reason.INTEGRITY_FAILED}:
        assert code is ExitCode.PARTIAL
    elif issubclass(kind, ServiceError) or reason is Reason.INTERNAL:
        assert code is ExitCode.UNAVAILABLE
    else:
        assert code is ExitCode.PARTIAL


@pytest.mark.parametrize(
    ("reasons", "items", "code"),
    [
        ([], 3, ExitCode.OK),
        (["PURPOSE_DENIED"], 3, ExitCode.PARTIAL),
        (["PURPOSE_DENIED", "REVEAL_DENIED"], 2, ExitCode.DENIED),
        (["PURPOSE_DENIED", "SHREDDED"], 2, ExitCode.PARTIAL),
        (["OVERLOADED"], 1, ExitCode.UNAVAILABLE),
    ],
)
def test_a_batch_has_the_code_of_its_failures(reasons: list[str], items: int, code: ExitCode) -> None:
    assert code_for_batch(reasons, items) is code
