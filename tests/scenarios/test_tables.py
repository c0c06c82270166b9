"""Whole tables through a served vault: there and back, killed on the way, read by who may not."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from customervault import errors
from customervault.pytest_plugin import ThrowAwayVault
from customervault.tables import (
    Pulse,
    detokenize_frame,
    detokenize_table,
    tokenize_frame,
    tokenize_table,
)

from benchmarks.tables import COLUMNS, equal, round_trip, write_table
from benchmarks.throwaway import CVAULT, throwaway_vault

MAPS = [text for name, kind in COLUMNS.items() for text in ("--map", f"{name}={kind}")]
OPENED = [text for name in COLUMNS for text in ("--column", name)]
ROWS = 3000


def environment(vault: ThrowAwayVault) -> dict[str, str]:
    return os.environ | vault.environment


def cvault(vault: ThrowAwayVault, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(CVAULT), *map(str, arguments)]
    return subprocess.run(command, env=environment(vault), capture_output=True, text=True, check=False)


def test_a_parquet_table_comes_back_equal_although_both_commands_are_killed(
    customer_vault: ThrowAwayVault, tmp_path: Path
) -> None:
    table, tokens, back = (tmp_path / f"{name}.parquet" for name in ("table", "tokens", "back"))
    write_table(table, ROWS)
    for out, command in (
        (tokens, ["tokenize-table", table, tokens, "--id", "customer_id", *MAPS, "--batch", 100]),
        (back, ["detokenize-table", tokens, back, *OPENED, "--purpose", "support", "--batch", 50]),
    ):
        state = out.with_name(out.name + ".rows.state")
        recorded = killed_after(customer_vault, command, state, batches=3)
        done = cvault(customer_vault, *command, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["resumed"]
        assert document["rows"] == ROWS
        assert 3 <= recorded < 30
        assert pq.read_metadata(out).num_rows == ROWS
    assert equal(table, back)
    assert not equal(table, tokens)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "back.parquet",
        "table.parquet",
        "tokens.parquet",
    ]


def killed_after(vault: ThrowAwayVault, command: list[object], state: Path, batches: int) -> int:
    """Kills `command` when it has recorded `batches`; how many it had."""
    process = subprocess.Popen(
        [str(CVAULT), *map(str, command)],
        env=environment(vault),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            recorded = int(json.loads(state.read_bytes())["batches"]) if state.exists() else 0
            if recorded >= batches:
                break
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return int(json.loads(state.read_bytes())["batches"])


def test_a_table_goes_there_and_back_in_bounded_memory() -> None:
    with throwaway_vault() as (vault, folder):
        there, again, same = round_trip(vault, folder, 10_000)
    assert same
    assert max(there.memory_mb, again.memory_mb) < 300


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_sdk_does_the_same(customer_vault: ThrowAwayVault, tmp_path: Path, kind: str) -> None:
    table, tokens, back = (tmp_path / f"{name}.{kind}" for name in ("table", "tokens", "back"))
    rows = [{"id": f"{kind}-{n}", "mail": f"p{n}@example.org", "call": "", "size": n} for n in range(200)]
    if kind == "csv":
        pd.DataFrame(rows).to_csv(table, index=False)
    else:
        table.write_text("".join(json.dumps(row, separators=(", ", ": ")) + "\n" for row in rows))
    pulses: list[Pulse] = []
    with customer_vault.connect() as vault:
        columns = {"mail": "email", "call": "phone:mobile"}
        stored = tokenize_table(
            vault, table, tokens, id_column="id", columns=columns, rest="keep", batch_rows=60,
            progress=pulses.append,
        )  # fmt: skip
        opened = detokenize_table(vault, tokens, back, columns=["mail", "call"], purpose="support")
        masked = tmp_path / f"masked.{kind}"
        detokenize_table(vault, tokens, masked, columns=["mail"], purpose="support", reveal="masked")
    assert (stored.rows, stored.values, stored.clean) == (200, 200, True)
    assert (opened.values, opened.clean, opened.rejects) == (200, True, None)
    assert [pulse.rows for pulse in pulses] == [60, 120, 180, 200]
    assert back.read_bytes() == table.read_bytes()
    assert "example.org" not in tokens.read_text()
    assert "•" in masked.read_text()
    assert "p17@example.org" not in masked.read_text()


def test_a_frame_there_and_back(customer_vault: ThrowAwayVault) -> None:
    frame = pd.DataFrame(
        {"id": [f"f-{n}" for n in range(50)], "mail": [f"f{n}@example.org" for n in range(50)]}
    )
    frame.loc[7, "mail"] = None
    frame.loc[9, "mail"] = "not an address"
    with customer_vault.connect() as vault:
        tokens, stored = tokenize_frame(vault, frame, id_column="id", columns={"mail": "email"})
        assert [(each.row, each.column, each.reason) for each in stored.refused] == [
            (10, "mail", "INVALID_VALUE")
        ]
        back, opened = detokenize_frame(vault, tokens, columns=["mail"], purpose="support")
    frame.loc[9, "mail"] = ""
    assert opened.clean
    pd.testing.assert_frame_equal(back, frame)


def test_who_may_not_read_gets_empty_cells_and_reasons(
    customer_vault: ThrowAwayVault, tmp_path: Path
) -> None:
    table, tokens, back = (tmp_path / f"{name}.csv" for name in ("table", "tokens", "back"))
    table.write_text("id,mail\nx-1,a@example.org\nx-2,b@example.org\n")
    stored = cvault(customer_vault, "tokenize-table", table, tokens, "--id", "id", "--map", "mail=email")
    assert (stored.returncode, stored.stderr) == (0, "")
    assert stored.stdout.startswith("stored 2 rows with 2 values")
    with customer_vault.connect() as vault:
        vault.shred(external_id="x-2")
    opened = cvault(
        customer_vault, "detokenize-table", tokens, back, "--column", "mail", "--purpose", "support"
    )
    assert opened.returncode == 1
    assert back.read_text().splitlines()[1:] == ["x-1,a@example.org", "x-2,"]
    (reject,) = [json.loads(line) for line in (tmp_path / "back.csv.rejects.jsonl").read_text().splitlines()]
    assert (reject["row"], reject["column"], reject["reason"]) == (2, "mail", "SHREDDED")


def test_a_purpose_that_is_not_known_opens_nothing(customer_vault: ThrowAwayVault, tmp_path: Path) -> None:
    table, tokens, back = (tmp_path / f"{name}.csv" for name in ("table", "tokens", "back"))
    table.write_text("id,mail\ny-1,a@example.org\ny-2,b@example.org\n")
    with customer_vault.connect() as vault:
        tokenize_table(vault, table, tokens, id_column="id", columns={"mail": "email"})
        opened = detokenize_table(vault, tokens, back, columns=["mail"], purpose="no-such-purpose")
    assert (opened.rows, opened.values, opened.values_refused) == (2, 0, 2)
    assert back.read_text().splitlines() == ["id,mail", "y-1,", "y-2,"]


def test_a_vault_that_cannot_be_reached_leaves_a_table_to_be_resumed(
    customer_vault: ThrowAwayVault, tmp_path: Path
) -> None:
    table, tokens = tmp_path / "table.csv", tmp_path / "tokens.csv"
    table.write_text("id,mail\nz-1,a@example.org\n")
    with customer_vault.connect() as closed:
        closed.close()
        with pytest.raises(errors.ClosedError):
            tokenize_table(closed, table, tokens, id_column="id", columns={"mail": "email"})
    with customer_vault.connect() as vault:
        done = tokenize_table(vault, table, tokens, id_column="id", columns={"mail": "email"})
    assert (done.rows, done.values) == (1, 1)
    assert "cv1_" in tokens.read_text()
