import pytest

from vault.core.erasures import ErasureRow, Waiting, seems_waiting, shred_id_bytes, shred_id_text
from vault.errors import IntegrityFailedError
from vault.store.entries import ErasureWaits, Shred

ROW = ErasureRow(77, 1_700_000_000_123, 3, 2**40 - 1, 5, (1, 4, 65_535), bytes(range(32)))


@pytest.mark.parametrize("generations", [(), (1,), (1, 4, 65_535)])
def test_a_row_comes_back_as_it_was(generations):
    row = ErasureRow(77, 1_700_000_000_123, 3, 2**40 - 1, 5, generations, bytes(range(32)))
    assert ErasureRow.unpack(row.pack()) == row


@pytest.mark.parametrize("content", [b"", ROW.pack()[:-1], ROW.pack() + b"\0", ROW.pack()[:60]])
def test_a_row_of_another_length_is_none(content):
    with pytest.raises(IntegrityFailedError):
        ErasureRow.unpack(content)


def test_a_row_says_what_the_ledger_entry_says():
    entry = Shred(bytes(16), 3, 2**40 - 1, (1, 4, 65_535), 5, bytes(range(32)), 9)
    assert ErasureRow.of(77, 1_700_000_000_123, entry) == ROW


def test_a_shred_id_is_recognisable():
    assert shred_id_text(bytes(16)) == "shr_" + "00" * 16
    assert shred_id_bytes("shr_" + "0a" * 16) == b"\n" * 16
    assert shred_id_bytes("shr_zz") == b""


@pytest.mark.parametrize("generations", [(), (1,), (1, 4, 65_535)])
def test_a_row_that_waits_comes_back_and_is_told_from_others_by_its_length(generations):
    waiting = Waiting(9, 3, 1_800_000_000_000)
    entry = ErasureWaits(bytes(16), 3, 2**40 - 1, generations, 5, bytes(range(32)), 9)
    row = ErasureRow.of(77, 1_700_000_000_123, entry, waiting)
    assert ErasureRow.unpack(row.pack()) == row
    assert seems_waiting(row.pack())
    assert not seems_waiting(ErasureRow.of(77, 0, entry).pack())
    with pytest.raises(IntegrityFailedError):
        ErasureRow.unpack(row.pack()[:-1])
