"""Runs a program under the recorder, and reads what it recorded."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "recorder.c"
REPOSITORY = Path(__file__).parents[4]
_HEADER = struct.Struct("<BBHH2xQQQQ")
_RUN_SECONDS = 120


class Kind(IntEnum):
    """What was done; numbers as in `recorder.c`."""

    CREATE = 1
    MAKE_DIRECTORY = 2
    WRITE = 3
    RESIZE = 4
    ALLOCATE = 5
    SYNC = 6
    RENAME = 7
    UNLINK = 8
    REMOVE_DIRECTORY = 9
    MARK = 10
    UNFOLLOWED = 11
    MAPPED = 12


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call. Paths are relative to the root; `durable` is of a write through O_DSYNC."""

    kind: Kind
    path: str
    second_path: str
    inode: int
    offset: int
    length: int
    durable: bool
    data: bytes

    def __repr__(self) -> str:
        where = f"{self.path} -> {self.second_path}" if self.second_path else self.path
        return f"{self.kind.name} {where} [{self.offset}+{self.length}]{' durable' if self.durable else ''}"


def build_recorder(folder: Path) -> Path:
    """Compiles the recorder; skips the test where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the recorder needs Linux and a C compiler")
    library = folder / "recorder.so"
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    made = subprocess.run(
        [compiler, *options, "-o", library, SOURCE, "-ldl", "-lpthread"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return library


def record(library: Path, module: str, arguments: Sequence[str], root: Path, marks: Path) -> list[Call]:
    """Runs `python -m module arguments` and returns what it did below `root`, in order."""
    log = marks.with_name("calls.log")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "CVAULT_RECORD_ROOT": str(root),
        "CVAULT_RECORD_LOG": str(log),
        "CVAULT_RECORD_MARKS": str(marks),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    return list(_parse(log.read_bytes()))


def _parse(content: bytes) -> Iterator[Call]:
    at = 0
    while at < len(content):
        kind, durable, path_length, second_length, inode, offset, length, data_length = _HEADER.unpack_from(
            content, at
        )
        at += _HEADER.size
        path = content[at : at + path_length].decode()
        at += path_length
        second_path = content[at : at + second_length].decode()
        at += second_length
        data = content[at : at + data_length]
        at += data_length
        yield Call(Kind(kind), path, second_path, inode, offset, length, bool(durable), data)
