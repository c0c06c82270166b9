import hashlib

from vault.erasure.commitment import commitment


def test_it_is_a_salted_hash_that_anybody_can_compute() -> None:
    salt = bytes(range(32))
    expected = hashlib.sha256(b"customervault erasure v1\0" + salt + b"crm-1").digest()
    assert commitment(b"crm-1", salt) == expected
    assert len({expected, commitment(b"crm-1", bytes(32)), commitment(b"crm-2", salt)}) == 3
