import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from vault.cli.audit import parse_time
from vault.cli.exits import UsageError
from vault.cli.output import visible, when, when_json

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_control_characters_are_shown_as_escapes() -> None:
    assert visible("a\x1b[31m\r\n\t\x85ü") == "a\\x1b[31m\\r\\n\\t\\x85ü"


def test_times_are_in_utc() -> None:
    assert when(None) == "-"
    assert when_json(None) is None
    assert when(NOW) == "2026-05-01 12:00:00Z"
    assert when_json(NOW) == "2026-05-01T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-04-01", datetime(2026, 4, 1, tzinfo=UTC)),
        ("2026-04-01T10:00:00Z", datetime(2026, 4, 1, 10, tzinfo=UTC)),
        ("2026-04-01T10:00:00+02:00", datetime(2026, 4, 1, 8, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, moment: datetime | None) -> None:
    assert parse_time(text, "--since", NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "2 h", "h", "-2h", "9999999d", "999999d", "2026-13-01"])
def test_other_times_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse_time(text, "--since", NOW)


def test_tables_are_not_folded_or_coloured_when_piped() -> None:
    program = (
        "from vault.cli.output import print_table\n"
        "print_table(('TOKEN', 'NOTE'), [('cv1_' + 'a' * 32, '[red]x[/red] ' + 'y' * 300)], empty='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"COLUMNS": "40"}
    )
    heading, row = (line.rstrip() for line in done.stdout.splitlines())
    assert heading.split() == ["TOKEN", "NOTE"]
    assert row == "cv1_" + "a" * 32 + "  [red]x[/red] " + "y" * 300
