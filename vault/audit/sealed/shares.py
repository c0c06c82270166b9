"""Looks through a sealed log with several processes, as `parts` does with one.

- Of n processes, each takes every n-th part, and writes what it finds to its pipe. The pipes are read in
  turn, so the parts come in the order of the leaves, whoever was faster: what is made of them is the same
  with any number of processes.
- A full pipe makes a process wait, so memory holds one part, and what fits into the pipes.
- A process ends when the reader has gone away, for whatever reason; the reader waits for all of them.

    python -m vault.audit.sealed.shares ROOT SIZE HELD START STEP     see `each_part`

Standard output takes a pickle of each part; of an OSError, where one ends the work.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from vault.audit.sealed.files import TreeFiles
from vault.audit.sealed.parts import Part, count_parts, each_part
from vault.errors import AuditUnavailableError

_WORTH_PARTS: Final = 4  # a process takes as long to start as a part takes


@contextmanager
def sharing(files: TreeFiles, size: int, held: int, processes: int = 0) -> Iterator[Iterator[Part]]:
    """Every part of a log in order, up to one that is cut, until the context ends.

    Args:
        files: of the log.
        size: of the tree.
        held: the first leaf whose entry is held.
        processes: how many to start; 1: none, this one does it; 0: one for each core, if it is worth it.

    Raises:
        OSError: a file cannot be read.
        AuditUnavailableError: a process ended early.
    """
    parts = count_parts(size)
    count = min(processes or (_cores() if parts >= _WORTH_PARTS else 1), parts)
    if count < 2:
        yield each_part(files, size, held)
        return
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.extend(_start(files.root, size, held, start, count) for start in range(count))
        yield _in_turn(started, parts)
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.communicate()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _start(root: Path, *numbers: int) -> "subprocess.Popen[bytes]":
    arguments = [str(root.absolute()), *map(str, numbers)]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "vault.audit.sealed.shares", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for this process, which ends the others
    )


def _in_turn(processes: "Sequence[subprocess.Popen[bytes]]", parts: int) -> Iterator[Part]:
    for number in range(parts):
        pipe = processes[number % len(processes)].stdout
        if pipe is None:
            raise RuntimeError("a process was started without a pipe")
        part = _receive(pipe)
        yield part
        if part.is_cut:
            return


def _receive(pipe: IO[bytes]) -> Part:
    try:
        found = pickle.load(pipe)  # noqa: S301 - from a process of our own
    except (EOFError, pickle.UnpicklingError) as error:
        raise AuditUnavailableError("a process that checked a part of the access log was ended") from error
    if isinstance(found, OSError):
        raise found
    if not isinstance(found, Part):
        raise TypeError("a process answered with something else")
    return found


def _work(root: Path, numbers: Sequence[int], pipe: IO[bytes]) -> None:
    size, held, start, step = numbers
    try:
        for part in each_part(TreeFiles(root), size, held, start, step):
            _send(part, pipe)
    except OSError as error:
        _send(error, pipe)


def _send(found: Part | OSError, pipe: IO[bytes]) -> None:
    try:
        pickle.dump(found, pipe, pickle.HIGHEST_PROTOCOL)
        pipe.flush()
    except BrokenPipeError:  # nobody wants to know any more
        os._exit(1)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), [int(text) for text in sys.argv[2:]], sys.stdout.buffer)
