"""The digests of segments, of both versions: made frame by frame and at once, and segments that have them."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, VAULT_ID, act_of, read_of
from tests.unit.audit.sealed.samples import entries_of, seal, sealed_seqs
from vault.audit.check import check
from vault.audit.digests import Digest, digest_of
from vault.audit.layout import (
    FIXED_BYTES,
    HEADER_BYTES,
    VERSION_AT,
    ClosingPart,
    FixedPart,
    SegmentName,
    State,
    Sync,
    pack_closing,
    pack_fixed,
)
from vault.audit.records import FRAME, ReadAction, encode_read, read_body_chunk, read_item
from vault.audit.sealed.leaves import leaves_of, segment_head

NAME = SegmentName("w0", 1_700_000_000_000, 1)
LONG = encode_read(
    9, 1_700_000_000_000, 7, ReadAction.DETOKENIZE, 9, read_body_chunk(ALICE, read_item(1, 2, 2)) * 4000
)
FRAMES = [read_of(1, ALICE), act_of(2, BOB), read_of(3, ALICE, BOB), LONG]
DAMAGE = [b"\x01", b"torn" * 9, LONG[:700]]


def fixed_part(version: int) -> bytes:
    part = FixedPart(Sync.INTERVAL, VAULT_ID, bytes(16), NAME.made_ms, 1, NAME.number, bytes(32), NAME.worker)
    packed = bytearray(pack_fixed(part)[: FIXED_BYTES - 4])
    packed[VERSION_AT] = version
    return bytes(packed) + zlib.crc32(packed).to_bytes(4, "big")


def segment(version: int, pieces: list[bytes]) -> bytes:
    """A closed one."""
    fixed, content = fixed_part(version), b"".join(pieces)
    used = HEADER_BYTES + len(content)
    digest = digest_of(NAME, fixed + bytes(HEADER_BYTES - FIXED_BYTES) + content, used)
    closing = ClosingPart(State.CLOSED, used, len(pieces), 0, NAME.made_ms, NAME.made_ms, 9, digest)
    return fixed + pack_closing(closing) + content


def test_version_1_is_over_the_bytes_and_version_2_over_the_leaves():
    content = b"".join(FRAMES)
    data = [fixed_part(version) + bytes(HEADER_BYTES - FIXED_BYTES) + content for version in (1, 2)]
    assert digest_of(NAME, data[0], len(data[0])) == hashlib.sha256(fixed_part(1) + content).digest()
    expected, offset = hashlib.sha256(fixed_part(2)), HEADER_BYTES
    for frame in FRAMES:
        for leaf in leaves_of(segment_head(NAME), offset, frame[FRAME.size :]):
            expected.update(hashlib.sha256(b"\x00" + leaf).digest())
        offset += len(frame)
    assert digest_of(NAME, data[1], len(data[1])) == expected.digest()


@pytest.mark.parametrize("version", [1, 2])
@given(pieces=st.lists(st.tuples(st.booleans(), st.integers(0, 3))))
def test_piece_by_piece_as_at_once(version, pieces):
    digest, content = Digest(fixed_part(version), NAME), b""
    was_damage = False
    for whole, which in pieces:
        if whole or was_damage:  # damage beside damage is one piece
            digest.add_frame(FRAMES[which])
            content += FRAMES[which]
        else:
            digest.add_damage(DAMAGE[which % 3])
            content += DAMAGE[which % 3]
        was_damage = not (whole or was_damage)
    data = fixed_part(version) + bytes(HEADER_BYTES - FIXED_BYTES) + content
    assert digest.offset == len(data)
    assert digest.digest() == digest_of(NAME, data, len(data))


@pytest.mark.parametrize("version", [1, 2])
def test_each_byte_of_a_record_counts(version):
    data = bytearray(segment(version, FRAMES[:3]))
    before = digest_of(NAME, bytes(data), len(data))
    for at in range(HEADER_BYTES + FRAME.size, HEADER_BYTES + len(FRAMES[0])):
        data[at] ^= 1
        body = data[HEADER_BYTES + FRAME.size : HEADER_BYTES + len(FRAMES[0])]
        data[HEADER_BYTES + 4 : HEADER_BYTES + 8] = zlib.crc32(body).to_bytes(4, "big")
        assert digest_of(NAME, bytes(data), len(data)) != before
        data[at] ^= 1


@pytest.mark.parametrize("version", [1, 2])
def test_segments_of_both_versions_are_checked_and_sealed(tmp_path, version):
    (tmp_path / str(NAME)).write_bytes(segment(version, FRAMES))
    assert list(check(tmp_path)) == []
    assert seal(tmp_path) == len(entries_of(tmp_path))
    assert sealed_seqs(tmp_path) == [1, 2, 3, 9]


@pytest.mark.parametrize("version", [1, 2])
def test_a_segment_of_either_version_that_was_changed_is_noticed(tmp_path, version):
    changed = segment(version, FRAMES[:3]).replace(FRAMES[0], read_of(1, BOB))
    (tmp_path / str(NAME)).write_bytes(changed)
    assert [each.problem for each in check(tmp_path)] == ["the records are not those that were closed"]
    seal(tmp_path)
    assert sealed_seqs(tmp_path) == [1, 2, 3, 0]
