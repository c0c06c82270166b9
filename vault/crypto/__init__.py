"""The pure crypto layer: no disk, no network, and no clock but the one certificates need.

- `hazmat`: raw primitives, guarded memory and the known-answer self-test.
- `suites`: the AEAD suites on the allow-list.
- `slots`: a bounded pool of key slots in guarded memory.
- `subkeys`: what is derived from a customer's data key, and from which label.
- `tokens`: tokens to identities and back.
- `certificates`: the vault's own certificate authority.
"""
