import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.support.history import Operation, broken_rules, load

ROOT = Path(__file__).parents[2]
OPERATIONS = int(os.environ.get("CVAULT_OPERATIONS", "5000"))
SEED = os.environ.get("CVAULT_SEED", "1")
PROCESSES, THREADS = 2, 8


@pytest.mark.slow
def test_two_processes_and_many_threads_obey_the_rules(deployment, tmp_path):
    """`CVAULT_OPERATIONS=100000` runs the long one."""
    outs = [tmp_path / f"history-{number}" for number in range(PROCESSES)]
    share = OPERATIONS // PROCESSES
    command = [sys.executable, "-m", "tests.scenarios.support.history", deployment.data_dir]
    running = [
        subprocess.Popen([*command, f"p{number}", str(THREADS), str(share), SEED, out], cwd=ROOT)
        for number, out in enumerate(outs)
    ]
    assert [process.wait() for process in running] == [0] * PROCESSES
    history = [operation for out in outs for operation in load(out)]
    assert len(history) == OPERATIONS // PROCESSES // THREADS * PROCESSES * THREADS
    assert broken_rules(history) == []
    assert {each.act for each in history if not each.error} == {
        "read", "store", "update", "delete", "shred", "rotate"
    }  # fmt: skip
    with deployment.opened() as desks:  # and what is left is in order
        page = desks.vault.list_customers(desks.crm.caller, 1000, "", "", show_shredded=False)
        live = {each.customer_token for each in page.items}
        assert live <= {each.customer for each in history if each.created}


def operation(act: str, began: int, **rest) -> Operation:
    return Operation(act, began, began + 5, **rest)


GOOD = [
    operation("store", 0, external_id="a", customer="A", created=True, token="t1", value="v1"),
    operation("update", 10, token="t1", value="v2"),
    operation("read", 20, tokens=["t1"], values=["v2"]),
    operation("shred", 30, external_id="a"),
    operation("read", 40, tokens=["t1"], values=["!SHREDDED"]),
    operation("store", 50, external_id="a", customer="B", created=True, token="t2", value="v3"),
]
BAD = {
    "created twice": [*GOOD[:3], replace(GOOD[5], began=25, ended=28)],
    "the same number again": [*GOOD[:5], replace(GOOD[5], customer="A")],
    "the same token again": [*GOOD[:5], replace(GOOD[5], token="t1")],
    "read after the shred": [*GOOD[:4], replace(GOOD[4], values=["v2"]), GOOD[5]],
    "a replaced value": [*GOOD[:2], replace(GOOD[2], values=["v1"]), *GOOD[3:]],
    "another's value": [*GOOD[:2], replace(GOOD[2], values=["v3"]), *GOOD[3:]],
    "a value from nowhere": [*GOOD[:2], replace(GOOD[2], values=["v9"]), *GOOD[3:]],
    "lost data": [*GOOD[:2], replace(GOOD[2], values=["!DATA_LOSS"]), *GOOD[3:]],
}


def test_the_rules_accept_a_good_history():
    assert broken_rules(GOOD) == []


def test_of_two_creations_that_overlap_the_later_one_may_have_been_first():
    first = Operation("store", 0, 100, external_id="a", customer="A", created=True, token="t1", value="v1")
    second = operation("store", 10, external_id="a", customer="B", created=True, token="t2", value="v2")
    shred = operation("shred", 20, external_id="a")
    assert broken_rules([first, second, shred]) == []
    assert broken_rules([first, second]) != []


@pytest.mark.parametrize("name", BAD)
def test_the_rules_see_what_is_wrong(name):
    assert broken_rules(BAD[name]) != []
