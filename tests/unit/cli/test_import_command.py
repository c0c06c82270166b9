import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cvault

ROWS = "id,email,phone,stage\n1,ada@example.org,+442079460018,lead\n2,not an address,,won\n3,,,\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text(ROWS)
    return path


MAPS = ("--id", "id", "--map", "email=email", "--map", "phone=phone:mobile", "--keep-unmapped")


def test_a_dry_run_checks_as_the_vault_would_and_writes_rejects(cvault: Cvault, file: Path) -> None:
    out = file.with_name("out.csv")
    ran = cvault("import", file, *MAPS, "--dry-run", "--tokens-out", out, "--json")
    assert ran.code == 1
    document = ran.document
    assert (document["rows"], document["values_created"], document["values_refused"]) == (3, 2, 1)
    assert document["reasons"] == {"INVALID_VALUE": 1}
    assert document["dry_run"] is True
    assert not out.exists()
    (reject,) = [json.loads(line) for line in Path(document["rejects"]).read_text().splitlines()]
    assert (reject["line"], reject["column"], reject["reason"]) == (3, "email", "INVALID_VALUE")
    assert "not an address" not in json.dumps(reject) + ran.out + ran.err


def test_a_clean_dry_run_says_so_to_people(cvault: Cvault, file: Path) -> None:
    file.write_text(ROWS.replace("not an address", ""))
    ran = cvault("import", file, *MAPS, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("checked 3 rows with 2 values")
    assert list(file.parent.iterdir()) == [file]


def test_the_jurisdiction_helps_to_read_phone_numbers(cvault: Cvault, file: Path) -> None:
    file.write_text("id,phone\n1,030 901820\n")
    maps = ("--id", "id", "--map", "phone=phone")
    assert cvault("import", file, *maps, "--dry-run").code == 1
    assert cvault("import", file, *maps, "--dry-run", "--jurisdiction", "DE").code == 0


def test_a_dry_run_takes_the_classes_of_a_vault(cvault: Cvault, file: Path) -> None:
    (file.parent / "vault.toml").write_text('[fields.fax]\nkind = "phone"\n')
    maps = ("--id", "id", "--map", "phone=fax", "--drop-unmapped", "--dry-run")
    refused = cvault("import", file, *maps)
    assert (refused.code, "no field class fax" in refused.err) == (2, True)
    assert cvault("import", file, *maps, "--data", file.parent).code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--id", "id", "--map", "email=email"), "'phone', 'stage': not mapped"),
        ((*MAPS, "--drop-unmapped"), "exclude each other"),
        (("--map", "email=email"), "--id COLUMN"),
        (("--id", "nr", "--map", "email=email"), "no column 'nr'"),
        ((*MAPS, "--jurisdiction", "Germany"), "two letters"),
        ((*MAPS, "--preset", "pipedrive"), "hubspot"),
        ((*MAPS, "--batch", "0"), "--batch"),
        ((*MAPS, "--encoding", "utf-16"), "--encoding"),
        ((*MAPS,), "no --address given"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    cvault: Cvault, file: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    ran = cvault("import", file, *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert complaint in ran.err


def test_the_format_has_to_be_known(cvault: Cvault, tmp_path: Path) -> None:
    file = tmp_path / "contacts.dat"
    file.write_text('{"id": "1", "email": "ada@example.org"}\n')
    maps = ("--id", "id", "--map", "email=email", "--dry-run")
    assert "--format" in cvault("import", file, *maps).err
    assert cvault("import", file, *maps, "--format", "jsonl").code == 0


def test_the_input_is_never_written_to(cvault: Cvault, file: Path) -> None:
    link = file.with_name("link.csv")
    os.link(file, link)
    for option in ("--tokens-out", "--rejects"):
        for target in (file, link):
            ran = cvault("import", file, *MAPS, option, target, "--no-resume")
            assert ran.code == 2
    ran = cvault("import", file, *MAPS, "--tokens-out", file.parent / "a", "--rejects", file.parent / "a")
    assert ran.code == 2
    assert file.read_text() == ROWS


_SLOW_IMPORT = """
import sys, time, uuid
from pathlib import Path
from tests.unit.client.tables import test_pipeline as pipeline
from tests.unit.client.tables.fake_target import FakeTarget
from customervault.tables import journal
from customervault.tables.pipeline import Pace
journal._SAVE_SECONDS = 0.0
class Slow(FakeTarget):
    def store(self, *arguments):
        time.sleep(float(sys.argv[2]))
        return super().store(*arguments)
case = object.__new__(pipeline.Case)
folder = Path(sys.argv[1])
case.input, case.copy, case.rejects = folder / "in.csv", folder / "out.csv", folder / "rejects.jsonl"
case.run(Slow(), pace=Pace(5, 2))
"""


def test_a_killed_import_continues_to_the_same_copy(tmp_path: Path) -> None:
    from tests.unit.client.tables.fake_target import FakeTarget
    from tests.unit.client.tables.test_pipeline import Case

    lines = [f"c{n},c{n}@example.org,note {n}" for n in range(600)]
    (tmp_path / "whole").mkdir()
    whole, case = Case(tmp_path / "whole", lines), Case(tmp_path, lines)
    whole.run(FakeTarget())

    def start(pause_seconds: float) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", _SLOW_IMPORT, str(tmp_path), str(pause_seconds)])

    kills = 0
    for _ in range(3):
        process = start(0.02)
        before = case.copy.stat().st_size if case.copy.exists() else 0
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            if case.copy.exists() and case.copy.stat().st_size > before + 2000:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    assert case.state.exists()
    assert start(0.0).wait(30) == 0
    assert case.written() == whole.written()
    assert not case.state.exists()
