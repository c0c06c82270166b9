"""The ledger: chain, signatures, and the difference between what a crash tears and what somebody changed."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.store.samples import SIGNING_KEY, VAULT_ID, sign, verify
from vault.errors import IntegrityFailedError, StorageFormatError, StorageFullError, StorageStoppedError
from vault.store.entries import (
    EntryType,
    Genesis,
    Payload,
    PrincipalRevoked,
    SigningKeyChanged,
    ValuesDeleted,
    Void,
)
from vault.store.ledger import AHEAD_BYTES, CHUNK_BYTES, Ledger, pack_body

FRAME = 4 + 18 + 8 + 32 + 64  # with a payload of 8 bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Ledger.create(tmp_path / "entries")
    return tmp_path / "entries"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(path, VAULT_ID, verify)
    yield ledger
    ledger.close()


def append(ledger: Ledger, *payloads: Payload) -> None:
    first = ledger.last.seq + 1
    ledger.append_all([pack_body(first + at, 1_000, each) for at, each in enumerate(payloads)], sign)


def append_voids(ledger: Ledger, count: int) -> None:
    for seq in range(count):
        append(ledger, Void(seq))


def append_forever(ledger: Ledger) -> None:
    while True:
        append(ledger, long_payload(10_000))


def reopened(path: Path, durable_seq: int = 0) -> Ledger:
    return Ledger.open(path, VAULT_ID, verify, durable_seq=durable_seq)


def long_payload(values: int = 600) -> ValuesDeleted:
    return ValuesDeleted(1, tuple((number, 1) for number in range(1, values + 1)))


def test_bytes_are_the_documented_ones(ledger: Ledger, path: Path) -> None:
    append(ledger, Void(7), PrincipalRevoked(9))
    bodies = [
        bytes.fromhex("0108000000000000000100000000000003e80000000000000007"),
        bytes.fromhex("010b000000000000000200000000000003e800000009"),
    ]
    chain, expected = hashlib.sha256(b"customervault ledger v1" + VAULT_ID).digest(), b""
    for seq, body in enumerate(bodies, 1):
        leaf = hashlib.sha256(b"\0" + body).digest()
        chain = hashlib.sha256(b"\1" + chain + leaf).digest()
        message = b"customervault ledger v1\0" + VAULT_ID + seq.to_bytes(8, "big") + chain
        expected += len(body).to_bytes(4, "big") + body + chain + sign(b"", message)
    content = path.read_bytes()
    assert content[: len(expected)] == expected
    assert not any(content[len(expected) :])
    assert ledger.last.chain == chain


def test_entries_of_some_types_are_the_others_left_out(ledger: Ledger) -> None:
    append(ledger, Void(1), PrincipalRevoked(2), Void(3), long_payload(2))
    voids = frozenset({EntryType.VOID})
    assert [entry.seq for entry in ledger.entries(0, voids)] == [1, 3]
    assert [entry.seq for entry in ledger.entries(1, voids)] == [3]
    assert list(ledger.entries(0, frozenset())) == []


def test_entries_come_back_in_order_and_from_any_number_on(ledger: Ledger, path: Path) -> None:
    append_voids(ledger, 2_100)
    assert [entry.payload for entry in ledger.entries()] == [Void(seq) for seq in range(2_100)]
    for after in (0, 1, 1_023, 1_024, 1_025, 2_099, 2_100, 9_999):
        assert [entry.seq for entry in ledger.entries(after)] == list(range(after + 1, 2_101))
    again = reopened(path, 2_100)
    assert again.last == ledger.last
    assert [entry.seq for entry in again.entries(2_050)] == list(range(2_051, 2_101))
    again.verify_signatures()
    again.close()


def test_another_view_sees_what_was_appended_since(ledger: Ledger, path: Path) -> None:
    other = reopened(path)
    append_voids(ledger, 3)
    append(ledger, long_payload())
    assert other.refresh(durable_seq=4)
    assert other.last == ledger.last
    twin = ledger.twin()
    append_voids(ledger, 1)
    assert twin.refresh(durable_seq=5)
    assert [entry.seq for entry in twin.entries(3)] == [4, 5]
    twin.close()
    other.close()


def test_an_empty_batch_changes_nothing(ledger: Ledger, path: Path) -> None:
    before = path.read_bytes()
    ledger.append_all([], sign)
    assert path.read_bytes() == before


def test_a_payload_too_large_for_an_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack_body(1, 0, long_payload(120_000))


def test_the_file_stays_preallocated(ledger: Ledger, path: Path) -> None:
    while ledger.last.offset < CHUNK_BYTES:
        append(ledger, long_payload(20_000))
        assert path.stat().st_size >= ledger.last.offset + AHEAD_BYTES
        assert path.stat().st_blocks * 512 >= ledger.last.offset + AHEAD_BYTES


@pytest.mark.parametrize("zeros", [True, False], ids=["zeros behind", "file ends"])
def test_a_tail_torn_at_any_byte_is_cut_and_nothing_else_lost(path: Path, zeros: bool) -> None:
    ledger = reopened(path)
    append_voids(ledger, 5)
    whole = path.read_bytes()[: 5 * FRAME]
    ledger.close()
    for kept in range(FRAME):
        torn = whole[: 4 * FRAME + kept]
        path.write_bytes(torn + bytes(8192) if zeros else torn)
        ledger = reopened(path, durable_seq=4)
        assert ledger.last.seq == 4, kept
        assert ledger.recover() == any(torn[4 * FRAME :])
        append(ledger, Void(77))
        ledger.close()
        ledger = reopened(path, durable_seq=5)
        assert [entry.payload for entry in ledger.entries(3)] == [Void(3), Void(77)]
        assert not ledger.recover()
        ledger.close()


def test_a_torn_batch_of_several_entries_is_cut_to_its_valid_part(path: Path) -> None:
    ledger = reopened(path)
    append_voids(ledger, 2)
    append(ledger, Void(1), Void(2), Void(3))
    ledger.close()
    whole = path.read_bytes()
    # The disk kept the third of the three, but not the second: sectors of a block come in any order.
    path.write_bytes(whole[: 3 * FRAME] + bytes(FRAME - 10) + whole[4 * FRAME - 10 :])
    ledger = reopened(path, durable_seq=2)
    assert ledger.last.seq == 3
    assert ledger.recover()
    assert not any(path.read_bytes()[3 * FRAME :])
    ledger.close()


def test_a_torn_tail_that_was_durable_is_an_integrity_failure(ledger: Ledger, path: Path) -> None:
    append_voids(ledger, 3)
    path.write_bytes(path.read_bytes()[: 3 * FRAME - 1] + bytes(100))
    with pytest.raises(IntegrityFailedError):
        reopened(path, durable_seq=3)


def test_a_long_batch_appears_whole_or_not_at_all(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_voids(ledger, 1)
    states: list[bytes] = []
    true_write = os.pwrite

    def watched_write(descriptor: int, content: bytes, at: int) -> int:
        for share in (0, 1, len(content) // 2, len(content) - 1):
            before = path.read_bytes()
            states.append(before[:at] + content[:share] + before[at + share :])
        return true_write(descriptor, content, at)

    monkeypatch.setattr(os, "pwrite", watched_write)
    append(ledger, Void(5), long_payload(), long_payload())
    monkeypatch.undo()
    assert len(states) == 8
    for state in states:
        path.write_bytes(state)
        survivor = reopened(path, durable_seq=1)
        assert survivor.last.seq in (1, 4)
        survivor.recover()
        append(survivor, Void(6))
        survivor.close()
        survivor = reopened(path)
        assert survivor.refresh(survivor.last.seq)
        survivor.verify_signatures()
        survivor.close()


def test_every_flipped_bit_of_an_entry_in_the_middle_is_refused(path: Path) -> None:
    ledger = reopened(path)
    append_voids(ledger, 60)
    ledger.close()
    whole = path.read_bytes()[: 61 * FRAME]
    for bit in range(20 * FRAME * 8, 21 * FRAME * 8 - 64 * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises((IntegrityFailedError, StorageFormatError)):
            reopened(path, durable_seq=60)
        # Even when nothing says how far the ledger was durable, what lies behind is not thrown away.
        with pytest.raises((IntegrityFailedError, StorageFormatError)), closing(reopened(path)) as ledger:
            ledger.recover()


def test_a_changed_signature_in_the_middle_is_found_by_the_full_check(path: Path) -> None:
    ledger = reopened(path)
    append_voids(ledger, 5)
    ledger.close()
    changed = bytearray(path.read_bytes())
    changed[3 * FRAME - 1] ^= 1
    path.write_bytes(changed)
    ledger = reopened(path, durable_seq=5)
    with pytest.raises(IntegrityFailedError):
        ledger.verify_signatures()
    ledger.close()


def test_a_ledger_signed_by_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = reopened(path)
    monkeypatch.setattr("tests.unit.store.samples.SIGNING_KEY", SIGNING_KEY + b"!")
    append_voids(ledger, 100)
    ledger.close()
    monkeypatch.undo()
    with pytest.raises(IntegrityFailedError):
        reopened(path)


def test_a_ledger_of_another_vault_is_refused(ledger: Ledger, path: Path) -> None:
    append_voids(ledger, 2)
    with pytest.raises(IntegrityFailedError):
        Ledger.open(path, b"x" * 16, durable_seq=2)


def test_a_removed_entry_is_refused(ledger: Ledger, path: Path) -> None:
    append_voids(ledger, 4)
    whole = path.read_bytes()
    path.write_bytes(whole[:FRAME] + whole[2 * FRAME :])
    with pytest.raises(IntegrityFailedError):
        reopened(path, durable_seq=3)


def test_a_missing_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityFailedError):
        Ledger.open(tmp_path / "entries", VAULT_ID)


def test_a_change_after_the_first_reading_is_seen(ledger: Ledger, path: Path) -> None:
    append_voids(ledger, 3)
    with path.open("r+b") as file:
        file.seek(FRAME + 20)
        file.write(b"\xff")
    with pytest.raises(IntegrityFailedError):
        list(ledger.entries())


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, StorageFullError), (errno.EIO, StorageStoppedError)]
)
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_failed_append_is_taken_back(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception], call: str
) -> None:
    append_voids(ledger, 1)
    before = path.read_bytes()
    calls = []
    true_write, true_sync = os.pwrite, os.fdatasync

    def failing_once(descriptor: int, *arguments: object) -> int | None:
        calls.append(arguments)
        if len(calls) == 1:
            if call == "pwrite":
                true_write(descriptor, b"half", ledger.last.offset)
            raise OSError(code, "made up")
        return true_write(descriptor, *arguments) if call == "pwrite" else true_sync(descriptor)  # type: ignore[arg-type]

    monkeypatch.setattr(os, call, failing_once)
    with pytest.raises(error):
        append(ledger, Void(1))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert ledger.last.seq == 1
    append(ledger, Void(2))
    assert [entry.payload for entry in ledger.entries(1)] == [Void(2)]


def test_a_full_disk_refuses_only_what_does_not_fit_the_reserve(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "made up")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StorageFullError):
        append_forever(ledger)
    left = CHUNK_BYTES - ledger.last.offset
    assert left < 100_000
    while ledger.last.offset + FRAME <= CHUNK_BYTES:
        append(ledger, Void(1))
    with pytest.raises(StorageFullError):
        append(ledger, Void(1))


FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))


def with_three_keys(ledger: Ledger) -> None:
    append(ledger, Genesis(VAULT_ID, FIRST), Void(1))
    append(ledger, SigningKeyChanged(SECOND))
    append(ledger, Void(2), SigningKeyChanged(THIRD), Void(3))


def test_each_entry_is_signed_with_the_key_that_the_ledger_names_for_it(ledger: Ledger, path: Path) -> None:
    assert ledger.signer == b""
    with_three_keys(ledger)
    signers = [FIRST, FIRST, FIRST, SECOND, SECOND, THIRD]
    again = reopened(path)
    for seq, (entry, signer) in enumerate(zip(again.entries(), signers, strict=True), 1):
        message = b"customervault ledger v1\0" + VAULT_ID + seq.to_bytes(8, "big") + entry.chain
        assert entry.signature == sign(signer, message)
    again.verify_signatures()
    assert again.signer == ledger.signer == again.twin().signer == THIRD
    again.close()


def test_an_entry_that_the_key_before_has_signed_is_not_taken(ledger: Ledger, path: Path) -> None:
    append(ledger, Genesis(VAULT_ID, FIRST), SigningKeyChanged(SECOND))
    ledger.append_all([pack_body(3, 0, Void(1))], lambda _, message: sign(FIRST, message))
    again = reopened(path)
    assert again.last.seq == 2
    assert again.signer == SECOND
    again.close()
    with pytest.raises(IntegrityFailedError):
        reopened(path, durable_seq=3)


@pytest.mark.parametrize("trusted", [{FIRST}, {SECOND}, {THIRD}, {FIRST, THIRD}])
def test_trust_goes_from_a_key_to_those_that_it_has_signed(ledger: Ledger, path: Path, trusted: set) -> None:
    follower = reopened(path)
    follower.trust(trusted)
    if FIRST in trusted:
        with_three_keys(ledger)
        assert follower.refresh(durable_seq=6)
        follower.verify_signatures()
    else:
        append(ledger, Genesis(VAULT_ID, FIRST))
        with pytest.raises(IntegrityFailedError):
            follower.refresh(durable_seq=1)
        assert follower.signer == b""
    follower.close()


def test_a_key_named_by_an_entry_that_nobody_trusted_has_signed_is_not_trusted(
    ledger: Ledger, path: Path
) -> None:
    append(ledger, Genesis(VAULT_ID, FIRST), Void(1))
    follower = reopened(path)
    follower.trust({FIRST})
    forged = [pack_body(3, 0, SigningKeyChanged(SECOND)), pack_body(4, 0, Void(1))]
    ledger.append_all(forged, lambda _, message: sign(SECOND, message))
    with pytest.raises(IntegrityFailedError):
        follower.refresh(durable_seq=4)
    assert follower.refresh(durable_seq=2) is False
    assert (follower.last.seq, follower.signer) == (2, FIRST)
    follower.close()


def test_a_second_genesis_names_no_key(ledger: Ledger) -> None:
    append(ledger, Genesis(VAULT_ID, FIRST), Genesis(VAULT_ID, SECOND), Void(1))
    assert ledger.signer == FIRST


def test_a_torn_change_of_the_key_changes_nothing(ledger: Ledger, path: Path) -> None:
    append(ledger, Genesis(VAULT_ID, FIRST), Void(1))
    end = ledger.last.offset
    append(ledger, SigningKeyChanged(SECOND))
    with path.open("r+b") as file:
        file.seek(ledger.last.offset - 8)
        file.write(bytes(8))
    again = reopened(path)
    assert (again.last.offset, again.signer) == (end, FIRST)
    assert again.recover()
    append(again, Void(2))
    again.close()
    once_more = reopened(path, durable_seq=3)
    once_more.verify_signatures()
    once_more.close()
