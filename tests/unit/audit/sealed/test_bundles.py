import gzip
import zlib
from random import Random

import pytest

from vault.audit.sealed.bundles import STRETCH, Bundle, compress
from vault.errors import IntegrityFailedError
from vault.tlog.tiles import join_entries

RANDOM = Random(5)
ENTRIES = [bytes([at]) * (at % 7 + 1) * 50 + RANDOM.randbytes(at % 3) for at in range(256)]
CONTENT = join_entries(ENTRIES)


def test_any_tool_opens_it_and_the_same_content_gives_the_same_bytes():
    packed = compress(CONTENT)
    assert gzip.decompress(packed) == CONTENT
    assert compress(CONTENT) == packed
    assert len(packed) < len(CONTENT) // 2


@pytest.mark.parametrize("kind", ["raw", "compressed", "as older versions did"])
def test_entries_are_had_one_by_one_in_any_order(kind):
    older = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = compress(CONTENT) if kind == "compressed" else older.compress(CONTENT) + older.flush()
    bundle = Bundle(CONTENT) if kind == "raw" else Bundle(None, packed)
    for at in (255, 0, 64, 63, 128, 127, 1, 200):
        assert bundle[at] == ENTRIES[at]
    assert bundle.content == CONTENT
    with pytest.raises(IntegrityFailedError):
        bundle[256]


def test_one_entry_needs_its_stretch_only():
    packed = bytearray(compress(CONTENT))
    packed[len(packed) // 2] ^= 1
    broken = [at for at in range(0, 256, STRETCH) if not _opens(Bundle(None, bytes(packed)), at)]
    assert len(broken) == 1
    with pytest.raises(IntegrityFailedError):
        _ = Bundle(None, bytes(packed)).content


def test_no_change_of_a_byte_gives_another_entry():
    packed = compress(CONTENT)
    for at in range(len(packed)):
        changed = Bundle(None, packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :])
        for leaf in (0, 70, 190):
            assert not _opens(changed, leaf) or changed[leaf] == ENTRIES[leaf]
    for cut in range(0, len(packed), 97):
        shorter = Bundle(None, packed[:cut])
        assert not _opens(shorter, 255) or shorter[255] == ENTRIES[255]
    assert not _opens(Bundle(None, packed[: len(packed) // 2]), 255)


@pytest.mark.parametrize(
    "content", [b"", CONTENT[:-1], CONTENT + b"\0", join_entries(ENTRIES[:255]), CONTENT + b"\0\1a"]
)
def test_what_is_no_full_bundle_is_not_compressed(content):
    with pytest.raises(IntegrityFailedError):
        compress(content)


def _opens(bundle: Bundle, at: int) -> bool:
    try:
        return bool(bundle[at])
    except IntegrityFailedError:
        return False
