"""Of whom a principal was shown a value, whatever is sealed of the log by then."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.audit.samples import ALICE, BOB, NOW, act_of, read_of, writer
from tests.unit.audit.sealed.samples import seal, sealer
from vault.audit.customers import locators_read
from vault.audit.records import ReadAction, encode_read, read_body_chunk, read_item, reason_code
from vault.errors import IntegrityFailedError, Reason

ITS, OTHER = 7, 7 + 64  # the same bit in a bundle's span


def locator(number: int) -> bytes:
    return number.to_bytes(16, "big")


def denied(seq: int, who: bytes) -> bytes:
    """A read of which nothing was shown."""
    items = read_item(1, 2, reason_code(Reason.PURPOSE_DENIED))
    return encode_read(seq, NOW, ITS, ReadAction.DETOKENIZE, 9, read_body_chunk(who, items))


@pytest.mark.parametrize("sealed_at", [None, 300, 700])
def test_exactly_the_customers_of_the_principal_and_the_time(tmp_path, sealed_at):
    log = writer(tmp_path, segment_bytes=4096)
    for seq in range(1, 701):
        log.append(read_of(seq, locator(seq), time_ms=NOW + seq, principal_id=ITS if seq % 3 else OTHER))
        if seq == sealed_at:
            seal(tmp_path)
    log.append(denied(701, ALICE))
    log.append(act_of(702, BOB, time_ms=NOW + 50))
    expected = {locator(seq) for seq in range(20, 600) if seq % 3}
    assert locators_read(tmp_path, ITS, NOW + 20, NOW + 600) == expected
    assert len(locators_read(tmp_path, OTHER, 0, NOW * 2)) == 233
    log.close()
    seal(tmp_path)
    assert locators_read(tmp_path, ITS, NOW + 20, NOW + 600) == expected
    assert locators_read(tmp_path, ITS, NOW + 9000, NOW + 9999) == locators_read(tmp_path, 1, 0, NOW) == set()


def test_a_call_about_thousands_of_customers_takes_several_leaves(tmp_path):
    log = writer(tmp_path, segment_bytes=1 << 20)
    everyone = [locator(number) for number in range(1, 6001)]
    log.append(read_of(1, *everyone, principal_id=ITS))
    log.close()
    seal(tmp_path)
    assert locators_read(tmp_path, ITS, 0, NOW + 1) == set(everyone)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_none_is_missing_at_any_moment(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("log")
    log, made = writer(directory, segment_bytes=1024), set()
    for number, sealing in enumerate(steps, 1):
        if sealing:
            seal(directory)
        else:
            made.add(locator(number))
            log.append(read_of(log.next_seq(), locator(number)))
        assert locators_read(directory, ITS, 0, NOW + 1) == made
    log.close()


def test_a_damaged_bundle_is_not_passed_over(tmp_path):
    log = writer(tmp_path)
    log.append(read_of(1, ALICE))
    log.close()
    one = sealer(tmp_path)
    one.seal()
    one.close()
    (bundle,) = (tmp_path / "tree" / "tile" / "entries").rglob("*.p/*")
    bundle.write_bytes(b"")
    with pytest.raises(IntegrityFailedError):
        locators_read(tmp_path, ITS, 0, NOW + 1)
