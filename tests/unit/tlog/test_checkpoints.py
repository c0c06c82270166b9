"""Checkpoints: the published example, our own, and what is not one."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tlog.samples import LOG_KEY, ORIGIN, sign_log
from vault.errors import InvalidRequestError
from vault.tlog import notes
from vault.tlog.checkpoints import Checkpoint
from vault.tlog.notes import Note

VECTORS = Path(__file__).parents[2] / "vectors"
ROOT = base64.b64encode(bytes(32)).decode()

# c2sp.org/tlog-checkpoint, the example
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_published_example() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text() == EXAMPLE


def test_a_published_checkpoint_of_a_public_log() -> None:
    document = json.loads((VECTORS / "signed_notes.json").read_text(encoding="utf-8"))
    for case in document["tests"]:
        if "origin" in case:
            checkpoint = Checkpoint.parse(Note.parse(case["note"].encode()).text)
            assert (checkpoint.origin, checkpoint.size) == (case["origin"], case["size"])


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_come_back_and_verify(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root, ("an extension",))
    note = Note.parse(checkpoint.signed(LOG_KEY, sign_log).encode())
    notes.verify(note, [LOG_KEY])
    assert Checkpoint.parse(note.text) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log\n1\n{ROOT}",
        "log\n1\n",
        f"\n1\n{ROOT}\n",
        f"log\n1\n{ROOT}\n\n",
        f"log\n01\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n1_0\n{ROOT}\n",
        f"log\n1 \n{ROOT}\n",
        f"log\n١\n{ROOT}\n",
        f"log\n{2**63}\n{ROOT}\n",
        f"log\n{'9' * 5000}\n{ROOT}\n",
        "log\n1\nAAAA\n",
        f"log\n1\n{ROOT[:-1]}\n",
        f"log\n1\n{ROOT[:-2]}B=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        Checkpoint.parse(text)
