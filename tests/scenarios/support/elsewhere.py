"""The same vault, open in another process, and what a test asks of it.

    python -m tests.scenarios.support.elsewhere DATA_DIR PROCESS_NAME

One line of JSON for each request, one for each answer:
    {"principal": ..., "do": "read" | "store" | ..., "with": [...]}
    {"ok": ...}  or  {"error": reason, "message": text}
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.scenarios.support.deployment import Deployment, Desk, Desks, by_id, by_token, open_vault
from vault.errors import Reason, VaultError, error_for
from vault.model.access import Reveal

ROOT = Path(__file__).parents[3]


class Elsewhere:
    """The other process. An error of the vault there is raised here, with the same class."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, principal: str, do: str, *arguments: object) -> Any:
        """Sends one request and waits for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"principal": principal, "do": do, "with": arguments}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "ok" in answer:
            return answer["ok"]
        reason = Reason(answer["error"])
        if reason is Reason.INTEGRITY_FAILED:
            raise error_for(reason)()  # type: ignore[call-arg]  # the one without a message
        raise error_for(reason)(answer["message"])

    def read(
        self, principal: str, tokens: Sequence[str], purpose: str = "support", reveal: Reveal = Reveal.BEST
    ) -> dict[str, Any]:
        """Detokenizes: values, reveals, and denials as (index, reason)."""
        found: dict[str, Any] = self.ask(principal, "read", list(tokens), purpose, int(reveal))
        return found


@contextmanager
def opened_elsewhere(deployment: Deployment, process_name: str = "other") -> Iterator[Elsewhere]:
    """The vault, open in a child process until the context ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(deployment.data_dir), process_name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Elsewhere(process)
    finally:
        process.communicate(timeout=30)
    assert process.returncode == 0


def _read(desk: Desk, tokens: list[str], purpose: str, reveal: int) -> dict[str, Any]:
    revealed = desk.read(tokens, purpose, Reveal(reveal))
    denials = [(denial.index, denial.reason.value) for denial in revealed.denials]
    return {"values": list(revealed.values), "reveals": list(revealed.reveals), "denials": denials}


def _store(desk: Desk, external_id: str, fields: dict[str, str], request_id: str = "") -> dict[str, Any]:
    result = desk.store(external_id, fields, request_id=request_id)
    return {
        "customer": result.customer_token,
        "created": result.customer_created,
        "tokens": [each.token for each in result.results],
    }


_ACTS = {
    "read": _read,
    "store": _store,
    "update": lambda desk, token, value: int(desk.update(token, value)),
    "delete": lambda desk, token: desk.delete(token),
    "shred": lambda desk, external_id: desk.shred(by_id(external_id)).values,
    "shred_token": lambda desk, token: desk.shred(by_token(token)).values,
    "rotate": lambda desk, external_id: desk.vault.rotate_dek(desk.caller, by_id(external_id), ""),
}


def _serve(desks: Desks) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            done = _ACTS[request["do"]](desks.of(request["principal"]), *request["with"])  # type: ignore[operator]
            answer = {"ok": done}
        except VaultError as error:
            answer = {"error": error.reason.value, "message": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    with open_vault(Path(sys.argv[1]), sys.argv[2]) as opened:
        _serve(opened)
