"""The C denominator: LMDB and libsodium alone, called over a copy of the vault's own store."""
