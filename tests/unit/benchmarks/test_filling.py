"""A filled vault holds what it says: tokens in order, keys of their records, what the C loop needs."""

from pathlib import Path

import pytest

from benchmarks import filling
from benchmarks.c_loop.loop import KEY_BYTES, build, c_loop
from benchmarks.calls import PURPOSE
from benchmarks.filling import FIELDS, Filled, entries, filled, rows_of_five
from benchmarks.in_process import CALLER, opened
from vault.crypto.suites import AEGIS_256, XCHACHA20_POLY1305
from vault.fields import DEFAULT_FIELDS, prepare
from vault.model.access import Reveal

CUSTOMERS = 30


def expected() -> list[str]:
    rows = rows_of_five(CUSTOMERS)
    return [
        prepare(DEFAULT_FIELDS.get(given.field_class), given.value.reveal()).stored
        for entry in entries(0, CUSTOMERS, rows)
        for given in entry.fields
    ]


@pytest.fixture(scope="module", params=[(XCHACHA20_POLY1305, 10_000), (AEGIS_256, 0)], ids=["one", "several"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """By one process, and by one for each core."""
    suite, few = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filling, "_FEW", few)
        return filled(tmp_path_factory.mktemp("filled") / "vault", CUSTOMERS * FIELDS, suite)


def test_the_tokens_stand_for_the_values_in_order(made: Filled) -> None:
    tokens = [made.token(value) for value in range(made.values)]
    with opened(made.folder / "vault") as vault:
        revealed = vault.detokenize(CALLER, tokens, PURPOSE, Reveal.PLAIN)
    assert not revealed.denials
    assert len({token.casefold() for token in tokens}) == made.values
    assert revealed.values == expected()


def test_the_c_loop_opens_every_record(made: Filled, tmp_path: Path) -> None:
    with c_loop(build(tmp_path), made.records()) as loop:
        took = loop.read(made.keys, FIELDS)
    assert took.values == made.values
    assert len(made.keys) == KEY_BYTES * made.values


def test_a_filled_folder_is_used_again_and_no_other_one(made: Filled) -> None:
    again = filled(made.folder, made.values, made.suite)
    assert again == made
    with pytest.raises(ValueError, match="another vault"):
        filled(made.folder, made.values + FIELDS, made.suite)
