"""Keys: what holds root keys, and the keyring that they unlock.

- `provider`: the small protocol of a key provider, and what it can prove about destruction.
- `file_provider`: root keys in sealed files, the embedded default.
- `unlock`: runs a provider in a short-lived child that pipes the epoch key into guarded memory.
- `keyring`: wraps and unwraps customers' DEKs and the vault's own secrets under the epoch key.
"""
