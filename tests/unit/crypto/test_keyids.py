from vault.crypto.keyids import signing_key_id


def test_a_key_is_named_by_the_hash_of_its_32_bytes() -> None:
    # SHA-256 of 32 zero bytes.
    assert signing_key_id(bytes(32)) == "ed25519-66687aadf862bd77"
